package cluster

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// arrival is how a node that was started gets to where its cluster is.
type arrival struct {
	done atomic.Bool
	// lacks is how many entries the leader had, when it was asked last, that were
	// not applied here.
	lacks atomic.Uint64
	// nearer is when the node came nearer to its leader the last time; nil before.
	nearer atomic.Pointer[time.Time]

	// taken is the last entry that the state machine was given. It is more than what
	// is applied says: what is in the state already is given again after a start.
	taken atomic.Uint64
	// received is how many bytes of snapshots the leader has sent, restoring how
	// many of those are being put in place.
	received  atomic.Int64
	restoring atomic.Int32
}

const (
	// arrivalPoll is how often a node that catches up looks how far it is.
	arrivalPoll = 50 * time.Millisecond
	// keptPace is how long a node must have been no nearer to a leader that it is
	// close to: this is where it will stay.
	keptPace = time.Second
)

// catchUp follows this node from its start to where it has everything that was
// there then, and a request finds what it asks for without a wait: the leader is
// asked again and again, since what it has grows meanwhile. The node's own commit
// index can't tell: one that was away learns it only bit by bit.
func (n *Node) catchUp(ctx context.Context) {
	a := n.arrival
	var first uint64
	least, received := uint64(math.MaxUint64), int64(0)
	for {
		now, err := n.readIndex(ctx)
		if err != nil {
			return // the node is being shut down, or was removed
		}
		if first == 0 {
			first = now.index
		}
		applied, _ := n.machine.Applied()
		lacks := now.index - min(applied, now.index)
		a.lacks.Store(lacks)
		distance, got := now.index-min(a.taken.Load(), now.index), a.received.Load()
		if distance < least || got > received || a.restoring.Load() > 0 {
			moment := time.Now()
			a.nearer.Store(&moment)
		}
		least, received = min(distance, least), got
		// Up to so many entries come with the leader's answers. Under a load that it can
		// only just follow, a node will never be so near.
		near := lacks < aheadEntries || lacks <= n.opts.ReadyLag && time.Since(*a.nearer.Load()) > keptPace
		if near && applied >= first {
			a.done.Store(true)
			return
		}
		select {
		case <-time.After(arrivalPoll):
		case <-ctx.Done():
			return
		}
	}
}

// why says what a node that has not arrived waits for.
func (a *arrival) why() string {
	if lacks := a.lacks.Load(); lacks > 0 {
		return fmt.Sprintf("catching up after the start, %d entries behind", lacks)
	}
	return "catching up after the start"
}

// Nearer is when this node, which catches up after its start, has come nearer to
// its leader the last time: by entries, or by a snapshot that the leader sends. It
// is zero for one that hears no leader.
func (n *Node) Nearer() time.Time {
	if at := n.arrival.nearer.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// take notes what the state machine was given.
func (a *arrival) take(logs []*raft.Log) {
	if len(logs) > 0 {
		a.taken.Store(logs[len(logs)-1].Index)
	}
}

// receivedSink counts what comes of a snapshot that the leader sends.
type receivedSink struct {
	raft.SnapshotSink
	arrival *arrival
}

var _ io.Writer = (*receivedSink)(nil)

// Write implements io.Writer.
func (s *receivedSink) Write(p []byte) (int, error) {
	n, err := s.SnapshotSink.Write(p)
	s.arrival.received.Add(int64(n))
	return n, err
}
