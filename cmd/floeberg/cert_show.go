package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/certs"
)

func certShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show the certificates of a file: for whom, how long, good for what",
		Args:  oneArg("a file"),
	}
	output := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		found, err := certs.Describe(args[0], time.Now())
		if err != nil {
			return err
		}
		if format == outputJSON {
			list := make([]certInfo, len(found))
			for i := range found {
				list[i] = showCert(&found[i])
			}
			return writeJSON(cmd.OutOrStdout(), list)
		}
		for i := range found {
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			if err := writeFields(cmd.OutOrStdout(), certFields(&found[i])); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
