package main

import (
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

func backupVerifyCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [ID]",
		Short: "Try a snapshot: restore it into a scratch state and compare the checksum",
		Long: `Try a snapshot, the newest one unless another is named: restore it into a scratch
state, as a node would, and compare the checksum of what comes out with the one that
the cluster had. A node does it, or with --from this machine, in a temporary folder
that needs as much room as the state takes. The exit code is 1 where it fails.`,
		Args: atMostOneArg,
	}
	open := snapshotsFlags(cmd, connect)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id := app.NewestSnapshot
		if len(args) == 1 {
			id = args[0]
		}
		s, r, err := open(cmd)
		if err != nil {
			return err
		}
		defer s.Close()
		bar := newByteProgress(r.err)
		op, err := s.Verify(cmd.Context(), id, bar.show)
		bar.end()
		if err != nil {
			return err
		}
		return r.print(op, func(w io.Writer) error {
			return writeFields(w, []field{
				{"id", op.Backup}, {"result", "restored, and its checksum is the cluster's"}, {"index", strconv.FormatUint(op.Manifest.Index, 10)},
				{"state checksum", op.StateChecksum}, {"time", timeText(op.Manifest.Time)}, {"took", op.FinishedAt.Sub(op.StartedAt).Round(time.Millisecond).String()},
			})
		})
	}
	return cmd
}
