package main

import (
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const warehousesPath = "/management/v1/warehouses"

func warehousePath(name string) string { return warehousesPath + "/" + client.Segment(name) }

func warehouseCommand() *cobra.Command {
	cmd, connect := remoteCommand("warehouse", "Make, list, change and delete warehouses", `A warehouse is a root of storage that namespaces and tables lie under. The default one is
made of the nodes' settings; others are made here, and can be used on every node at once.
Where tables may lie is checked against all warehouses, and an object is written, read and
deleted there, before anything is made or changed`)
	cmd.AddCommand(warehouseCreateCommand(connect), warehouseListCommand(connect), warehouseShowCommand(connect),
		warehouseUpdateCommand(connect), warehouseDeleteCommand(connect))
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
			next := func(page *management.WarehouseList) string { return page.NextPageToken }
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
			if err := r.Get(cmd.Context(), warehousePath(args[0]), nil, &wh); err != nil {
				return err
			}
			return showWarehouse(r, &wh)
		},
	}
}

func showWarehouse(r *remote, wh *management.Warehouse) error {
	return r.print(wh, func(w io.Writer) error {
		fields := []field{
			{"warehouse", wh.Name}, {"root", wh.Root}, {"allowed roots", strings.Join(wh.AllowedRoots, ", ")},
			{"generation", strconv.FormatUint(wh.Generation, 10)}, {"endpoint", text(wh.Endpoint)}, {"region", text(wh.Region)},
		}
		if wh.PathStyle {
			fields = append(fields, field{"path style", "yes"})
		}
		fields = append(fields, field{"store", warehouseAccess(wh)})
		if wh.CreatedAt != nil {
			fields = append(fields, field{"created", timeText(*wh.CreatedAt)})
		}
		if wh.ChangedAt != nil {
			fields = append(fields, field{"changed", timeText(*wh.ChangedAt)})
		}
		return writeFields(w, fields)
	})
}

// warehouseAccess is with whose rights nodes reach a warehouse's store.
func warehouseAccess(wh *management.Warehouse) string {
	switch {
	case wh.FromSettings:
		return "reached as the nodes' settings say"
	case !wh.OwnCredentials:
		return "reached with the nodes' own rights"
	case wh.Credentials == nil:
		return "reached with credentials of its own"
	}
	return "reached with credentials of its own: " + *wh.Credentials
}
