package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

const secretsPath = "/management/v1/secrets"

func secretCommand() *cobra.Command {
	cmd, connect := remoteCommand("secret", "The keys that secrets in the state are kept under: make, look at, rotate",
		`Secrets that the cluster keeps are sealed with data keys, which are part of the state,
and those are wrapped by the cluster key, which is not: every node is given it by
--secret-key. Keys go by their names, which are no secrets; they are never shown.

  floeberg secret keygen --out /etc/floeberg/secret.key
  floeberg serve … --secret-key file:///etc/floeberg/secret.key
  floeberg secret status
  floeberg secret rotate`)
	cmd.AddCommand(secretStatusCommand(connect), secretRotateCommand(connect), secretKeygenCommand(connect))
	return cmd
}

func secretStatusCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the data keys, and which nodes can open them",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var s management.SecretStatus
			if err := r.Get(cmd.Context(), secretsPath, nil, &s); err != nil {
				return err
			}
			return r.print(s, func(w io.Writer) error { return writeSecretStatus(w, &s) })
		},
	}
}

func writeSecretStatus(w io.Writer, s *management.SecretStatus) error {
	rows := make([][]string, 0, len(s.DataKeys))
	for _, k := range s.DataKeys {
		use := "old"
		if k.Seals {
			use = "seals"
		}
		rows = append(rows, []string{k.ID, use, strconv.Itoa(k.Secrets), k.ClusterKey, timeText(k.CreatedAt)})
	}
	if err := writeTable(w, []string{"DATA KEY", "USE", "SECRETS", "CLUSTER KEY", "CREATED"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	rows = rows[:0]
	for _, n := range s.Nodes {
		rows = append(rows, []string{
			n.Node, orDash(text(n.ClusterKey)), orDash(strings.Join(n.Previous, " ")),
			fmt.Sprintf("%d of %d", n.Open, n.Open+n.Closed), orDash(text(n.Problem)),
		})
	}
	return writeTable(w, []string{"NODE", "CLUSTER KEY", "PREVIOUS", "OPEN", "PROBLEM"}, rows)
}

func secretRotateCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Seal all secrets anew, with another data key under the present cluster key",
		Long: `Seal all secrets anew, with another data key that is wrapped by the cluster key of the
node that is asked, and forget the data keys that seal nothing any more. To change the
cluster key, give every node the new one as --secret-key and the old one as
--secret-key-previous, rotate, and take the old one away.

It is refused where a node does not hold the cluster key or does not answer, and where
there are secrets that can't be opened. What is cut off in the middle goes on by itself.`,
		Args: noArgs,
	}
	force := cmd.Flags().Bool("force", false, "do it though nodes, or secrets that can't be opened, are left behind")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var out management.SecretRotation
		path := secretsPath + "/rotate"
		if *force {
			path += "?force=true"
		}
		if err := r.Post(cmd.Context(), path, nil, &out); err != nil {
			return err
		}
		return r.print(out, func(w io.Writer) error {
			return writeFields(w, []field{
				{"data key", out.DataKey}, {"cluster key", out.ClusterKey}, {"secrets", strconv.Itoa(out.Secrets)},
				{"left", strconv.Itoa(out.Left)}, {"forgotten", orDash(strings.Join(out.Forgotten, " "))},
			})
		})
	}
	return cmd
}
