package main

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

// listedBackup is a snapshot as --output json lists it.
type listedBackup struct {
	*management.Backup
	// ID is there where the manifest can't be read, too.
	ID string `json:"id"`
	// Problem is why it can't be restored; null where nothing is known against it.
	Problem *string `json:"problem"`
}

func backupListCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the snapshots, the newest first",
		Args:  noArgs,
	}
	open := snapshotsFlags(cmd, connect)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, r, err := open(cmd)
		if err != nil {
			return err
		}
		defer s.Close()
		found, err := s.List(cmd.Context())
		if err != nil {
			return err
		}
		list := []listedBackup{}
		rows := [][]string{}
		for _, m := range found.Backups {
			list = append(list, listedBackup{Backup: m, ID: m.ID})
			rows = append(rows, []string{m.ID, timeText(m.Time), strconv.FormatUint(m.Index, 10), sizeText(m.Bytes), yesNo(m.Encryption != nil), m.Node, "-"})
		}
		for _, d := range found.Damaged {
			list = append(list, listedBackup{ID: d.ID, Problem: &d.Problem})
			rows = append(rows, []string{d.ID, "-", "-", "-", "-", "-", d.Problem})
		}
		return r.print(list, func(w io.Writer) error {
			return writeTable(w, []string{"ID", "TIME", "INDEX", "SIZE", "ENCRYPTED", "NODE", "PROBLEM"}, rows)
		})
	}
	return cmd
}
