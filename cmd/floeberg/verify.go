package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

// verification is a table's comparison as --output json prints it.
type verification struct {
	entryInfo
	management.Verification
}

func (v *verification) name() client.Name {
	return append(append(client.Name{}, v.Namespace...), v.Name)
}

// result is the comparison in a few words.
func (v *verification) result() string {
	switch {
	case v.Problem != nil:
		return *v.Problem
	case v.Matches:
		return "matches"
	case v.More:
		return fmt.Sprintf("differs in more than %d places", len(v.Differences))
	case len(v.Differences) == 1:
		return "differs in 1 place"
	}
	return fmt.Sprintf("differs in %d places", len(v.Differences))
}

func tableVerifyCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [NAMESPACE.TABLE]",
		Short: "Compare the catalog's metadata of tables with the files that they point to",
		Long: `Compare the catalog's metadata of a table, of all tables of a namespace, or of the
whole warehouse with the metadata files that they point to. The exit code is 1 where
one differs or its file can't be read. "table rebuild" mends the catalog's side.`,
		Args: atMostOneArg,
	}
	in := cmd.Flags().String("namespace", "", "all tables of this namespace")
	all := cmd.Flags().Bool("all", false, "all tables of the warehouse")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := len(args)
		if *in != "" {
			given++
		}
		if *all {
			given++
		}
		if given != 1 {
			return &usageError{errors.New("expected a table, or --namespace, or --all: one of them")}
		}
		switch {
		case *all:
			return verifyMany(cmd, connect, allTables)
		case *in != "":
			namespace, err := nameArg(*in)
			if err != nil {
				return err
			}
			return verifyMany(cmd, connect, func(ctx context.Context, r *remote) ([]client.Name, error) { return tablesOf(ctx, r, namespace) })
		}
		name, err := entryArg(args[0])
		if err != nil {
			return err
		}
		return verifyOne(cmd, connect, name)
	}
	return cmd
}

func verifyOne(cmd *cobra.Command, connect connect, name client.Name) error {
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	v, err := r.verify(cmd.Context(), name)
	if err != nil {
		return err
	}
	if err := r.print(v, func(w io.Writer) error { return writeVerification(w, v) }); err != nil {
		return err
	}
	switch {
	case v.Problem != nil:
		return fmt.Errorf("%s can't be compared with its metadata file", name)
	case !v.Matches:
		return fmt.Errorf("%s differs from its metadata file", name)
	}
	return nil
}

func writeVerification(w io.Writer, v *verification) error {
	if err := writeFields(w, []field{
		{"table", v.name().String()}, {"metadata", v.MetadataLocation}, {"result", v.result()},
	}); err != nil {
		return err
	}
	rows := make([][]string, len(v.Differences))
	for i, d := range v.Differences {
		rows[i] = []string{d.Path, orDash(d.Catalog), orDash(d.File)}
	}
	return writeSection(w, []string{"AT", "CATALOG", "FILE"}, rows)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func verifyMany(cmd *cobra.Command, connect connect, list func(context.Context, *remote) ([]client.Name, error)) error {
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	names, err := list(cmd.Context(), r)
	if err != nil {
		return err
	}
	found, err := r.verifyAll(cmd.Context(), names)
	if err != nil {
		return err
	}
	rows := make([][]string, len(found))
	wrong := 0
	for i, v := range found {
		rows[i] = []string{v.name().String(), v.result()}
		if !v.Matches {
			wrong++
		}
	}
	if err := r.print(found, func(w io.Writer) error { return writeTable(w, []string{"TABLE", "RESULT"}, rows) }); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d tables differ from their metadata files or can't be compared with them", wrong, len(found))
	}
	return nil
}

// verifyAll leaves out tables that were dropped since their names were read.
func (r *remote) verifyAll(ctx context.Context, names []client.Name) ([]*verification, error) {
	bar := newProgress(r.err, "tables compared", len(names))
	defer bar.end()
	found := make([]*verification, 0, len(names))
	for _, name := range names {
		v, err := r.verify(ctx, name)
		switch {
		case client.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		default:
			found = append(found, v)
		}
		bar.step()
	}
	return found, nil
}

func allTables(ctx context.Context, r *remote) ([]client.Name, error) {
	var names []client.Name
	for namespace, err := range r.AllNamespaces(ctx, nil) {
		if err != nil {
			return nil, err
		}
		tables, err := tablesOf(ctx, r, namespace)
		if err != nil && !client.IsNotFound(err) {
			return nil, err
		}
		names = append(names, tables...)
	}
	return names, nil
}

func tablesOf(ctx context.Context, r *remote, namespace client.Name) ([]client.Name, error) {
	var names []client.Name
	for name, err := range r.Tables(ctx, namespace) {
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// tablePath is a table among what operators see.
func (r *remote) tablePath(ctx context.Context, name client.Name) (string, error) {
	warehouse, err := r.Warehouse(ctx)
	if err != nil {
		return "", err
	}
	namespace, last := name.Split()
	return warehousesPath + "/" + client.Segment(warehouse) + "/namespaces/" + client.NamespaceSegment(namespace) + "/tables/" + client.Segment(last), nil
}

func (r *remote) verify(ctx context.Context, name client.Name) (*verification, error) {
	path, err := r.tablePath(ctx, name)
	if err != nil {
		return nil, err
	}
	v := newVerification(name)
	if err := r.Get(ctx, path+"/verify", nil, &v.Verification); err != nil {
		return nil, err
	}
	return v, nil
}

func newVerification(name client.Name) *verification {
	namespace, last := name.Split()
	return &verification{entryInfo: entryInfo{Namespace: namespace, Name: last}}
}

func tableRebuildCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild NAMESPACE.TABLE",
		Short: "Make the catalog's metadata of a table anew of the file that it points to",
		Long: `Make the catalog's metadata of a table anew of the metadata file that it points to,
and say how the two differed before.`,
		Args: oneArg("a table"),
	}
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := entryArg(args[0])
		if err != nil {
			return err
		}
		if err := confirm(fmt.Sprintf("Replace what the catalog has of %s by what its metadata file says?", name)); err != nil {
			return err
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		path, err := r.tablePath(cmd.Context(), name)
		if err != nil {
			return err
		}
		v := newVerification(name)
		if err := r.Post(cmd.Context(), path+"/rebuild", nil, &v.Verification); err != nil {
			return err
		}
		return r.print(v, func(w io.Writer) error {
			fmt.Fprintf(w, "%s was rebuilt. Before:\n\n", name)
			return writeVerification(w, v)
		})
	}
	return cmd
}
