package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
)

// Where commands find a node and its key when no flag says it.
const (
	addrEnv     = "FLOEBERG_ADDR"
	keyEnv      = "FLOEBERG_KEY"
	defaultAddr = "http://127.0.0.1:8181"
)

// nameHelp tells how names are written on a command line.
const nameHelp = `A name is its levels with dots between them, such as sales.eu.orders. A level that
holds a dot or a quote stands in double quotes, in which two quotes are one, as in
SQL; single quotes around all of it keep a shell from taking the double ones:

  floeberg table show 'sales."a.b".orders'`

// remote is a command's way to a running node.
type remote struct {
	*client.Client
	out, err io.Writer
	format   string
}

// connect reads the flags of a command that speaks to a node. What it returns is
// closed with Close.
type connect func(cmd *cobra.Command) (*remote, error)

// remoteCommand is a group of commands that speak to a node.
func remoteCommand(use, short, long string) (*cobra.Command, connect) {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	if long != "" {
		cmd.Long = short + ".\n\n" + long
	}
	flags := cmd.PersistentFlags()
	flags.SortFlags = false
	addr := flags.String("addr", "", "nodes to ask, comma-separated, the next one where one is gone (default $"+addrEnv+", else "+defaultAddr+")")
	key := flags.String("key", "", "API key (default $"+keyEnv+")")
	warehouse := flags.String("warehouse", "", "name of the warehouse (default the server's)")
	timeout := flags.Duration("timeout", 45*time.Second, "how long an answer may take, all nodes together")
	output := outputFlag(flags)
	return cmd, func(cmd *cobra.Command) (*remote, error) {
		format, err := output()
		if err != nil {
			return nil, err
		}
		if *timeout <= 0 {
			return nil, &usageError{fmt.Errorf("--timeout: expected a duration such as 45s, not %s", *timeout)}
		}
		source, addresses := "--addr", *addr
		if addresses == "" {
			source, addresses = addrEnv, os.Getenv(addrEnv)
		}
		if addresses == "" {
			addresses = defaultAddr
		}
		secret := *key
		if secret == "" {
			secret = os.Getenv(keyEnv)
		}
		c, err := client.New(client.Options{
			Addresses: strings.Split(addresses, ","), Key: strings.TrimSpace(secret), Warehouse: *warehouse, Timeout: *timeout,
		})
		if err != nil {
			return nil, &usageError{fmt.Errorf("%s: %w", source, err)}
		}
		return &remote{Client: c, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), format: format}, nil
	}
}

// print writes a command's result: as JSON where that is asked for.
func (r *remote) print(value any, asText func(io.Writer) error) error {
	if r.format == outputJSON {
		return writeJSON(r.out, value)
	}
	return asText(r.out)
}

// oneArg wants one argument and says what it is. An empty one is most often a
// shell's variable that is not set.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 1 && args[0] != "":
			return nil
		case len(args) == 1:
			return emptyArg(cmd)
		}
		return &usageError{fmt.Errorf("expected %s, not %d arguments (see %s --help)", what, len(args), cmd.CommandPath())}
	}
}

// atMostOneArg takes one argument or none.
func atMostOneArg(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return noArgs(cmd, args[1:])
	case len(args) == 1 && args[0] == "":
		return emptyArg(cmd)
	}
	return nil
}

func emptyArg(cmd *cobra.Command) error {
	return &usageError{fmt.Errorf("the argument is empty (see %s --help)", cmd.CommandPath())}
}

// nameArg reads a namespace's name.
func nameArg(text string) (client.Name, error) {
	name, err := client.ParseName(text)
	if err != nil {
		return nil, &usageError{err}
	}
	return name, nil
}

// entryArg reads the name of a table or a view.
func entryArg(text string) (client.Name, error) {
	name, err := nameArg(text)
	if err == nil && len(name) < 2 {
		err = &usageError{errors.New("expected a namespace and a name with a dot between them, not " + text)}
	}
	return name, err
}
