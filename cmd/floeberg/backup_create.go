package main

import (
	"io"

	"github.com/spf13/cobra"
)

func backupCreateCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "create",
		Short: "Make a snapshot of all that is acknowledged now, and wait until it is there",
		Long: `Make a snapshot of all that is acknowledged now, and wait until it is in the snapshot
store, read back and compared. The leader makes it; it goes on when this command is
interrupted.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			bar := newByteProgress(r.err)
			op, err := r.backupWork(cmd.Context(), backupsPath, bar.show)
			bar.end()
			if err != nil {
				return err
			}
			return r.print(op.Manifest, func(w io.Writer) error { return writeFields(w, backupFields(op.Manifest)) })
		},
	}
}
