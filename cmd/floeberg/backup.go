package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/app"
)

const (
	backupsPath    = "/management/v1/backups"
	backupWorkPath = backupsPath + "/operations"
)

// backupHelp tells where the snapshots are that the commands speak of.
const backupHelp = `A running cluster is asked for the snapshots in its snapshot store (--snapshot-store of
"serve"). With --from the store itself is read, for when no cluster is left:

  floeberg backup list --from s3://lake/snapshots --s3-region eu-central-1`

func backupCommand() *cobra.Command {
	cmd, connect := remoteCommand("backup", "Snapshots in object storage: make, list, try, restore", backupHelp)
	cmd.AddCommand(
		backupCreateCommand(connect), backupListCommand(connect), backupShowCommand(connect), backupVerifyCommand(connect), backupRestoreCommand(connect), backupKeygenCommand(connect),
	)
	return cmd
}

// snapshots is what commands need of the snapshots of one cluster, wherever they
// learn of them.
type snapshots interface {
	List(ctx context.Context) (*management.BackupList, error)
	Show(ctx context.Context, id string) (*management.Backup, error)
	// Verify restores one into a scratch state and tells how far that has come.
	Verify(ctx context.Context, id string, progress func(phase string, done, total int64)) (*management.BackupOperation, error)
	Close()
}

// snapshotsFlags adds --from and how the store is reached there. The returned
// function gives the snapshots: those of a running cluster without --from.
func snapshotsFlags(cmd *cobra.Command, connect connect) func(cmd *cobra.Command) (snapshots, *remote, error) {
	from := cmd.Flags().String("from", "", "read this store, and ask no cluster: such as s3://BUCKET/PATH or file:///PATH")
	id := cmd.Flags().String("cluster-id", "", "with --from, whose snapshots, where there are those of several clusters")
	load := storeFlags(cmd, from)
	return func(cmd *cobra.Command) (snapshots, *remote, error) {
		r, err := connect(cmd)
		if err != nil {
			return nil, nil, err
		}
		if *from == "" {
			return &remoteSnapshots{r}, r, nil
		}
		r.Close() // nobody is asked
		cfg, err := load()
		if err != nil {
			return nil, nil, err
		}
		s, err := app.OpenSnapshots(cmd.Context(), cfg, *id)
		if err != nil {
			return nil, nil, err
		}
		return s, r, nil
	}
}

func encryptedText(m *management.Backup) string {
	if m.Encryption == nil {
		return "no"
	}
	return m.Encryption.Method + " " + strings.Join(m.Encryption.Recipients, ", ")
}

// backupFields are a snapshot's manifest for people.
func backupFields(m *management.Backup) []field {
	var members []string
	for _, member := range m.Members {
		role := "nonvoter"
		if member.Voter {
			role = "voter"
		}
		members = append(members, fmt.Sprintf("%s (%s, %s)", member.ID, role, member.Address))
	}
	return []field{
		{"id", m.ID}, {"cluster", m.ClusterID}, {"time", timeText(m.Time)}, {"index", strconv.FormatUint(m.Index, 10)},
		{"term", strconv.FormatUint(m.Term, 10)}, {"revision", strconv.FormatUint(m.Revision, 10)}, {"state checksum", m.StateChecksum},
		{"members", strings.Join(members, ", ")}, {"object", m.Object}, {"size", sizeText(m.Bytes)}, {"sha-256", m.SHA256},
		{"encrypted", encryptedText(m)}, {"written by", cmp.Or(m.Node, "-") + ", version " + cmp.Or(m.Version, "-")}, {"created", timeText(m.CreatedAt)},
	}
}

// sizeText is a number of bytes for people.
func sizeText(bytes int64) string {
	value, unit := float64(bytes), 0
	for ; value >= 1000 && unit < 4; unit++ {
		value /= 1000
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %cB", value, " kMGT"[unit])
}
