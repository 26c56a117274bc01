package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

func policyExplainCommand(open openPolicies) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain --principal ID --action ACTION --resource KIND[:NAME]",
		Short: "Say what the policies in force make of a request, and which of them decide",
		Long: `Say what the policies in force make of a request, and which of them decide. Nothing that
the request names must exist.

A resource is cluster, policies, warehouse, namespace:NAME, table:NAME or view:NAME; what
is in a warehouse is said with --warehouse. Actions are those of the schema, such as
LoadTable, CommitTable or ManagePolicies. Groups and tenant of the principal are those
that are given, and where none are, those of the API key that has the principal's id.

  floeberg policy explain --principal key-0123456789abcdef --action LoadTable \
    --warehouse default --resource table:sales.eu.orders`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	principal := flags.String("principal", "", "the id of who would ask")
	groups := flags.StringSlice("group", nil, "its groups, comma-separated")
	tenant := flags.String("tenant", "", "whom it belongs to")
	kind := flags.String("type", "", "whether it is a person or a program: user or service (default as --authentication says)")
	proof := flags.String("authentication", "", "how it would prove who it is: key, token, oidc, certificate or none (default key)")
	action := flags.String("action", "", "what would be done")
	resource := flags.String("resource", "", "what it would be done to")
	source := flags.String("source-ip", "", "the address that it would come from (default not known)")
	access := flags.String("access", "", "the access to files that would be asked for: none, read or write")
	at := flags.String("time", "", "when, such as 2026-01-31T12:00:00Z (default now)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := open(cmd)
		if err != nil {
			return err
		}
		defer p.Close()
		for name, value := range map[string]string{"principal": *principal, "action": *action, "resource": *resource} {
			if value == "" {
				return &usageError{fmt.Errorf("--%s is missing (see %s --help)", name, cmd.CommandPath())}
			}
		}
		q := management.ExplainPolicies{
			Principal: management.PolicyPrincipal{ID: *principal, Tenant: *tenant, Type: *kind},
			Action:    *action, Context: management.PolicyContext{SourceIP: *source, Access: *access, Authentication: *proof},
		}
		if flags.Changed("group") || *tenant != "" {
			q.Principal.Groups = []*string{}
		}
		for _, group := range *groups {
			q.Principal.Groups = append(q.Principal.Groups, &group)
		}
		if q.Resource, err = policyResource(*resource, p.query.Get("warehouse")); err != nil {
			return err
		}
		if *at != "" {
			t, err := time.Parse(time.RFC3339, *at)
			if err != nil {
				return &usageError{fmt.Errorf("--time: expected a moment such as 2026-01-31T12:00:00Z, not %q", *at)}
			}
			q.Context.Time = &t
		}
		var e management.PolicyExplanation
		if err := p.Post(cmd.Context(), p.at("/explain"), q, &e); err != nil {
			return err
		}
		return p.print(e, func(w io.Writer) error { return writeExplanation(w, &e) })
	}
	return cmd
}

// resourceKinds are what a resource can be: how the schema names it, whether it is in
// a warehouse, and how many names it has at least beside that.
var resourceKinds = map[string]struct {
	schema      string
	inWarehouse bool
	levels      int
}{
	"cluster": {"Cluster", false, 0}, "policies": {"PolicySet", false, 0}, "warehouse": {"Warehouse", true, 0},
	"namespace": {"Namespace", true, 1}, "table": {"Table", true, 2}, "view": {"View", true, 2},
}

// policyResource reads a resource as it is written on a command line.
func policyResource(written, warehouse string) (management.PolicyResource, error) {
	word, name, named := strings.Cut(written, ":")
	kind, ok := resourceKinds[word]
	out := management.PolicyResource{Type: kind.schema, Warehouse: warehouse}
	switch {
	case !ok:
		return out, &usageError{fmt.Errorf("--resource: expected cluster, policies, warehouse, namespace:NAME, table:NAME or view:NAME, not %q", written)}
	case kind.inWarehouse && warehouse == "":
		return out, &usageError{errors.New("--warehouse is missing: name the one that the resource is in")}
	case word == "cluster" && warehouse != "":
		return out, &usageError{errors.New("--warehouse: the cluster is in none; leave it out")}
	case kind.levels == 0 && named:
		return out, &usageError{fmt.Errorf("--resource: %s has no name here; a warehouse is named with --warehouse", word)}
	case kind.levels == 0:
		return out, nil
	}
	levels, err := nameArg(name)
	if err != nil {
		return out, err
	}
	if len(levels) < kind.levels {
		return out, &usageError{fmt.Errorf("--resource: expected a namespace and a name with a dot between them, not %q", name)}
	}
	if kind.levels == 2 {
		out.Name, levels = levels[len(levels)-1], levels[:len(levels)-1]
	}
	for _, level := range levels {
		out.Namespace = append(out.Namespace, &level)
	}
	return out, nil
}

func writeExplanation(w io.Writer, e *management.PolicyExplanation) error {
	if _, err := fmt.Fprintln(w, e.Reason); err != nil {
		return err
	}
	versions := "cluster " + versionText(e.ClusterVersion)
	if e.WarehouseVersion != nil {
		versions += ", warehouse " + versionText(e.WarehouseVersion)
	}
	fields := []field{{"versions", versions}, {"policies", fmt.Sprintf("%d, of which %d are about such a request", e.Total, len(e.Considered))}}
	if err := writeFields(w, fields); err != nil {
		return err
	}
	decided := map[management.PolicyRef]bool{}
	for _, p := range e.Policies {
		decided[plainRef(p)] = true
	}
	rows := make([][]string, len(e.Considered))
	for i, p := range e.Considered {
		outcome := p.Outcome
		if p.Message != nil {
			outcome += ": " + *p.Message
		}
		scope := "(the cluster)"
		if p.Warehouse != nil {
			scope = *p.Warehouse
		}
		rows[i] = []string{scope, p.Policy, strconv.Itoa(p.Line), p.Effect, yesNo(decided[plainRef(p.PolicyRef)]), outcome}
	}
	if err := writeSection(w, []string{"WAREHOUSE", "POLICY", "LINE", "EFFECT", "DECIDES", "OUTCOME"}, rows); err != nil {
		return err
	}
	return writeRestrictions(w, e)
}

// writeRestrictions shows what policies take away from an allowed look at a table.
func writeRestrictions(w io.Writer, e *management.PolicyExplanation) error {
	if len(e.Restrictions) == 0 {
		return nil
	}
	var rows [][]string
	for _, r := range e.Restrictions {
		scope := "(the cluster)"
		if r.Warehouse != nil {
			scope = *r.Warehouse
		}
		if r.RowFilter != nil {
			rows = append(rows, []string{scope, r.Policy, "rows", string(*r.RowFilter)})
		}
		for _, column := range slices.Sorted(maps.Keys(r.ColumnMask)) {
			rows = append(rows, []string{scope, r.Policy, "column " + column, r.ColumnMask[column]})
		}
	}
	if err := writeSection(w, []string{"WAREHOUSE", "POLICY", "RESTRICTS", "TO"}, rows); err != nil {
		return err
	}
	switch {
	case e.RestrictionProblem != nil:
		_, err := fmt.Fprintf(w, "\nnothing of the table is shown: %s\n", *e.RestrictionProblem)
		return err
	case e.ReadRestrictions != nil:
		_, err := fmt.Fprintf(w, "\nreaders of the table are told: %s\n", *e.ReadRestrictions)
		return err
	}
	return nil
}

// plainRef is a reference that can be compared.
func plainRef(r management.PolicyRef) management.PolicyRef {
	r.Policy = text(r.Warehouse) + "\x00" + r.Policy
	r.Warehouse = nil
	return r
}

func versionText(number *uint64) string {
	if number == nil {
		return "-"
	}
	return strconv.FormatUint(*number, 10)
}
