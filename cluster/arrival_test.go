package cluster_test

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
)

// stepped is a state machine that takes a batch of entries only when it is told to.
type stepped struct {
	*fsm.Machine
	step <-chan struct{}
}

func (s stepped) ApplyBatch(logs []*raft.Log) []any {
	<-s.step
	return s.Machine.ApplyBatch(logs)
}

// restoring is one that puts a snapshot in place only when it is told to.
type restoring struct {
	*fsm.Machine
	step <-chan struct{}
	// given is how many it has got.
	given *atomic.Int32
}

func (r restoring) Restore(snapshot io.ReadCloser) error {
	r.given.Add(1)
	<-r.step
	return r.Machine.Restore(snapshot)
}

// returned is a cluster of which one node has been away and comes back, but takes
// nothing before it is told to.
type returned struct {
	*clustertest.Cluster
	node  *cluster.Node
	step  chan struct{}
	looks atomic.Int64 // of that node at its leader
}

func comeBack(t *testing.T, adjust func(o *cluster.Options), meanwhile func(c *clustertest.Cluster),
	machine func(m *fsm.Machine, step <-chan struct{}) cluster.Machine,
) *returned {
	t.Helper()
	r := &returned{step: make(chan struct{})}
	back := -1
	r.Cluster = clustertest.Start(t, clustertest.Options{
		Adjust: func(i int, o *cluster.Options) {
			adjust(o)
			if i == back {
				o.Events.ReadIndex = func(_ time.Duration, err error) {
					if err == nil {
						r.looks.Add(1)
					}
				}
			}
		},
		Machine: func(i int, m *fsm.Machine) cluster.Machine {
			if i != back {
				return m
			}
			return machine(m, r.step)
		},
	})
	back = r.Follower()
	r.KillNode(back)
	meanwhile(r.Cluster)
	r.StartNode(back)
	r.node = r.Node(back)
	return r
}

// goOn lets the node take everything from now on.
func (r *returned) goOn() {
	select {
	case <-r.step:
	default:
		close(r.step)
	}
}

func (r *returned) awaitNearer(than time.Time) time.Time {
	r.Await("the node to come nearer", func() string {
		if at := r.node.Nearer(); !at.After(than) {
			return fmt.Sprintf("it was at %v, and is at %v", than, at)
		}
		return ""
	})
	return r.node.Nearer()
}

// lookAgain waits until the node has seen some times where its leader is.
func (r *returned) lookAgain() {
	seen := r.looks.Load()
	r.Await("the node to look at its leader", func() string {
		if n := r.looks.Load() - seen; n < 3 {
			return fmt.Sprint(n, " times")
		}
		return ""
	})
}

// A node that comes back says how far behind it is, and when it came nearer, and
// is ready only when it has what the others have.
func TestArrival(t *testing.T) {
	t.Parallel()
	r := comeBack(t, func(*cluster.Options) {}, func(c *clustertest.Cluster) {
		for i := range 300 {
			mustPropose(t, c.Node(c.Leader()), put("a", fmt.Sprint(i)))
		}
	}, func(m *fsm.Machine, step <-chan struct{}) cluster.Machine { return stepped{m, step} })
	defer r.goOn()
	at := r.awaitNearer(time.Time{})
	r.lookAgain()
	if got := r.node.Nearer(); got != at {
		t.Errorf("it came nearer by nothing, at %v and %v", at, got)
	}
	if why := r.node.Status().NotReady; !strings.Contains(why, "catching up") || !strings.Contains(why, "entries behind") {
		t.Errorf("it is not ready because %q", why)
	}
	for range 2 {
		r.step <- struct{}{}
		at = r.awaitNearer(at)
		r.lookAgain()
	}
	if r.node.Ready() == nil {
		t.Error("it is ready, and lacks most of what the others have")
	}
	r.goOn()
	r.WaitReady()
	if got := mustRead(t, r.node, "a"); got != "299" {
		t.Errorf("read %q, want 299", got)
	}
}

// A node that is sent a snapshot comes nearer for as long as it puts it in place.
func TestArrivalBySnapshot(t *testing.T) {
	t.Parallel()
	var given atomic.Int32
	r := comeBack(t, func(o *cluster.Options) { o.TrailingLogs = 10 }, func(c *clustertest.Cluster) {
		leader := c.Node(c.Leader())
		for i := range 200 {
			mustPropose(t, leader, put("a", fmt.Sprint(i)))
		}
		if err := leader.Snapshot(); err != nil {
			t.Fatal(err)
		}
	}, func(m *fsm.Machine, step <-chan struct{}) cluster.Machine { return restoring{m, step, &given} })
	defer r.goOn()
	r.Await("the snapshot", func() string {
		if given.Load() == 0 {
			return "none has come"
		}
		return ""
	})
	at := r.awaitNearer(time.Time{})
	for range 3 {
		at = r.awaitNearer(at)
	}
	if r.node.Ready() == nil {
		t.Error("it is ready, and its snapshot is not in place")
	}
	r.goOn()
	r.WaitReady()
	if got := mustRead(t, r.node, "a"); got != "199" {
		t.Errorf("read %q, want 199", got)
	}
}

// Without a leader there is nothing to come nearer to.
func TestNoArrivalWithoutALeader(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	for i := range c.Len() {
		c.KillNode(i)
	}
	c.StartNode(0)
	c.Await("the node to ask for votes", func() string {
		if s := c.Node(0).Status(); s.State != "Candidate" {
			return s.State
		}
		return ""
	})
	if at := c.Node(0).Nearer(); !at.IsZero() {
		t.Errorf("it came nearer at %v", at)
	}
}
