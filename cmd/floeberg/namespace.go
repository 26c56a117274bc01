package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
)

// namespaceInfo is a namespace as --output json prints it.
type namespaceInfo struct {
	Namespace  client.Name       `json:"namespace"`
	Properties map[string]string `json:"properties,omitempty"`
}

func namespaceCommand() *cobra.Command {
	cmd, connect := remoteCommand("namespace", "Look at namespaces", nameHelp)
	cmd.AddCommand(namespaceListCommand(connect), namespaceShowCommand(connect))
	return cmd
}

func namespaceListCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PARENT]",
		Short: "List the namespaces of the top level, or those in PARENT",
		Args:  atMostOneArg,
	}
	recursive := cmd.Flags().BoolP("recursive", "r", false, "those at any depth below")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var parent client.Name
		if len(args) > 0 {
			var err error
			if parent, err = nameArg(args[0]); err != nil {
				return err
			}
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		below := r.Namespaces
		if *recursive {
			below = r.AllNamespaces
		}
		list := []namespaceInfo{}
		rows := [][]string{}
		for name, err := range below(cmd.Context(), parent) {
			if err != nil {
				return err
			}
			list = append(list, namespaceInfo{Namespace: name})
			rows = append(rows, []string{name.String()})
		}
		return r.print(list, func(w io.Writer) error { return writeTable(w, []string{"NAMESPACE"}, rows) })
	}
	return cmd
}

func namespaceShowCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAMESPACE",
		Short: "Show a namespace and its properties",
		Args:  oneArg("a namespace"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := nameArg(args[0])
			if err != nil {
				return err
			}
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			properties, err := r.Namespace(cmd.Context(), name)
			if err != nil {
				return err
			}
			return r.print(namespaceInfo{Namespace: name, Properties: properties}, func(w io.Writer) error {
				if err := writeFields(w, []field{{"namespace", name.String()}}); err != nil {
					return err
				}
				return writeSection(w, propertyHeader, propertyRows(properties))
			})
		},
	}
}
