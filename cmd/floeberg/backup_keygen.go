package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

// madeSnapshotKey is what keygen tells.
type madeSnapshotKey struct {
	File      string `json:"file"`
	Recipient string `json:"recipient"`
}

func backupKeygenCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen --out FILE",
		Short: "Make a key that encrypts snapshots, for --snapshot-key",
		Long: `Make a key that encrypts snapshots, in the format of age (age-keygen makes the same).
The nodes need the file to read back what they write, and whoever restores needs it:
keep it where the snapshots are not. A node that is only to write may be given a file
with the recipient alone, the line that begins with age1.`,
		Args: noArgs,
	}
	out := cmd.Flags().String("out", "", "file to make, 0600; nothing is overwritten")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *out == "" {
			return &usageError{errors.New("--out: is needed: the file to write the key to")}
		}
		r, err := connect(cmd) // whom nothing is asked: for --output
		if err != nil {
			return err
		}
		defer r.Close()
		recipient, err := app.MakeSnapshotKey(*out)
		if err != nil {
			return err
		}
		return r.print(madeSnapshotKey{File: *out, Recipient: recipient}, func(w io.Writer) error {
			return writeFields(w, []field{{"file", *out}, {"recipient", recipient}})
		})
	}
	return cmd
}
