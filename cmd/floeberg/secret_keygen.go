package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

// madeSecretKey is what keygen tells.
type madeSecretKey struct {
	File string `json:"file"`
	Name string `json:"name"`
}

func secretKeygenCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen --out FILE",
		Short: "Make a cluster key, for --secret-key",
		Long: `Make a cluster key, 32 random bytes in base64. Every node needs the same one, and whoever
restores a backup needs it: keep a copy where neither the nodes nor the backups are. Who
has lost it has lost the secrets.`,
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
		name, err := app.MakeSecretKey(*out)
		if err != nil {
			return err
		}
		return r.print(madeSecretKey{File: *out, Name: name}, func(w io.Writer) error {
			return writeFields(w, []field{{"file", *out}, {"name", name}})
		})
	}
	return cmd
}
