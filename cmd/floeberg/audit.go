package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/ops/audit"
)

const auditPath = "/management/v1/audit"

func auditCommand() *cobra.Command {
	cmd, connect := remoteCommand("audit", "Look at what was done and by whom, and prove that it is all there", "")
	cmd.AddCommand(auditListCommand(connect), auditVerifyCommand(connect))
	return cmd
}

func auditListCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is on record on all nodes, the newest first",
		Args:  noArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	plain := map[string]*string{}
	for _, f := range []struct{ name, usage string }{
		{"principal", "only what this principal asked for, by its id"},
		{"tenant", "only what principals of this tenant asked for"},
		{"action", "only this action, such as DropTable"},
		{"decision", "only what was decided so: allow or deny"},
		{"event", "only authentication, decision, outcome, credentials, begin, end or lost"},
		{"request-id", "only what belongs to this request"},
		{"node", "only what this node has on record"},
	} {
		plain[strings.ReplaceAll(f.name, "-", "_")] = flags.String(f.name, "", f.usage)
	}
	resource := flags.String("resource", "", "only what was done to this namespace, table or view, or below it")
	since := flags.String("since", "", "only from this moment on: 2026-01-31T12:00:00Z, or a time back from now, such as 1h")
	until := flags.String("until", "", "only before this moment")
	limit := flags.Int("limit", 100, "how many at most; 0 is all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		for name, value := range plain {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		if *resource != "" {
			name, err := nameArg(*resource)
			if err != nil {
				return err
			}
			query.Set("resource", strings.Join(name, "\x1f"))
		}
		for name, value := range map[string]string{"since": *since, "until": *until} {
			moment, err := momentFlag(name, value)
			if err != nil {
				return err
			}
			if moment != "" {
				query.Set(name, moment)
			}
		}
		if *limit < 0 {
			return &usageError{fmt.Errorf("--limit: expected a number from 0 on, not %d", *limit)}
		}
		if warehouse, err := cmd.Flags().GetString("warehouse"); err == nil && warehouse != "" {
			query.Set("warehouse", warehouse)
		}
		return auditList(cmd, connect, query, *limit)
	}
	return cmd
}

func auditList(cmd *cobra.Command, connect connect, query url.Values, limit int) error {
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	list := []management.AuditRecord{}
	missing := map[string]string{}
	if limit > 0 {
		query.Set("page_size", strconv.Itoa(min(limit, 1000)))
	}
	next := func(page *management.AuditList) string { return page.NextPageToken }
	for page, err := range client.Pages(cmd.Context(), r.Client, auditPath, query, next) {
		if err != nil {
			return err
		}
		for _, m := range page.Missing {
			missing[m.Node] = m.Reason
		}
		list = append(list, page.Records...)
		if limit > 0 && len(list) >= limit {
			list = list[:limit]
			break
		}
	}
	for node, reason := range missing {
		fmt.Fprintf(r.err, "node %s did not answer, what it has is not listed: %s\n", node, reason)
	}
	return r.print(list, func(w io.Writer) error {
		rows := make([][]string, 0, len(list))
		for i := range list {
			rows = append(rows, auditRow(&list[i]))
		}
		return writeTable(w, []string{"TIME", "NODE", "EVENT", "PRINCIPAL", "SOURCE", "ACTION", "RESOURCE", "RESULT", "INDEX"}, rows)
	})
}

func auditRow(r *management.AuditRecord) []string {
	principal := r.PrincipalName
	if principal == "" {
		principal = r.Principal
	}
	index := "-"
	if r.Index > 0 {
		index = strconv.FormatUint(r.Index, 10)
	}
	return []string{
		r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), r.Node, string(r.Event), orDash(principal), orDash(r.Source), orDash(r.Action),
		orDash(auditSubject(r.Resource)), orDash(auditResult(r)), index,
	}
}

// auditSubject is what something was done to.
func auditSubject(r *audit.Resource) string {
	if r == nil {
		return ""
	}
	path := append(append(client.Name{}, r.Namespace...), r.Name)
	if r.Name == "" {
		path = path[:len(path)-1]
	}
	subject := strings.ToLower(r.Kind)
	if len(path) > 0 {
		return subject + " " + path.String()
	}
	return strings.TrimSpace(subject + " " + r.Warehouse)
}

// auditResult is how it ended, or why it did not begin.
func auditResult(r *management.AuditRecord) string {
	var parts []string
	if r.Decision != "" {
		parts = append(parts, string(r.Decision))
	}
	if r.Status > 0 && r.Event != audit.Authentication {
		parts = append(parts, strconv.Itoa(r.Status))
	}
	for _, text := range []string{r.Error, r.Reason} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if r.Count > 0 {
		parts = append(parts, "× "+strconv.FormatUint(r.Count, 10))
	}
	return strings.Join(parts, " ")
}

// momentFlag reads a moment, or a time back from now; "" is none.
func momentFlag(name, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if back, err := time.ParseDuration(text); err == nil && back >= 0 {
		return time.Now().Add(-back).UTC().Format(time.RFC3339Nano), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", &usageError{fmt.Errorf("--%s: expected a moment such as 2026-01-31T12:00:00Z, or a time back from now such as 1h, not %q", name, text)}
	}
	return t.UTC().Format(time.RFC3339Nano), nil
}
