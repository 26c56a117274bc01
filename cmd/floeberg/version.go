package main

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

type versionInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	app.Formats
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Say which version this is, and which formats it knows", Args: noArgs}
	output := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		info := versionInfo{
			Version: programVersion(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Formats: app.KnownFormats(),
		}
		if format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), info)
		}
		return writeFields(cmd.OutOrStdout(), []field{
			{"floeberg", info.Version},
			{"go", info.Go},
			{"platform", info.OS + "/" + info.Arch},
			{"command versions", fmt.Sprintf("%d to %d", info.OldestCommand, info.NewestCommand)},
			{"data folder format", strconv.Itoa(info.Folder)},
			{"state format", strconv.Itoa(info.State)},
			{"snapshot format", strconv.Itoa(info.Snapshot)},
		})
	}
	return cmd
}
