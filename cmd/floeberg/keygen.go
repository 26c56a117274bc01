package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// keygen is what commands that make the file of a key differ in.
type keygen struct {
	short, long string
	// called is what the key is known by; it is told beside the file.
	called string
	make   func(file string) (called string, err error)
}

func keygenCommand(connect connect, k keygen) *cobra.Command {
	cmd := &cobra.Command{Use: "keygen --out FILE", Short: k.short, Long: k.long, Args: noArgs}
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
		called, err := k.make(*out)
		if err != nil {
			return err
		}
		return r.print(map[string]string{"file": *out, k.called: called}, func(w io.Writer) error {
			return writeFields(w, []field{{"file", *out}, {k.called, called}})
		})
	}
	return cmd
}
