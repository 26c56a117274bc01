package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/app"
)

// surveyInfo is what --survey prints.
type surveyInfo struct {
	// Best is the data folder to recover from.
	Best    string         `json:"best"`
	Folders []*app.Remains `json:"folders"`
}

// recoveryInfo is what was recovered.
type recoveryInfo struct {
	DataDir    string             `json:"data_dir"`
	NodeID     string             `json:"node_id"`
	ClusterID  string             `json:"cluster_id"`
	LastIndex  uint64             `json:"last_index"`
	LastTerm   uint64             `json:"last_term"`
	LastChange *time.Time         `json:"last_change"`
	Members    []app.RecoveryPeer `json:"members"`
	KeptIn     string             `json:"kept_in"`
}

func clusterRecoverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Found the cluster anew of one node's data, after a majority was lost for good",
		Long: `Found the cluster anew of one node's data, after a majority was lost for good. This is
the last resort: what only the lost nodes had is lost. It works on the data folder of a
node that does not run, and keeps what was there before.

  floeberg cluster recover --survey --data-dir /mnt/node2 --data-dir /mnt/node3
  floeberg cluster recover --data-dir /var/lib/floeberg [--peers peers.json]

Recover one node, the one that has the most, and let the others join it with empty data
folders. Without --peers it is alone at first. The file of peers is a JSON list:

  [{"id":"node3","address":"10.0.0.3:8182","non_voter":false}]`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	dirs := flags.StringArray("data-dir", nil, "data folder of a node that does not run; with --survey, several")
	peers := flags.String("peers", "", "file with the members of the new cluster; the node alone unless given")
	nodeID := flags.String("node-id", "", "the node's id, where its folder does not say it")
	survey := flags.Bool("survey", false, "say what the folders hold and which one has the most; recover nothing")
	confirm := yesFlag(cmd)
	output := outputFlag(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		switch {
		case len(*dirs) == 0:
			return &usageError{fmt.Errorf("--data-dir is needed (see %s --help)", cmd.CommandPath())}
		case *survey:
			return surveyFolders(cmd.OutOrStdout(), format, *dirs, logger)
		case len(*dirs) > 1:
			return &usageError{errors.New("only one node is recovered, and the others join it: find the one that has the most with --survey, and name that")}
		}
		opts := app.RecoveryOptions{DataDir: (*dirs)[0], NodeID: *nodeID, Version: programVersion(), Logger: logger}
		if *peers != "" {
			if opts.Peers, err = app.ReadPeers(*peers); err != nil {
				return recoveryError(err)
			}
		}
		return recoverCluster(cmd, format, opts, confirm)
	}
	return cmd
}

// recoveryError tells a command line that asks for what can't be from work that failed.
func recoveryError(err error) error {
	for _, asked := range []error{app.ErrPeers, app.ErrRecovery, app.ErrOtherNode, app.ErrOtherCluster, app.ErrNoDataFolder} {
		if errors.Is(err, asked) {
			return &usageError{err}
		}
	}
	return err
}

func surveyFolders(w io.Writer, format string, dirs []string, logger *slog.Logger) error {
	all, best, err := app.Survey(dirs, programVersion(), logger)
	if err != nil {
		return recoveryError(err)
	}
	if format == outputJSON {
		return writeJSON(w, surveyInfo{Best: best.DataDir, Folders: all})
	}
	rows := make([][]string, len(all))
	for i, r := range all {
		mark := ""
		if r == best && len(all) > 1 {
			mark = "has the most"
		}
		rows[i] = []string{
			r.DataDir, r.NodeID, strconv.FormatUint(r.LastTerm, 10), strconv.FormatUint(r.LastIndex, 10), lastChange(r.LastChange),
			strconv.FormatUint(r.SnapshotIndex, 10), strconv.FormatUint(r.AppliedIndex, 10), peerNames(r.Members), r.ClusterID, mark,
		}
	}
	return writeTable(w, []string{"FOLDER", "NODE", "LAST TERM", "LAST ENTRY", "LAST CHANGE", "SNAPSHOT", "APPLIED", "MEMBERS", "CLUSTER", ""}, rows)
}

func recoverCluster(cmd *cobra.Command, format string, opts app.RecoveryOptions, confirm func(string) error) (err error) {
	r, err := app.OpenRecovery(opts)
	if err != nil {
		return recoveryError(err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := explain(cmd.ErrOrStderr(), r); err != nil {
		return err
	}
	if err := confirm("Found the cluster anew?"); err != nil {
		return err
	}
	kept, err := r.Run(cmd.Context(), func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) })
	if err != nil {
		return err
	}
	was := r.Remains
	if format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), recoveryInfo{
			DataDir: was.DataDir, NodeID: was.NodeID, ClusterID: was.ClusterID, LastIndex: was.LastIndex, LastTerm: was.LastTerm,
			LastChange: was.LastChange, Members: r.Peers, KeptIn: kept,
		})
	}
	return writeFields(cmd.OutOrStdout(), []field{
		{"recovered", fmt.Sprintf("entry %d in term %d", was.LastIndex, was.LastTerm)},
		{"members", peerNames(r.Peers)},
		{"kept in", kept},
		{"next", "start " + was.NodeID + " as before"},
		{"way back", fmt.Sprintf("stop it, remove raft and state in %s, and move those of %s there", was.DataDir, kept)},
	})
}

// explain says what will be done and what it costs.
func explain(w io.Writer, r *app.Recovery) error {
	was := r.Remains
	err := writeFields(w, []field{
		{"data folder", was.DataDir},
		{"node", was.NodeID},
		{"cluster", was.ClusterID},
		{"last entry", fmt.Sprintf("%d in term %d", was.LastIndex, was.LastTerm)},
		{"last change", lastChange(was.LastChange) + " (replicated time)"},
		{"members until now", peerNames(was.Members)},
		{"members from now on", peerNames(r.Peers)},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nEntries after %d that only the lost nodes had are lost; the last change that this folder knows is from %s.\n",
		was.LastIndex, lastChange(was.LastChange))
	fmt.Fprintln(w, "All that it has is kept, the last entries too, of which nobody may have been told that they succeeded.")
	var empty []string
	for _, p := range slices.Concat(was.Members, r.Peers) {
		if p.ID != was.NodeID && !slices.Contains(empty, p.ID) {
			empty = append(empty, p.ID)
		}
	}
	if len(empty) > 0 {
		fmt.Fprintf(w, "Never start %s on old data again, or the old cluster takes this one over: empty the data folders first.\n", strings.Join(empty, ", "))
	}
	return nil
}

func lastChange(at *time.Time) string {
	if at == nil {
		return "unknown"
	}
	return timeText(*at)
}

func peerNames(peers []app.RecoveryPeer) string {
	names := make([]string, len(peers))
	for i, p := range peers {
		names[i] = p.ID + " " + p.Address
		if p.NonVoter {
			names[i] += " (nonvoter)"
		}
	}
	return strings.Join(names, ", ")
}
