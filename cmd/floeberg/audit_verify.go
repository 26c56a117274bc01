package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/ops/audit"
)

var errAuditBroken = errors.New("the audit log is not as it was written: see the findings")

func auditVerifyCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [FILE…]",
		Short: "Find records of the audit log that were removed, altered, or put elsewhere",
		Long: `Find records of the audit log that were removed, altered, or put elsewhere.

Without files every node verifies its own. With files they are read here, in whichever
order they are named; name all of a node's, those before the present one too. The
cluster is asked how far the logs had certainly come, so that it is noticed where an end was cut
off. With --offline it is not asked: what that leaves unproven is said.

The exit code is 1 where something is not as it was written.`,
	}
	offline := cmd.Flags().Bool("offline", false, "do not ask the cluster; needs files")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		for _, file := range files {
			if file == "" {
				return emptyArg(cmd)
			}
		}
		if len(files) == 0 {
			if *offline {
				return &usageError{errors.New("--offline needs files: without them the nodes are asked to verify their own")}
			}
			return auditVerifyNodes(cmd, connect)
		}
		return auditVerifyFiles(cmd, connect, files, *offline)
	}
	return cmd
}

// auditVerifyNodes has the nodes verify their own files.
func auditVerifyNodes(cmd *cobra.Command, connect connect) error {
	if !cmd.Flags().Changed("timeout") {
		// Gigabytes take longer than other answers.
		if err := cmd.Flags().Set("timeout", "10m"); err != nil {
			return err
		}
	}
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	var v management.AuditVerification
	if err := r.Get(cmd.Context(), auditPath+"/verify", nil, &v); err != nil {
		return err
	}
	err = r.print(v, func(w io.Writer) error {
		for _, n := range v.Nodes {
			fmt.Fprintf(w, "node %s\n", cell(n.Node))
			if n.Verification == nil {
				fmt.Fprintf(w, "  not verified: %s\n", cell(n.Reason))
				continue
			}
			if err := writeAuditVerification(w, n.Verification); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || v.OK {
		return err
	}
	for _, n := range v.Nodes {
		if n.Verification != nil && !n.Verification.OK {
			return errAuditBroken
		}
	}
	return errors.New("not all nodes could verify their audit logs")
}

// auditVerifyFiles verifies files that are here.
func auditVerifyFiles(cmd *cobra.Command, connect connect, files []string, offline bool) error {
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	var heads []audit.Head
	if !offline {
		var known management.AuditHeads
		if err := r.Get(cmd.Context(), auditPath+"/heads", nil, &known); err != nil {
			return fmt.Errorf("asking the cluster how far the logs had come: %w (--offline does without)", err)
		}
		heads = append([]audit.Head{}, known.Heads...)
	}
	v, err := audit.Verify(cmd.Context(), files, heads)
	if err != nil {
		return err
	}
	if err := r.print(v, func(w io.Writer) error { return writeAuditVerification(w, v) }); err != nil {
		return err
	}
	if !v.OK {
		return errAuditBroken
	}
	return nil
}

func writeAuditVerification(w io.Writer, v *audit.Verification) error {
	rows := [][]string{}
	for _, n := range v.Nodes {
		proven := "-"
		if n.ProvenTo > 0 {
			proven = strconv.FormatUint(n.ProvenTo, 10)
		}
		rows = append(rows, []string{n.Node, strconv.FormatUint(n.First, 10), strconv.FormatUint(n.Last, 10), proven})
	}
	if err := writeTable(w, []string{"NODE", "FIRST", "LAST", "PROVEN TO"}, rows); err != nil {
		return err
	}
	for _, f := range v.Findings {
		place := ""
		if f.File != "" {
			place = fmt.Sprintf("%s:%d: ", f.File, f.Line)
		}
		if f.Node != "" {
			place += "node " + f.Node + ": "
		}
		if f.Seq > 0 {
			place += fmt.Sprintf("record %d: ", f.Seq)
		}
		fmt.Fprintf(w, "finding: %s\n", cell(place+f.Problem))
	}
	if v.MoreFindings > 0 {
		fmt.Fprintf(w, "and %d findings more\n", v.MoreFindings)
	}
	for _, note := range v.Notes {
		fmt.Fprintf(w, "note: %s\n", cell(note))
	}
	if v.OK {
		fmt.Fprintf(w, "%d records, nothing removed, altered or put elsewhere\n", v.Records)
	}
	return nil
}
