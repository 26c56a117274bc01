package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// shown is a member as "cluster members --output json" prints it.
type shown struct {
	ID            string  `json:"id"`
	Role          string  `json:"role"`
	Health        string  `json:"health"`
	HTTP          string  `json:"http"`
	Cluster       string  `json:"cluster"`
	Gossip        string  `json:"gossip"`
	Version       string  `json:"version"`
	AppliedIndex  *uint64 `json:"applied_index"`
	Lag           *uint64 `json:"lag"`
	LastContactMs *int64  `json:"last_contact_ms"`
}

// members are the cluster's members as a node shows them.
func members(t *testing.T, n *cluster.Node) ([]shown, error) {
	t.Helper()
	code, stdout, stderr := floeberg(t, n.URL, "cluster", "members", "--output", "json")
	if code != 0 {
		return nil, fmt.Errorf("exit code %d: %s", code, stderr)
	}
	var list []shown
	return list, json.Unmarshal([]byte(stdout), &list)
}

// awaitVoters waits until a node shows just these healthy voters.
func awaitVoters(t *testing.T, n *cluster.Node, ids ...string) {
	t.Helper()
	slices.Sort(ids)
	err := cluster.Await(within(t, 60*time.Second), fmt.Sprintf("the voters %v", ids), func(context.Context) error {
		list, err := members(t, n)
		if err != nil {
			return err
		}
		var voters []string
		for _, m := range list {
			if m.Role != "nonvoter" && m.Health == "healthy" {
				voters = append(voters, m.ID)
			}
		}
		if !slices.Equal(voters, ids) {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mustRun runs a command that must succeed.
func mustRun(t *testing.T, n *cluster.Node, args ...string) string {
	t.Helper()
	code, stdout, stderr := floeberg(t, n.URL, args...)
	if code != 0 {
		t.Fatalf("%v at %s: exit code %d: %s", args, n.ID, code, stderr)
	}
	return stdout
}

// refusedRun runs a command that must be refused with one line that says why.
func refusedRun(t *testing.T, n *cluster.Node, says string, args ...string) {
	t.Helper()
	code, stdout, stderr := floeberg(t, n.URL, args...)
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, says) {
		t.Errorf("%v at %s: exit code %d, %q %q, which does not say %q", args, n.ID, code, stdout, stderr, says)
	}
}

// TestMembership grows a cluster from one to five nodes while a client writes, and
// takes it back to three.
func TestMembership(t *testing.T) {
	s := start(t, cluster.Options{Nodes: 1, Args: []string{"--stabilize-after", "200ms"}})
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)

	var ids []string
	for range 4 {
		n := addNode(t, s)
		ids = append(ids, n.ID)
		if len(ids)%2 == 0 {
			awaitVoters(t, n, append([]string{"n1"}, ids...)...)
		}
	}
	var status struct {
		ClusterID        string   `json:"cluster_id"`
		Leader           string   `json:"leader"`
		FailureTolerance int      `json:"failure_tolerance"`
		Warnings         []string `json:"warnings"`
		Members          []shown  `json:"members"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, s.Nodes[3], "cluster", "status", "--output", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if status.ClusterID == "" || status.Leader == "" || status.FailureTolerance != 2 || len(status.Members) != 5 {
		t.Errorf("five voters: %+v", status)
	}
	for _, m := range status.Members {
		if m.HTTP == "" || m.Cluster == "" || m.Gossip == "" || m.Version == "" || m.AppliedIndex == nil || m.Lag == nil || m.LastContactMs == nil {
			t.Errorf("%+v", m)
		}
	}
	want := commitAppend(t, c, ns, name)
	for i := range s.Nodes {
		if got := load(t, s.At(i), ns, name); got.MetadataLocation != want.MetadataLocation {
			t.Errorf("%s has %s, want %s", s.Nodes[i].ID, got.MetadataLocation, want.MetadataLocation)
		}
	}

	// Two go, the leader first, while a client writes at the others.
	leader := s.MustLeader(t)
	var stay []*cluster.Node
	for i, n := range s.Nodes {
		if i != leader && len(stay) < 3 {
			stay = append(stay, n)
		}
	}
	urls := []string{stay[0].URL, stay[1].URL, stay[2].URL}
	writer := c.With(func(o *client.Options) { o.URLs = urls })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			res, err := writer.Commit(t.Context(), ns, name, nil, []client.Object{setProperty("at", time.Now().String())})
			if err == nil && res.Status != http.StatusOK {
				err = fmt.Errorf("%s", res)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	left := []string{}
	for _, n := range stay {
		left = append(left, n.ID)
	}
	for _, n := range s.Nodes {
		if !slices.Contains(left, n.ID) {
			for range 2 {
				mustRun(t, stay[0], "cluster", "remove", n.ID, "--yes")
			}
		}
	}
	awaitVoters(t, stay[1], left...)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("a write failed while the cluster shrank: %v", err)
	}
	refusedRun(t, stay[2], "No such node: nobody", "cluster", "remove", "nobody", "--yes")
	if err := stay[0].Kill9(); err != nil {
		t.Fatal(err)
	}
	err := cluster.Await(within(t, 30*time.Second), "a leader among the two that are left", func(ctx context.Context) error { return stay[1].Ready(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	refusedRun(t, stay[1], "3 voters, 2 answer: removing "+stay[2].ID+" would leave 2 voters of which 1 answers, and 2 are needed for a quorum",
		"cluster", "remove", stay[2].ID, "--yes")
	if code, _, stderr := floeberg(t, stay[1].URL, "cluster", "remove", stay[2].ID); code != 2 || !strings.Contains(stderr, "--yes") {
		t.Errorf("without a word: exit code %d, %q", code, stderr)
	}
	mustRun(t, stay[1], "cluster", "transfer")
	list, err := members(t, stay[2])
	if err != nil {
		t.Fatal(err)
	}
	health := map[string]string{}
	for _, m := range list {
		health[m.ID] = m.Health
	}
	if diff := cmp.Diff(map[string]string{stay[0].ID: "unreachable", stay[1].ID: "healthy", stay[2].ID: "healthy"}, health); diff != "" {
		t.Error(diff)
	}
}

// addNode starts one more node, which is to be let in.
func addNode(t *testing.T, s *cluster.Cluster, args ...string) *cluster.Node {
	t.Helper()
	n, err := s.Grow(args...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNodesComeAndGo replaces a machine that died, has a node leave and another one
// come back under other addresses, with a read replica beside them.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel() // it mostly waits
	s := start(t, cluster.Options{Args: []string{"--stabilize-after", "200ms"}})
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)

	replica := addNode(t, s, "--nonvoter")
	if err := cluster.Await(within(t, 60*time.Second), "the replica to be ready", replica.Ready); err != nil {
		t.Fatal(err)
	}
	want := commitAppend(t, c, ns, name)
	if got := load(t, s.At(3), ns, name); got.MetadataLocation != want.MetadataLocation {
		t.Errorf("the replica has %s, want %s", got.MetadataLocation, want.MetadataLocation)
	}

	// A machine dies with its disk. The new one has the old one's id and addresses.
	died := s.Nodes[s.Follower(t)]
	if err := died.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(died.Dir); err != nil {
		t.Fatal(err)
	}
	if err := died.Start(); err != nil {
		t.Fatal(err)
	}
	awaitVoters(t, replica, "n1", "n2", "n3")
	if err := cluster.Await(within(t, 60*time.Second), "the new machine to be ready", died.Ready); err != nil {
		t.Fatal(err)
	}

	// The replica stays one, until it is promoted.
	list, err := members(t, replica)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.ID == replica.ID && m.Role != "nonvoter" {
			t.Errorf("the replica is a %s", m.Role)
		}
	}

	// The leader leaves. It serves nothing any more, and says how it comes back.
	leader := s.Nodes[s.MustLeader(t)]
	for range 2 {
		mustRun(t, leader, "cluster", "leave", "--yes")
	}
	err = cluster.Await(within(t, 30*time.Second), leader.ID+" to say that it was removed", func(ctx context.Context) error {
		status, body, err := leader.Get(ctx, "/ready")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, "was removed") || !strings.Contains(body, "--join")) {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	left := c.With(func(o *client.Options) { o.URLs = []string{leader.URL} })
	for _, consistency := range []string{"linearizable", "stale"} {
		r := get(left.TablePath(ns, name))
		r.Header = http.Header{"Floeberg-Consistency": {consistency}}
		do(t, left, http.StatusServiceUnavailable, r)
	}
	do(t, left, http.StatusServiceUnavailable, client.NamespaceRequest(left, nil, fresh("ns")))
	refusedRun(t, leader, "was removed", "cluster", "status")
	refusedRun(t, leader, "was removed", "namespace", "list", "--timeout", "5s")
	refusedRun(t, replica, "has no vote", "cluster", "transfer", replica.ID)
	mustRun(t, replica, "cluster", "promote", replica.ID)
	var stay []string
	for _, n := range s.Nodes {
		if n != leader {
			stay = append(stay, n.ID)
		}
	}
	awaitVoters(t, replica, stay...)

	// A voter comes back under other addresses.
	moved := died
	if moved == leader {
		moved = s.Nodes[0]
		if moved == leader {
			moved = s.Nodes[1]
		}
	}
	was, err := address(t, replica, moved.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := moved.Term(20 * time.Second); err != nil {
		t.Error(err)
	}
	if err := moved.Move(); err != nil {
		t.Fatal(err)
	}
	err = cluster.Await(within(t, 30*time.Second), moved.ID+" to be known elsewhere", func(context.Context) error {
		now, err := address(t, replica, moved.ID)
		if err == nil && now == was {
			err = fmt.Errorf("it is still at %s", was)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitVoters(t, replica, stay...)
	commitAppend(t, c.With(func(o *client.Options) { o.URLs = []string{moved.URL} }), ns, name)
}

// address is the cluster address of a member, as a node shows it.
func address(t *testing.T, n *cluster.Node, id string) (string, error) {
	t.Helper()
	list, err := members(t, n)
	if err != nil {
		return "", err
	}
	for _, m := range list {
		if m.ID == id {
			return m.Cluster, nil
		}
	}
	return "", fmt.Errorf("%s is not a member: %+v", id, list)
}

// TestRunningNodeJoins sends a node that runs and belongs to nothing to a cluster.
// It knows no key but its own, and nothing can be done with that but to join.
func TestRunningNodeJoins(t *testing.T) {
	t.Parallel()
	s := start(t, cluster.Options{Nodes: 1, Args: []string{"--stabilize-after", "200ms"}})
	idle, err := s.Idle()
	if err != nil {
		t.Fatal(err)
	}
	err = cluster.Await(within(t, 30*time.Second), "the node to answer", func(context.Context) error {
		code, _, stderr := floeberg(t, idle.URL, "cluster", "status")
		if code != 0 {
			return fmt.Errorf("%s", stderr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	refusedRun(t, idle, "belongs to no cluster", "--timeout", "1s", "namespace", "list")
	list, err := members(t, s.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustRun(t, idle, "cluster", "join", list[0].Gossip)
	}
	awaitVoters(t, idle, "n1", idle.ID)
	mustRun(t, idle, "namespace", "list")
}

// TestForeignNodeIsNotLetIn points a node that has a cluster of its own at another one.
func TestForeignNodeIsNotLetIn(t *testing.T) {
	t.Parallel()
	s := start(t, cluster.Options{Nodes: 1})
	other := start(t, cluster.Options{Nodes: 1})
	gossip := mustRun(t, s.Nodes[0], "cluster", "members", "--output", "json")
	var list []shown
	if err := json.Unmarshal([]byte(gossip), &list); err != nil {
		t.Fatal(err)
	}
	refusedRun(t, other.Nodes[0], "empty its data folder", "cluster", "join", list[0].Gossip)
	refusedRun(t, other.Nodes[0], "the only one", "cluster", "leave", "--yes")
	if code, _, stderr := floeberg(t, other.Nodes[0].URL, "cluster", "join", "nowhere"); code != 2 || !strings.Contains(stderr, "10.0.0.1:8183") {
		t.Errorf("no address: exit code %d, %q", code, stderr)
	}
	for _, n := range []*cluster.Node{s.Nodes[0], other.Nodes[0]} {
		if err := n.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
