package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/certs"
)

func certNodeCommand() *cobra.Command {
	opts := certs.NodeOptions{}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Make the certificate of a node: node.crt and node.key",
		Long: `Make the certificate of a node: node.crt and node.key. A running node takes up files
that have changed by itself.`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	authority := flags.String("ca", "", "folder of the authority, as floeberg cert ca wrote it")
	flags.StringVar(&opts.ID, "id", "", "the node's --node-id")
	hosts := flags.String("host", "", "names and addresses that others reach the node by, comma-separated, without ports")
	flags.StringVar(&opts.Dir, "out", "", "folder for node.crt and node.key, made where it is missing; nothing is overwritten but with --renew")
	flags.IntVar(&opts.Days, "days", 0, fmt.Sprintf("how long it is valid (default %d, or as long as the authority)", certs.DefaultNodeDays))
	flags.BoolVar(&opts.Renew, "renew", false, "replace this node's files that are there")
	output := outputFlag(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		if err := needed(cmd, "ca", "id", "host", "out"); err != nil {
			return err
		}
		if cmd.Flags().Changed("days") && opts.Days < 1 {
			return &usageError{fmt.Errorf("--days: expected 1 to %d, not %d", certs.MaxDays, opts.Days)}
		}
		opts.Hosts, opts.Now = strings.Split(*hosts, ","), time.Now()
		signer, err := certs.OpenAuthority(*authority, opts.Now)
		if err != nil {
			return err
		}
		made, err := signer.Issue(opts)
		if err != nil {
			return certError(err)
		}
		return printMade(cmd.OutOrStdout(), format, made)
	}
	return cmd
}
