package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

func policyTryCommand(open openPolicies) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "try FILE",
		Short: "Say what policies would have made of what was asked for lately; - reads standard input",
		Long: `Say which of the last decisions on record would be otherwise with these policies in the
place of those in force, and change nothing; - reads standard input. On record are
denials and changes that were allowed, not reads that were: what readers would lose is
not told.`,
		Args: oneArg("a file of policies"),
	}
	last := cmd.Flags().Int("last", 1000, "how many of the last decisions are looked at")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *last < 1 {
			return &usageError{fmt.Errorf("--last: expected a positive number, not %d", *last)}
		}
		p, err := open(cmd)
		if err != nil {
			return err
		}
		defer p.Close()
		policies, err := readPolicies(cmd, args[0])
		if err != nil {
			return err
		}
		var trial management.PolicyTrial
		if err := p.Post(cmd.Context(), p.at("/try"), management.TryPolicies{Text: policies, Last: *last}, &trial); err != nil {
			return err
		}
		if trial.Incomplete > 0 {
			fmt.Fprintf(p.err, "%d decisions were left out: part of what they looked at was too long to be on record\n", trial.Incomplete)
		}
		for _, node := range trial.Missing {
			fmt.Fprintf(p.err, "the records of %s were not looked at: %s\n", node.Node, node.Reason)
		}
		return p.print(trial, func(w io.Writer) error { return writeTrial(w, &trial) })
	}
	return cmd
}

func writeTrial(w io.Writer, trial *management.PolicyTrial) error {
	if _, err := fmt.Fprintf(w, "%d of the last %d decisions would be otherwise\n", len(trial.Changed)+trial.More, trial.Decisions); err != nil {
		return err
	}
	rows := make([][]string, len(trial.Changed))
	for i, c := range trial.Changed {
		verdict := "denied"
		if c.Allowed {
			verdict = "allowed"
		}
		resource := "-"
		if c.Resource != nil {
			path := append([]string{}, c.Resource.Namespace...)
			if c.Resource.Name != "" {
				path = append(path, c.Resource.Name)
			}
			resource = strings.TrimSpace(c.Resource.Kind + " " + c.Resource.Warehouse + " " + client.Name(path).String())
		}
		rows[i] = []string{timeText(c.Time), c.Principal, c.PrincipalName, c.Action, resource, verdict, orDash(refsText(c.Policies)), orDash(refsText(c.Now))}
	}
	return writeSection(w, []string{"TIME", "PRINCIPAL", "NAME", "ACTION", "RESOURCE", "WOULD BE", "BY", "NOW BY"}, rows)
}

func refsText(refs []management.PolicyRef) string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = r.Policy
	}
	return strings.Join(names, " ")
}
