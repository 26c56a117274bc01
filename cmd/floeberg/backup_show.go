package main

import (
	"io"

	"github.com/spf13/cobra"
)

func backupShowCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: `Show what is in a snapshot; "newest" is an id too`,
		Args:  oneArg("a snapshot's id, or newest"),
	}
	open := snapshotsFlags(cmd, connect)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, r, err := open(cmd)
		if err != nil {
			return err
		}
		defer s.Close()
		m, err := s.Show(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return r.print(m, func(w io.Writer) error { return writeFields(w, backupFields(m)) })
	}
	return cmd
}
