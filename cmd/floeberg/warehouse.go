package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const warehousesPath = "/management/v1/warehouses"

func warehouseCommand() *cobra.Command {
	cmd, connect := remoteCommand("warehouse", "Look at warehouses", "")
	cmd.AddCommand(warehouseListCommand(connect), warehouseShowCommand(connect))
	return cmd
}

func warehouseListCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the warehouses",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			list := []management.Warehouse{}
			rows := [][]string{}
			next := func(page *management.Warehouses) string { return page.NextPageToken }
			for page, err := range client.Pages(cmd.Context(), r.Client, warehousesPath, nil, next) {
				if err != nil {
					return err
				}
				for _, wh := range page.Warehouses {
					list = append(list, wh)
					rows = append(rows, []string{wh.Name, wh.Root})
				}
			}
			return r.print(list, func(w io.Writer) error { return writeTable(w, []string{"WAREHOUSE", "ROOT"}, rows) })
		},
	}
}

func warehouseShowCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a warehouse and where its tables may lie",
		Args:  oneArg("a warehouse's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var wh management.Warehouse
			if err := r.Get(cmd.Context(), warehousesPath+"/"+client.Segment(args[0]), nil, &wh); err != nil {
				return err
			}
			return r.print(wh, func(w io.Writer) error {
				return writeFields(w, []field{
					{"warehouse", wh.Name}, {"root", wh.Root}, {"allowed roots", strings.Join(wh.AllowedRoots, ", ")},
				})
			})
		},
	}
}
