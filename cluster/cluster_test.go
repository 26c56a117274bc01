package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func key(name string) []byte { return state.WarehouseKey(name) }

func put(name, value string, pre ...*command.Precondition) *command.Transaction {
	return &command.Transaction{
		Preconditions: pre,
		Writes:        []*command.Write{command.PutValue(key(name), []byte(value))},
	}
}

func absent(name string) *command.Precondition {
	return command.KeyAbsent(key(name))
}

func atRevision(name string, revision uint64) *command.Precondition {
	return command.KeyUnchanged(key(name), revision)
}

func mustPropose(t testing.TB, n *cluster.Node, tx *command.Transaction) command.Result {
	t.Helper()
	r, err := n.Propose(within(t, 20*time.Second), tx)
	if err != nil {
		t.Fatalf("propose: %v", err)
	}
	if r.Outcome != command.Applied {
		t.Fatalf("propose: outcome %d, failed precondition %d", r.Outcome, r.Failed)
	}
	return r
}

func read(ctx context.Context, n *cluster.Node, c cluster.Consistency, name string) (value string, revision uint64, err error) {
	view, err := n.View(ctx, c, 0)
	if err != nil {
		return "", 0, err
	}
	defer view.Close()
	v, ok, err := view.Get(key(name))
	if err != nil || !ok {
		return "", 0, err
	}
	return string(v.Data), v.Revision, nil
}

func mustRead(t testing.TB, n *cluster.Node, name string) string {
	t.Helper()
	value, _, err := read(within(t, 20*time.Second), n, cluster.Linearizable, name)
	if err != nil {
		t.Fatalf("read of %s: %v", name, err)
	}
	return value
}

func TestWriteAnywhereReadAnywhere(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	for round := range 200 {
		to, from := round%3, (round+1+round/3%2)%3
		name, value := fmt.Sprintf("k%d", round%7), fmt.Sprint(round)
		mustPropose(t, c.Node(to), put(name, value))
		if got := mustRead(t, c.Node(from), name); got != value {
			t.Fatalf("round %d: wrote %q through %s, read %q through %s", round, value, clustertest.ID(to), got, clustertest.ID(from))
		}
	}
}

func TestSingleNode(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) {
		o.GossipListen = ""
	}})
	mustPropose(t, c.Node(0), put("a", "1"))
	var id string
	c.Await("an identity", func() string {
		if id = c.Node(0).ClusterID(); id == "" {
			return "there is none"
		}
		return ""
	})
	c.StopNode(0)
	c.StartNode(0)
	c.WaitReady()
	if got := mustRead(t, c.Node(0), "a"); got != "1" {
		t.Errorf("after the restart: %q, want 1", got)
	}
	c.Await("the identity", func() string {
		if got := c.Node(0).ClusterID(); got != id {
			return fmt.Sprintf("cluster id %q, was %q", got, id)
		}
		return ""
	})
}
