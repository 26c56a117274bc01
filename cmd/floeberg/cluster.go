package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const (
	clusterPath = "/management/v1/cluster"
	membersPath = "/management/v1/members"
)

func clusterCommand() *cobra.Command {
	cmd, connect := remoteCommand("cluster", "Look at the cluster, and change who belongs to it",
		`Any node may be asked; the leader does it. join and leave are about the node that is
asked: name that one with --addr. What is so already is no error, so a command whose
answer was lost can be given again.`)
	cmd.AddCommand(
		clusterMembersCommand(connect), clusterStatusCommand(connect), clusterVerifyCommand(connect), clusterJoinCommand(connect), clusterLeaveCommand(connect),
		clusterRemoveCommand(connect), clusterPromoteCommand(connect), clusterDemoteCommand(connect), clusterTransferCommand(connect),
		clusterRecoverCommand(),
		clusterKeyringCommand(connect),
	)
	return cmd
}

func clusterMembersCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the nodes: role, health, addresses, version, how far behind",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var list management.MemberList
			if err := r.Get(cmd.Context(), membersPath, nil, &list); err != nil {
				return err
			}
			return r.print(list.Members, func(w io.Writer) error { return writeMembers(w, list.Members) })
		},
	}
}

func clusterStatusCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show leader, term, how many nodes may fail, and what to look after",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			var status management.ClusterStatus
			if err := r.Get(cmd.Context(), clusterPath, nil, &status); err != nil {
				return err
			}
			return r.print(status, func(w io.Writer) error { return writeClusterStatus(w, &status) })
		},
	}
}

func clusterJoinCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "join ADDR…",
		Short: "Have the running node that is asked join the cluster at these gossip addresses",
		Long: `Have the running node that is asked join the cluster that is found at these gossip
addresses, such as 10.0.0.1:8183. It must have no state of its own: start it with an
empty data folder and --bootstrap-expect 0. A node that is started with --join needs no
such command.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("expected gossip addresses, such as 10.0.0.1:8183 (see %s --help)", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var addresses []string
			for _, arg := range args {
				addresses = append(addresses, strings.Split(arg, ",")...)
			}
			for _, address := range addresses {
				if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
					return &usageError{fmt.Errorf("expected gossip addresses, such as 10.0.0.1:8183, not %q (see %s --help)", address, cmd.CommandPath())}
				}
			}
			return changeCluster(cmd, connect, "/join", management.JoinRequest{Addresses: addresses})
		},
	}
}

func clusterLeaveCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Take the node that is asked out of its cluster for good",
		Long: `Take the node that is asked out of its cluster for good; where it leads, it hands over
first. It runs on and serves nothing: stop it then. To come back it needs an empty data
folder and --join.`,
		Args: noArgs,
	}
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := confirm("Take the node that is asked out of its cluster for good?"); err != nil {
			return err
		}
		return changeCluster(cmd, connect, "/leave", nil)
	}
	return cmd
}

func clusterRemoveCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Take a node out of the cluster for good, dead or alive",
		Args:  oneArg("a node's id"),
	}
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirm(fmt.Sprintf("Take the node %s out of the cluster for good?", args[0])); err != nil {
			return err
		}
		return changeMember(cmd, connect, args[0], "remove")
	}
	return cmd
}

func clusterPromoteCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "promote ID",
		Short: "Give a node a vote",
		Args:  oneArg("a node's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeMember(cmd, connect, args[0], "promote")
		},
	}
}

func clusterDemoteCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demote ID",
		Short: "Take a node's vote; it keeps the whole state and serves reads",
		Args:  oneArg("a node's id"),
	}
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirm(fmt.Sprintf("Take the vote of the node %s?", args[0])); err != nil {
			return err
		}
		return changeMember(cmd, connect, args[0], "demote")
	}
	return cmd
}

func clusterTransferCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "transfer [ID]",
		Short: "Hand leadership to a node, or to the most current one",
		Args:  atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			var to management.TransferRequest
			if len(args) > 0 {
				to.To = args[0]
			}
			return changeCluster(cmd, connect, "/transfer", to)
		},
	}
}

func changeMember(cmd *cobra.Command, connect connect, id, what string) error {
	return changeCluster(cmd, connect, "/members/"+client.Segment(id)+"/"+what, nil)
}

// changeCluster asks for a change and prints what became so.
func changeCluster(cmd *cobra.Command, connect connect, path string, body any) error {
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	var done management.MembershipChange
	if err := r.Post(cmd.Context(), clusterPath+path, body, &done); err != nil {
		return err
	}
	return r.print(done, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, cell(done.ID), done.Result)
		return err
	})
}

func writeMembers(w io.Writer, members []management.Member) error {
	rows := make([][]string, 0, len(members))
	for _, m := range members {
		rows = append(rows, []string{
			m.ID, m.Role, m.Health, orDash(m.HTTP), m.Cluster, orDash(m.Gossip), orDash(m.Version),
			countText(m.AppliedIndex), countText(m.Lag), agoText(m.LastContactMs),
		})
	}
	return writeTable(w, []string{"ID", "ROLE", "HEALTH", "HTTP", "CLUSTER", "GOSSIP", "VERSION", "APPLIED", "LAG", "LAST CONTACT"}, rows)
}

func writeClusterStatus(w io.Writer, s *management.ClusterStatus) error {
	snapshot := "-"
	if s.SnapshotAgeSeconds != nil {
		snapshot = time.Duration(*s.SnapshotAgeSeconds * float64(time.Second)).Round(time.Second).String()
	}
	err := writeFields(w, []field{
		{"cluster", orDash(text(s.ClusterID))}, {"leader", orDash(text(s.Leader))}, {"term", strconv.FormatUint(s.Term, 10)},
		{"commit index", strconv.FormatUint(s.CommitIndex, 10)}, {"failure tolerance", strconv.Itoa(s.FailureTolerance)},
		{"snapshot age", snapshot},
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := writeMembers(w, s.Members); err != nil {
		return err
	}
	rows := make([][]string, 0, len(s.Warnings))
	for _, warning := range s.Warnings {
		rows = append(rows, []string{warning})
	}
	return writeSection(w, []string{"WARNINGS"}, rows)
}

func countText(n *uint64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatUint(*n, 10)
}

func agoText(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).String()
}
