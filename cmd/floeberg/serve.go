package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/config"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "serve", Short: "Run one node", Args: noArgs}
	load := settingFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		// Before anything is started, so that no signal is missed; room for a
		// second one while the first is worked on.
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer signal.Stop(signals)
		return app.Run(cmd.Context(), app.Options{
			Config:  cfg,
			Version: programVersion(),
			Log:     cmd.ErrOrStderr(),
			Out:     cmd.OutOrStdout(),
			// The same sources again: what a running node can take over it does.
			Reload: func() (*config.Config, error) { return load() },
		}, signals)
	}
	return cmd
}
