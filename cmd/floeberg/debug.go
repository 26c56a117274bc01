package main

import "github.com/spf13/cobra"

func debugCommand() *cobra.Command {
	cmd, connect := remoteCommand("debug", "Gather what helps to find out what is wrong", "")
	cmd.AddCommand(debugBundleCommand(connect))
	return cmd
}
