package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

// deepTimeout is what --deep takes for --timeout where that is not given: the
// nodes are given a little less.
const deepTimeout = "5m"

var errVerifyFailed = errors.New("the states of the nodes were not all found to be the same")

func clusterVerifyCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the states of all nodes at one index",
		Long: `Compare the checksums of the states of all nodes at one index of the log, while writes
go on. With --deep each node also reads all that it has on disk; one whose disk does not
hold what it wrote stops for good. The exit code is 1 where a node differs, is damaged or
does not answer.`,
		Args: noArgs,
	}
	deep := cmd.Flags().Bool("deep", false, "have each node read its whole disk (--timeout is "+deepTimeout+" then)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *deep {
			query.Set("deep", "true")
			if !cmd.Flags().Changed("timeout") {
				if err := cmd.Flags().Set("timeout", deepTimeout); err != nil {
					return err
				}
			}
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var v management.ClusterVerification
		if err := r.Get(cmd.Context(), clusterPath+"/verify", query, &v); err != nil {
			return err
		}
		if err := r.print(v, func(w io.Writer) error { return writeClusterVerification(w, &v) }); err != nil {
			return err
		}
		if !v.OK {
			return errVerifyFailed
		}
		return nil
	}
	return cmd
}

func writeClusterVerification(w io.Writer, v *management.ClusterVerification) error {
	rows := make([][]string, 0, len(v.Nodes))
	for _, n := range v.Nodes {
		rows = append(rows, []string{n.ID, countText(n.Index), orDash(text(n.Checksum)), n.Result, orDash(text(n.Reason))})
	}
	if err := writeTable(w, []string{"ID", "INDEX", "CHECKSUM", "RESULT", "REASON"}, rows); err != nil {
		return err
	}
	if !v.OK {
		return nil
	}
	_, err := fmt.Fprintln(w, "\nall are the same at index "+strconv.FormatUint(v.Index, 10))
	return err
}
