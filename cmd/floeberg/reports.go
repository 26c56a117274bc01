package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

// report is a report as --output json prints it.
type report struct {
	// Address is the node that got it.
	Address string `json:"address"`
	management.Report
}

func tableReportsCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "reports NAMESPACE.TABLE",
		Short: "Show what clients lately reported of their scans and commits of a table",
		Long: `Show what clients lately reported of their scans and commits of a table, the newest
first. A node keeps the reports that it got itself, until it is stopped: all nodes
of --addr are asked.`,
		Args: oneArg("a table"),
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
			list, err := r.reports(cmd.Context(), name)
			if err != nil {
				return err
			}
			return r.print(list, func(w io.Writer) error { return writeReports(w, list) })
		},
	}
}

// reports asks all nodes. A node that is gone is told of; where all are, that is
// the error.
func (r *remote) reports(ctx context.Context, name client.Name) ([]report, error) {
	path, err := r.tablePath(ctx, name)
	if err != nil {
		return nil, err
	}
	list := []report{}
	var silent []error
	each := r.Each()
	for _, address := range slices.Sorted(maps.Keys(each)) {
		node := each[address]
		var page management.Reports
		err := node.Get(ctx, path+"/reports", nil, &page)
		node.Close()
		var refusal *client.Error
		switch {
		case errors.As(err, &refusal):
			return nil, err
		case err != nil:
			silent = append(silent, err)
		}
		for _, found := range page.Reports {
			list = append(list, report{address, found})
		}
	}
	if len(silent) == len(each) {
		return nil, errors.Join(silent...)
	}
	for _, err := range silent {
		fmt.Fprintf(r.err, "not asked: %v\n", err)
	}
	slices.SortStableFunc(list, func(a, b report) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	return list, nil
}

func writeReports(w io.Writer, list []report) error {
	rows := make([][]string, len(list))
	for i, r := range list {
		rows[i] = []string{
			timeText(r.ReceivedAt), r.Address, strings.TrimSuffix(r.Kind, "-report"), strconv.FormatInt(r.SnapshotID, 10), r.Operation, metricsText(&r.Report),
		}
	}
	return writeTable(w, []string{"RECEIVED", "NODE", "KIND", "SNAPSHOT", "OPERATION", "METRICS"}, rows)
}

// metricsText is all that is not zero.
func metricsText(r *management.Report) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Timers)) {
		if took := time.Duration(r.Timers[name].Seconds * float64(time.Second)); took > 0 {
			parts = append(parts, name+"="+took.Round(time.Microsecond).String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Counters)) {
		if n := r.Counters[name]; n != 0 {
			parts = append(parts, name+"="+strconv.FormatInt(n, 10))
		}
	}
	return strings.Join(parts, " ")
}
