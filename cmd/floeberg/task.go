package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const tasksPath = "/management/v1/tasks"

func taskCommand() *cobra.Command {
	cmd, connect := remoteCommand("task", "Look at background jobs, and cancel them", "")
	cmd.AddCommand(taskListCommand(connect), taskShowCommand(connect), taskCancelCommand(connect))
	return cmd
}

func taskListCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List background jobs, the oldest first; ended ones are kept for seven days",
		Args:  noArgs,
	}
	status := cmd.Flags().String("status", "", "only those that are waiting, running, done or cancelled")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		switch *status {
		case "":
		case "waiting", "running", "done", "cancelled":
			query.Set("status", *status)
		default:
			return &usageError{fmt.Errorf("--status: expected waiting, running, done or cancelled, not %q", *status)}
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		list := []management.Task{}
		rows := [][]string{}
		next := func(page *management.TaskList) string { return page.NextPageToken }
		for page, err := range client.Pages(cmd.Context(), r.Client, tasksPath, query, next) {
			if err != nil {
				return err
			}
			for _, t := range page.Tasks {
				list = append(list, t)
				rows = append(rows, []string{
					t.ID, t.Kind, t.Status, taskSubject(&t), timeText(t.CreatedAt), orDash(text(t.Node)), strconv.FormatUint(t.FilesDeleted, 10), orDash(text(t.LastError)),
				})
			}
		}
		return r.print(list, func(w io.Writer) error {
			return writeTable(w, []string{"ID", "KIND", "STATUS", "TABLE", "CREATED", "NODE", "DELETED", "LAST ERROR"}, rows)
		})
	}
	return cmd
}

func taskShowCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a background job",
		Args:  oneArg("a job's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var t management.Task
			if err := r.Get(cmd.Context(), tasksPath+"/"+client.Segment(args[0]), nil, &t); err != nil {
				return err
			}
			return r.print(t, func(w io.Writer) error { return writeTask(w, &t) })
		},
	}
}

func taskCancelCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "End a background job before it is done",
		Long: `End a background job before it is done. What it has done stays done: a purge leaves
the files that are still there, and nobody deletes them later.`,
		Args: oneArg("a job's id"),
	}
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirm(fmt.Sprintf("Cancel the job %s for good?", args[0])); err != nil {
			return err
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var t management.Task
		if err := r.Post(cmd.Context(), tasksPath+"/"+client.Segment(args[0])+"/cancel", nil, &t); err != nil {
			return err
		}
		return r.print(t, func(w io.Writer) error { return writeTask(w, &t) })
	}
	return cmd
}

// taskSubject is the table that a job is about.
func taskSubject(t *management.Task) string {
	return client.Name(append(append([]string{}, t.Namespace...), t.Name)).String()
}

func writeTask(w io.Writer, t *management.Task) error {
	return writeFields(w, []field{
		{"id", t.ID}, {"kind", t.Kind}, {"status", t.Status}, {"warehouse", t.Warehouse}, {"table", taskSubject(t)},
		{"created", timeText(t.CreatedAt)}, {"principal", t.Principal}, {"node", orDash(text(t.Node))},
		{"files deleted", strconv.FormatUint(t.FilesDeleted, 10)}, {"files kept", strconv.FormatUint(t.FilesKept, 10)},
		{"failures", strconv.Itoa(t.Failures)}, {"last error", orDash(text(t.LastError))},
		{"retry at", momentText(t.RetryAt)}, {"finished", momentText(t.FinishedAt)},
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func momentText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return timeText(*t)
}
