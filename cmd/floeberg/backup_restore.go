package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/app"
)

const (
	restoresPath = "/management/v1/restores"
	// latest stands for all that is archived.
	latest = "latest"
	// restorePatience is how long a cluster may not answer before waiting is given up:
	// each node builds its new state for as long as that takes.
	restorePatience = 15 * time.Minute
)

func backupRestoreCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore [ID|newest]",
		Short: "Bring a snapshot, or a point after one, into this empty cluster",
		Long: `Bring a snapshot into this cluster, the newest one unless another is named, or the state
of any point that the archived log reaches: --to-time, --to-index, and "--to-index latest"
for everything that is archived. The cluster must be empty: no namespaces, no tables. It keeps
its own identity and API keys, beside the restored keys.

Snapshots of another cluster, such as one that is lost, are taken where --cluster-id names
it. The nodes read the store, so a folder must be there for them; what is encrypted they open
with the keys of their --snapshot-key. When it is done, tables whose metadata file is no longer in the
warehouse are listed. It goes on when this command is interrupted.`,
		Example: `  floeberg backup restore --from s3://vault/floeberg --cluster-id 8b1c… --to-time 2026-05-04T11:59:00Z`,
		Args:    atMostOneArg,
	}
	body := management.RestoreRequest{}
	cmd.Flags().StringVar(&body.From, "from", "", "the snapshot store, where it is not the cluster's own: such as s3://BUCKET/PATH")
	cmd.Flags().StringVar(&body.ClusterID, "cluster-id", "", "whose snapshots, where there are those of several clusters")
	toTime := cmd.Flags().String("to-time", "", "restore what the catalog was at this time, such as 2026-05-04T11:59:00Z")
	toIndex := cmd.Flags().String("to-index", "", "restore what it was after this log entry; latest is all that is archived")
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] != app.NewestSnapshot {
			body.Snapshot = args[0]
		}
		if err := restorePoint(&body, *toTime, *toIndex); err != nil {
			return &usageError{err}
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := confirm("Restore " + restoreText(&body) + " into this cluster?"); err != nil {
			return err
		}
		body.ID = uuid.NewString()
		bar := newByteProgress(r.err)
		done, err := r.restore(cmd.Context(), &body, bar)
		bar.end()
		if err != nil {
			return err
		}
		return r.print(done, func(w io.Writer) error { return writeRestore(w, done) })
	}
	return cmd
}

// restorePoint reads which point is asked for.
func restorePoint(body *management.RestoreRequest, toTime, toIndex string) error {
	switch {
	case toTime != "" && toIndex != "":
		return errors.New("--to-time and --to-index: one of them, not both")
	case toTime != "":
		at, err := time.Parse(time.RFC3339, toTime)
		if err != nil {
			return fmt.Errorf("--to-time: expected a time such as 2026-05-04T11:59:00Z, not %q", toTime)
		}
		body.ToTime = &at
	case toIndex == latest:
		body.ToEnd = true
	case toIndex != "":
		index, err := strconv.ParseUint(toIndex, 10, 64)
		if err != nil || index == 0 {
			return fmt.Errorf("--to-index: expected the number of a log entry, or latest, not %q", toIndex)
		}
		body.ToIndex = index
	}
	return nil
}

// restoreText says what is asked for.
func restoreText(body *management.RestoreRequest) string {
	text := "the newest snapshot"
	if body.Snapshot != "" {
		text = "snapshot " + body.Snapshot
	}
	switch {
	case body.ToTime != nil:
		text = "the state at " + timeText(*body.ToTime)
	case body.ToIndex > 0:
		text = fmt.Sprintf("the state after log entry %d", body.ToIndex)
	case body.ToEnd:
		text = "all that is archived"
	}
	if body.ClusterID != "" {
		text += " of cluster " + body.ClusterID
	}
	if body.From != "" {
		text += " from " + body.From
	}
	return text
}

// restore begins a restore and waits for its end, whatever becomes of connections
// and of the node that works on it.
func (r *remote) restore(ctx context.Context, body *management.RestoreRequest, bar *byteProgress) (*management.Restore, error) {
	var now management.Restore
	if err := r.beginRestore(ctx, body, &now); err != nil {
		return nil, err
	}
	heard := time.Now()
	for now.FinishedAt == nil {
		showRestoring(bar, &now)
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var next management.Restore
		err := r.Get(ctx, restoresPath+"/"+client.Segment(body.ID), nil, &next)
		if err == nil && next.Status == "interrupted" {
			// The node that worked on it is gone; whichever is asked now goes on.
			err = r.Post(ctx, restoresPath, body, &next)
		}
		switch {
		case err == nil:
			now, heard = next, time.Now()
		case client.IsNotFound(err), time.Since(heard) > restorePatience:
			return nil, fmt.Errorf("how the restore stands is not known any more: %w", err)
		}
	}
	if now.Error != nil {
		return nil, errors.New(*now.Error)
	}
	return &now, nil
}

// beginRestore asks once more where it was not learned what became of it: under
// its id a restore is begun once.
func (r *remote) beginRestore(ctx context.Context, body *management.RestoreRequest, into *management.Restore) error {
	err := r.Post(ctx, restoresPath, body, into)
	var refused *client.Error
	if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
		return err
	}
	select {
	case <-time.After(askEvery):
	case <-ctx.Done():
		return err
	}
	return r.Post(ctx, restoresPath, body, into)
}

// showRestoring shows how far it has come.
func showRestoring(bar *byteProgress, r *management.Restore) {
	switch {
	case r.Status == "checking":
		bar.show(fmt.Sprintf("looking for metadata files: %d of %d", r.Checked+r.Unchecked, r.Tables), 0, 0)
	case r.Entries > 0 && r.BytesWritten == 0:
		bar.show(fmt.Sprintf("applying the log: entry %d", r.Index), 0, 0)
	case r.BytesDone >= r.BytesTotal && r.BytesTotal > 0:
		bar.show("copying into the log", int64(r.BytesWritten), 0)
	default:
		bar.show("reading the snapshot", int64(r.BytesDone), int64(r.BytesTotal))
	}
}

func writeRestore(w io.Writer, r *management.Restore) error {
	checksum, at := "-", "-"
	if r.StateChecksum != nil {
		checksum = *r.StateChecksum
	}
	if r.Time != nil {
		at = timeText(*r.Time)
	}
	files := fmt.Sprintf("%d looked for, %d missing", r.Checked, r.MissingCount)
	if r.Unchecked > 0 {
		files += fmt.Sprintf(", %d not looked for", r.Unchecked)
		if r.UncheckedReason != nil {
			files += ": " + *r.UncheckedReason
		}
	}
	err := writeFields(w, []field{
		{"restored", r.Backup}, {"of cluster", r.ClusterID}, {"index", strconv.FormatUint(r.Index, 10)}, {"time", at},
		{"state checksum", checksum}, {"tables and views", strconv.FormatUint(r.Tables, 10)}, {"metadata files", files},
		{"took", r.FinishedAt.Sub(r.StartedAt).Round(time.Millisecond).String()},
	})
	if err != nil || len(r.Missing) == 0 {
		return err
	}
	var rows [][]string
	for _, f := range r.Missing {
		kind := "table"
		if f.View {
			kind = "view"
		}
		rows = append(rows, []string{kind, f.Warehouse, strings.Join(f.Namespace, "."), f.Name, f.MetadataLocation})
	}
	if _, err := fmt.Fprintln(w, "\nTheir metadata files are missing:"); err != nil {
		return err
	}
	return writeTable(w, []string{"KIND", "WAREHOUSE", "NAMESPACE", "NAME", "FILE"}, rows)
}
