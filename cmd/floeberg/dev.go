package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app/dev"
)

func devCommand() *cobra.Command {
	opts := dev.Options{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a cluster of several nodes on this machine, to try things out",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Nodes < 1 || opts.Nodes > dev.MaxNodes {
				return &usageError{fmt.Errorf("--nodes: expected a number from 1 to %d, not %d", dev.MaxNodes, opts.Nodes)}
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program's file: %w", err)
			}
			opts.Program, opts.Out, opts.Environ = program, cmd.OutOrStdout(), os.Environ()
			// Two, so that a second one is not lost while the first is worked on.
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer signal.Stop(signals)
			return dev.Run(cmd.Context(), opts, signals)
		},
	}
	cmd.Flags().IntVar(&opts.Nodes, "nodes", 3, "how many nodes")
	cmd.Flags().StringVar(&opts.Dir, "dir", "", "folder for all data, kept at the end (default a temporary one)")
	return cmd
}
