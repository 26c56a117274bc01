package main

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
)

// entryInfo is a table or a view in a listing as --output json prints it.
type entryInfo struct {
	Namespace client.Name `json:"namespace"`
	Name      string      `json:"name"`
}

// lister is a method of the client that lists what is in a namespace.
type lister func(*client.Client, context.Context, []string) iter.Seq2[client.Name, error]

// entryListCommand lists tables or views.
func entryListCommand(connect connect, kind, header string, of lister) *cobra.Command {
	return &cobra.Command{
		Use:   "list NAMESPACE",
		Short: fmt.Sprintf("List the %s of a namespace", kind),
		Args:  oneArg("a namespace"),
		RunE: func(cmd *cobra.Command, args []string) error {
			namespace, err := nameArg(args[0])
			if err != nil {
				return err
			}
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			list := []entryInfo{}
			rows := [][]string{}
			for name, err := range of(r.Client, cmd.Context(), namespace) {
				if err != nil {
					return err
				}
				namespace, last := name.Split()
				list = append(list, entryInfo{Namespace: namespace, Name: last})
				rows = append(rows, []string{name.String()})
			}
			return r.print(list, func(w io.Writer) error { return writeTable(w, []string{header}, rows) })
		},
	}
}

// entryShowCommand shows a table or a view.
func entryShowCommand[T any](
	connect connect, use, short, what string,
	load func(*client.Client, context.Context, client.Name) (T, error), write func(io.Writer, client.Name, T) error,
) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  oneArg(what),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := entryArg(args[0])
			if err != nil {
				return err
			}
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			entry, err := load(r.Client, cmd.Context(), name)
			if err != nil {
				return err
			}
			return r.print(entry, func(w io.Writer) error { return write(w, name, entry) })
		},
	}
}
