package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/certs"
)

func certAuthorityCommand() *cobra.Command {
	opts := certs.AuthorityOptions{}
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make the authority of a cluster: ca.crt and ca.key",
		Args:  noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Dir, "out", "", "folder for ca.crt and ca.key, made where it is missing; nothing is overwritten")
	flags.StringVar(&opts.Name, "name", certs.DefaultAuthorityName, "the authority's name")
	flags.IntVar(&opts.Days, "days", certs.DefaultAuthorityDays, "how long it is valid")
	output := outputFlag(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		if err := needed(cmd, "out", "name"); err != nil {
			return err
		}
		if opts.Days < 1 {
			return &usageError{fmt.Errorf("--days: expected 1 to %d, not %d", certs.MaxDays, opts.Days)}
		}
		opts.Now = time.Now()
		made, err := certs.MakeAuthority(opts)
		if err != nil {
			return certError(err)
		}
		return printMade(cmd.OutOrStdout(), format, made)
	}
	return cmd
}
