package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/config"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Work with the settings of a node",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configExampleCommand(), configCheckCommand())
	return cmd
}

func configExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a file with every setting at its default",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return config.WriteExample(cmd.OutOrStdout())
		},
	}
}

func configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check settings as serve would, without starting anything",
		Args:  noArgs,
	}
	load := settingFlags(cmd)
	output := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		if _, err := load(); err != nil {
			return err
		}
		if format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]bool{"valid": true})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "The settings are valid.")
		return err
	}
	return cmd
}
