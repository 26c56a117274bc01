package main

import (
	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

func backupKeygenCommand(connect connect) *cobra.Command {
	return keygenCommand(connect, keygen{
		short: "Make a key that encrypts snapshots, for --snapshot-key",
		long: `Make a key that encrypts snapshots, in the format of age (age-keygen makes the same).
The nodes need the file to read back what they write, and whoever restores needs it:
keep it where the snapshots are not. A node that is only to write may be given a file
with the recipient alone, the line that begins with age1.`,
		called: "recipient", make: app.MakeSnapshotKey,
	})
}
