// Package clustertest runs whole clusters inside a test: real Raft, real disks
// in temporary folders, real TCP on loopback, and a network between the nodes
// that can be cut.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/test/port"
)

// patience bounds every wait of this package: much longer than anything takes,
// so that a busy machine is no failure.
const patience = 30 * time.Second

// Options say what cluster to run.
type Options struct {
	// Nodes is how many there are. Default: 3.
	Nodes int
	// Adjust changes a node's options before each start.
	Adjust func(i int, o *cluster.Options)
	// Machine is put between a node and its state machine, at each start. Default:
	// nothing is.
	Machine func(i int, m *fsm.Machine) cluster.Machine
	// NewestCommand is the newest command version that a node applies, at each start;
	// 0 is what this program does. Default: 0 for all.
	NewestCommand func(i int) uint32
	// Logger gets what the nodes log. Default: shown when the test fails and
	// FLOEBERG_TEST_LOG is set, else dropped.
	Logger *slog.Logger
	// Stopped leaves all nodes to the test to start.
	Stopped bool
}

// Cluster is a running cluster. Its methods fail the test where they can't do
// what they say.
type Cluster struct {
	// Network lies between the nodes.
	Network *Network

	t     testing.TB
	opts  Options
	nodes []*member
}

type member struct {
	dir             string
	cluster, gossip string

	mu      sync.Mutex
	node    *cluster.Node
	machine *fsm.Machine
	halted  error
}

// Start runs a cluster until the end of the test. Unless Stopped, all nodes are
// ready when it returns.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	if opts.Nodes == 0 {
		opts.Nodes = 3
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
		if os.Getenv("FLOEBERG_TEST_LOG") != "" {
			opts.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	c := &Cluster{Network: NewNetwork(), t: t, opts: opts}
	for range opts.Nodes {
		c.nodes = append(c.nodes, &member{dir: t.TempDir(), cluster: port.Address(t), gossip: port.Address(t)})
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i, true)
		}
		c.Network.Close()
	})
	if !opts.Stopped {
		c.StartAll()
		c.WaitReady()
	}
	return c
}

// ID is a node's name.
func ID(i int) string { return fmt.Sprintf("n%d", i+1) }

// Len is how many nodes the cluster has, running or not.
func (c *Cluster) Len() int { return len(c.nodes) }

// StartAll starts the nodes that don't run.
func (c *Cluster) StartAll() {
	c.t.Helper()
	for i := range c.nodes {
		if !c.Running(i) {
			c.StartNode(i)
		}
	}
}

// StartNode starts a node, for the first time or again.
func (c *Cluster) StartNode(i int) {
	c.t.Helper()
	if err := c.TryStartNode(i); err != nil {
		c.t.Fatalf("start of %s: %v", ID(i), err)
	}
}

// TryStartNode is StartNode for a node that may refuse.
func (c *Cluster) TryStartNode(i int) error {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	logger := c.opts.Logger.With("node", ID(i))
	halt := func(err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.halted = err
	}
	ofState := fsm.Options{Dir: filepath.Join(m.dir, "state"), Logger: logger, Halt: halt}
	if c.opts.NewestCommand != nil {
		ofState.NewestCommand = c.opts.NewestCommand(i)
	}
	machine, err := fsm.Open(ofState)
	if err != nil {
		return err
	}
	opts := cluster.Options{
		ID: ID(i), Dir: filepath.Join(m.dir, "raft"), Version: "test", HTTPAdvertise: "http://" + ID(i),
		Listen: m.cluster, GossipListen: m.gossip, BootstrapExpect: len(c.nodes),
		Logger: c.opts.Logger, Halt: halt, Dial: c.Network.Dialer(m.cluster),
	}
	if len(c.nodes) > 1 {
		for _, other := range c.nodes {
			opts.Join = append(opts.Join, other.gossip)
		}
	}
	if c.opts.Adjust != nil {
		c.opts.Adjust(i, &opts)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var seen cluster.Machine = machine
	if c.opts.Machine != nil {
		seen = c.opts.Machine(i, machine)
	}
	node, err := cluster.Start(ctx, opts, seen)
	if err != nil {
		return errors.Join(err, machine.Close())
	}
	m.node, m.machine = node, machine
	return nil
}

// StopNode stops a node the gentle way.
func (c *Cluster) StopNode(i int) {
	c.t.Helper()
	c.stop(i, false)
}

// KillNode stops a node the way a crash looks to the others: it is cut off
// first, so that it hands nothing over and says no goodbye on Raft's side.
func (c *Cluster) KillNode(i int) {
	c.t.Helper()
	c.Network.Reset(c.nodes[i].cluster)
	c.stop(i, true)
	c.Network.Heal(c.nodes[i].cluster)
}

func (c *Cluster) stop(i int, hard bool) {
	m := c.nodes[i]
	m.mu.Lock()
	node, machine := m.node, m.machine
	m.node, m.machine = nil, nil
	m.mu.Unlock()
	if node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if hard {
		if err := node.Abort(); err != nil {
			c.t.Errorf("end of %s: %v", ID(i), err)
		}
	} else if err := node.Shutdown(ctx); err != nil {
		c.t.Errorf("shutdown of %s: %v", ID(i), err)
	}
	if err := machine.Close(); err != nil {
		c.t.Errorf("close of the state of %s: %v", ID(i), err)
	}
}

// Running tells whether a node runs.
func (c *Cluster) Running(i int) bool {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node != nil
}

// Node is a running node.
func (c *Cluster) Node(i int) *cluster.Node {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// Machine is a running node's state machine.
func (c *Cluster) Machine(i int) *fsm.Machine {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine
}

// Halted is why a node called its Halt callback, or nil.
func (c *Cluster) Halted(i int) error {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.halted
}

// Dir is a node's folder; the Raft log is in "raft", the state in "state".
func (c *Cluster) Dir(i int) string { return c.nodes[i].dir }

// Address is a node's cluster address.
func (c *Cluster) Address(i int) string { return c.nodes[i].cluster }

// GossipAddress is a node's gossip address.
func (c *Cluster) GossipAddress(i int) string { return c.nodes[i].gossip }

// Move gives a node that is stopped another cluster address.
func (c *Cluster) Move(i int) {
	c.t.Helper()
	c.nodes[i].cluster = port.Address(c.t)
}

// Leader waits until one running node leads and returns it.
func (c *Cluster) Leader() int {
	c.t.Helper()
	leader := -1
	c.Await("a leader", func() string {
		for i := range c.nodes {
			if n := c.Node(i); n != nil && n.Status().State == "Leader" && n.Ready() == nil {
				leader = i
				return ""
			}
		}
		return c.describe()
	})
	return leader
}

// Follower waits for a leader and returns a running node that is not it.
func (c *Cluster) Follower() int {
	c.t.Helper()
	leader := c.Leader()
	for i := range c.nodes {
		if i != leader && c.Running(i) {
			return i
		}
	}
	c.t.Fatal("no follower runs")
	return -1
}

// WaitReady waits until all running nodes are ready.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	c.Await("all running nodes to be ready", func() string {
		for i := range c.nodes {
			if n := c.Node(i); n != nil && n.Ready() != nil {
				return c.describe()
			}
		}
		return ""
	})
}

func (c *Cluster) describe() string {
	var b strings.Builder
	for i := range c.nodes {
		n := c.Node(i)
		if n == nil {
			fmt.Fprintf(&b, "%s is stopped; ", ID(i))
			continue
		}
		s := n.Status()
		fmt.Fprintf(&b, "%s: %s, term %d, leader %q, commit %d, applied %d, ready: %v; ",
			s.ID, s.State, s.Term, s.LeaderID, s.CommitIndex, s.AppliedIndex, n.Ready())
	}
	return b.String()
}

// Await waits until cond returns "", which is else what is still missing.
func (c *Cluster) Await(what string, cond func() string) {
	c.t.Helper()
	Await(c.t, what, cond)
}

// Await waits until cond returns "", which is else what is still missing.
func Await(t testing.TB, what string, cond func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		missing := cond()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s: %s", patience, what, missing)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
