package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const keysPath = "/management/v1/keys"

func keyCommand() *cobra.Command {
	cmd, connect := remoteCommand("key", "Make, list, rotate and revoke API keys", `A key is shown this once, when it is made: the cluster keeps its hash. Keys go by their
ids, which are no secrets. Its groups decide what it may do: admin, writer, reader and
auditor exist from the start`)
	cmd.AddCommand(keyCreateCommand(connect), keyListCommand(connect), keyRevokeCommand(connect), keyRotateCommand(connect))
	return cmd
}

func keyCreateCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME --group G[,G…]",
		Short: "Make a key and show it, once",
		Args:  oneArg("a name for the key"),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	groups := flags.StringSlice("group", nil, "what its rights are given to, comma-separated")
	tenant := flags.String("tenant", "", "whom it belongs to (default nobody in particular)")
	expires := flags.Duration("expires", 0, "how long it lives, such as 24h (default for ever)")
	force := flags.Bool("force", false, "take names of groups that look like a slip")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(*groups) == 0 {
			return &usageError{fmt.Errorf("--group: a key without a group has no rights (see %s --help)", cmd.CommandPath())}
		}
		body := management.CreateKey{Name: args[0], Force: *force}
		for _, group := range *groups {
			body.Groups = append(body.Groups, strings.TrimSpace(group))
		}
		if cmd.Flags().Changed("tenant") {
			body.Tenant = tenant
		}
		var err error
		if body.ExpiresInSeconds, err = secondsFlag(cmd, "expires", *expires, time.Second); err != nil {
			return err
		}
		return showNewKey(cmd, connect, keysPath, body)
	}
	return cmd
}

func keyRotateCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make a new key in the place of another, which goes on for a while",
		Long: `Make a new key in the place of another and show it, once. It has the same name, groups
and tenant, and is the same principal's: what policies and logs say of that holds on.
The old key is honoured for the time of --overlap, in which clients are given the new
one; a key that others may know is better revoked.`,
		Args: oneArg("a key's id"),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	overlap := flags.Duration("overlap", 24*time.Hour, "how long the old key goes on; 0s ends it at once")
	expires := flags.Duration("expires", 0, "how long the new key lives (default as long as the old one was made for)")
	force := flags.Bool("force", false, "do it though no admin might have a key sooner than before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body := management.RotateKey{Force: *force}
		var err error
		if body.OverlapSeconds, err = secondsFlag(cmd, "overlap", *overlap, 0); err != nil {
			return err
		}
		if body.ExpiresInSeconds, err = secondsFlag(cmd, "expires", *expires, time.Second); err != nil {
			return err
		}
		return showNewKey(cmd, connect, keysPath+"/"+client.Segment(args[0])+"/rotate", body)
	}
	return cmd
}

// secondsFlag reads a duration that was given; nil is that it was not.
func secondsFlag(cmd *cobra.Command, name string, d, least time.Duration) (*int64, error) {
	if !cmd.Flags().Changed(name) {
		return nil, nil
	}
	if d < least || d%time.Second != 0 {
		return nil, &usageError{fmt.Errorf("--%s: expected whole seconds from %s on, such as 24h, not %s", name, least, d)}
	}
	n := int64(d / time.Second)
	return &n, nil
}

// showNewKey asks for a key and shows it.
func showNewKey(cmd *cobra.Command, connect connect, path string, body any) error {
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	var k management.NewKey
	if err := r.Post(cmd.Context(), path, body, &k); err != nil {
		return secretLost(err)
	}
	for _, warning := range k.Warnings {
		fmt.Fprintf(r.err, "warning: %s\n", warning)
	}
	return r.print(k, func(w io.Writer) error {
		fields := []field{
			{"id", k.ID}, {"name", k.Name}, {"principal", k.Principal}, {"groups", strings.Join(k.Groups, ", ")},
			{"tenant", orDash(text(k.Tenant))}, {"expires", neverText(k.ExpiresAt)}, {"key", k.Key},
		}
		if k.Replaces != nil {
			fields = append(fields, field{"replaces", k.Replaces.ID + ", " + oldKeyText(k.Replaces)})
		}
		if err := writeFields(w, fields); err != nil {
			return err
		}
		fmt.Fprintln(r.err, "The key is shown this once: keep it.")
		return nil
	})
}

// secretLost says what to do where nobody knows whether a key was made.
func secretLost(err error) error {
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Status < 500 {
		return err
	}
	return fmt.Errorf("%w (if a key was made nobody has it: find it with key list, and revoke it)", err)
}

func oldKeyText(k *management.Key) string {
	if k.RevokedAt != nil {
		return "which has ended"
	}
	return "which is honoured until " + neverText(k.ExpiresAt)
}

func keyListCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys, the oldest first; ended ones are kept for 30 days",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			list := []management.Key{}
			next := func(page *management.KeyList) string { return page.NextPageToken }
			for page, err := range client.Pages(cmd.Context(), r.Client, keysPath, nil, next) {
				if err != nil {
					return err
				}
				list = append(list, page.Keys...)
			}
			slices.SortStableFunc(list, func(a, b management.Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
			return r.print(list, func(w io.Writer) error { return writeKeys(w, list) })
		},
	}
}

func writeKeys(w io.Writer, list []management.Key) error {
	rows := make([][]string, len(list))
	for i, k := range list {
		rows[i] = []string{
			k.ID, k.Name, strings.Join(k.Groups, ","), orDash(text(k.Tenant)), k.Status,
			timeText(k.CreatedAt), neverText(k.ExpiresAt), momentText(k.LastUsedAt), k.Principal,
		}
	}
	return writeTable(w, []string{"ID", "NAME", "GROUPS", "TENANT", "STATUS", "CREATED", "EXPIRES", "LAST USED", "PRINCIPAL"}, rows)
}

func keyRevokeCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Take a key away for good, on all nodes at once",
		Args:  oneArg("a key's id"),
	}
	force := cmd.Flags().Bool("force", false, "do it though no admin might have a key then")
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.HasPrefix(args[0], "fb_") {
			return &usageError{errors.New("expected a key's id, such as key-0123456789abcdef, not the key itself")}
		}
		if err := confirm(fmt.Sprintf("Revoke the key %s for good?", args[0])); err != nil {
			return err
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		path := keysPath + "/" + client.Segment(args[0]) + "/revoke"
		if *force {
			path += "?force=true"
		}
		var k management.Key
		if err := r.Post(cmd.Context(), path, nil, &k); err != nil {
			return err
		}
		return r.print(k, func(w io.Writer) error { return writeKeys(w, []management.Key{k}) })
	}
	return cmd
}

// neverText is the end of what may have none.
func neverText(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return timeText(*t)
}
