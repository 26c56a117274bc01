// Command floeberg is a highly available Apache Iceberg REST catalog: a node of
// it, and the commands around it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/config"
)

// version is set when a release is linked; see programVersion.
var version string

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command line and gives its exit code. An error is one
// line, whatever it holds.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "floeberg: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage *usageError
	var problem *config.Problem
	if errors.As(err, &usage) || errors.As(err, &problem) {
		return exitUsage
	}
	return exitFailed
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:               "floeberg",
		Short:             "A highly available Apache Iceberg REST catalog",
		Version:           programVersion(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.AddCommand(
		serveCommand(), devCommand(), clusterCommand(), configCommand(), namespaceCommand(), tableCommand(), viewCommand(),
		warehouseCommand(), keyCommand(), policyCommand(), taskCommand(), auditCommand(), backupCommand(), secretCommand(), certCommand(), debugCommand(), openapiCommand(), versionCommand(),
	)
	return root
}

// usageError is a command line that can't be carried out as it is written.
type usageError struct{ error }

// Unwrap gives the cause.
func (e *usageError) Unwrap() error { return e.error }

// noArgs refuses arguments: most often a misspelled command, or the value of a
// switch that needs an equals sign.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{fmt.Errorf("unexpected argument %q (see %s --help)", args[0], cmd.CommandPath())}
}

// programVersion is the linked version, or what the build knows of its source.
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "dev"
	}
	return strings.Trim(info.Main.Version, "()")
}
