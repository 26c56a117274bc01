package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

const keyringPath = clusterPath + "/keyring"

func clusterKeyringCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keyring",
		Short: "Look at the keys that encrypt gossip, and change them",
		Long: `Look at the keys that encrypt gossip, and change them. Keys go by short hashes, their
ids; they are never shown. A key is changed in three steps, each of which every node
must take before the next one:

  (umask 077; floeberg cluster keyring generate > new.key)
  floeberg cluster keyring install - < new.key
  floeberg cluster keyring use ID
  floeberg cluster keyring remove OLD-ID

Each node keeps its keys in its data folder; --gossip-key is only for its first start.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		keyringListCommand(connect),
		keyringChangeCommand(connect, "install", "KEY", "Give every node a key, to decrypt with; - reads it from standard input", "a key"),
		keyringChangeCommand(connect, "use", "ID", "Have every node encrypt with a key that all have", "a key's id"),
		keyringChangeCommand(connect, "remove", "ID", "Have every node forget a key that none encrypts with", "a key's id"),
		keyringGenerateCommand(),
	)
	return cmd
}

func keyringListCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys of every node by their ids",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var state management.KeyringState
			if err := r.Get(cmd.Context(), keyringPath, nil, &state); err != nil {
				return err
			}
			return r.print(state.Nodes, func(w io.Writer) error { return writeKeyring(w, state.Nodes) })
		},
	}
}

func keyringChangeCommand(connect connect, what, argument, short, wanted string) *cobra.Command {
	return &cobra.Command{
		Use:   what + " " + argument,
		Short: short,
		Args:  oneArg(wanted),
		RunE: func(cmd *cobra.Command, args []string) error {
			key := args[0]
			if key == "-" {
				line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
				if err != nil && !errors.Is(err, io.EOF) {
					return fmt.Errorf("reading the key: %w", err)
				}
				key = strings.TrimSpace(line)
			}
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var state management.KeyringState
			if err := r.Post(cmd.Context(), keyringPath+"/"+what, management.KeyringChange{Key: key}, &state); err != nil {
				return err
			}
			if err := r.print(state.Nodes, func(w io.Writer) error { return writeKeyring(w, state.Nodes) }); err != nil {
				return err
			}
			for _, k := range state.Nodes {
				if k.Error != nil {
					return fmt.Errorf("not every node did it; mend what is wrong with %s, and repeat this", k.Node)
				}
			}
			return nil
		},
	}
}

func writeKeyring(w io.Writer, nodes []management.NodeKeys) error {
	rows := make([][]string, 0, len(nodes))
	for _, k := range nodes {
		rows = append(rows, []string{k.Node, orDash(text(k.Primary)), orDash(strings.Join(k.Keys, " ")), orDash(text(k.Error))})
	}
	return writeTable(w, []string{"NODE", "ENCRYPTS WITH", "KEYS", "ERROR"}, rows)
}
