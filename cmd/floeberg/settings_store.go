package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/config"
)

// storeFlags adds a flag for every setting by which a snapshot store is reached.
// The returned function reads them, with environment and file as a node does,
// for the store at a URL.
func storeFlags(cmd *cobra.Command, from *string) func() (*config.Config, error) {
	given := make(map[string]string)
	addSettings(cmd, config.StoreSettings(), given)
	return func() (*config.Config, error) {
		given["snapshot-store"] = *from
		cfg, err := config.Load(config.Sources{Flags: given, Environ: os.Environ()})
		var problem *config.Problem
		if errors.As(err, &problem) && problem.Source == "--snapshot-store" {
			problem.Source = "--from"
		}
		return cfg, err
	}
}
