package cluster

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// transportTimeout bounds one Raft call: longer than any healthy sync, short
	// enough that a connection which a healed partition left half dead is given up.
	transportTimeout = 3 * time.Second
	// connPool is how many idle connections to a peer are kept.
	connPool = 3
	// maxInFlight is how many requests a pipeline has under way: one is prepared
	// while another one is answered. More was slower.
	maxInFlight = 2
)

// transport is raft's network transport with three things added: it notes which
// peers accept this node as leader (see acks), it announces commits (see
// pipeline), and it waits for peers that are away (see awaitReturn). Embedding keeps the rest visible, RequestPreVote above all: raft
// turns pre-vote off, silently, where the transport does not have it.
type transport struct {
	*raft.NetworkTransport
	acks *acks
	// committed returns the commit index, if this node leads in that term.
	committed func(term uint64) (uint64, bool)
	// member tells whether a server is in the configuration.
	member func(id raft.ServerID) bool
	// yielding is set while leadership is handed over: then nothing may wait.
	yielding atomic.Bool

	mu        sync.Mutex
	pipelines map[*pipeline]struct{}
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

// leading is what the transport asks raft, which is made after it.
type leading struct {
	committed func(term uint64) (uint64, bool)
	member    func(id raft.ServerID) bool
}

func newTransport(streams *raftStreams, acks *acks, logger *raftLogger, leading leading) *transport {
	return &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          streams,
			MaxPool:         connPool,
			MaxRPCsInFlight: maxInFlight,
			Timeout:         transportTimeout,
			Logger:          logger,
		}),
		acks:      acks,
		committed: leading.committed,
		member:    leading.member,
		pipelines: make(map[*pipeline]struct{}),
	}
}

// AppendEntries implements raft.Transport. Heartbeats come this way.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := t.appendEntries(id, target, args, resp)
	if err == nil || isHeartbeat(args) || !t.awaitReturn(id, args.Term) {
		return err
	}
	return t.appendEntries(id, target, args, resp)
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, named(id, target), args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, named(id, target), args, resp)
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, named(id, target), args, resp)
}

// InstallSnapshot implements raft.Transport.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	err := t.NetworkTransport.InstallSnapshot(id, named(id, target), args, resp, data)
	if err != nil {
		// The data is used up; but raft shall begin again when the peer is back.
		t.awaitReturn(id, args.Term)
	}
	return err
}

// isHeartbeat tells raft's heartbeats from its replication, as its receiver does.
func isHeartbeat(args *raft.AppendEntriesRequest) bool {
	return args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && len(args.Entries) == 0 && args.LeaderCommitIndex == 0
}

// returnPoll is how often a heartbeat that got through is looked for.
const returnPoll = 20 * time.Millisecond

// awaitReturn waits until a heartbeat gets through to a peer again; false where
// this node stops leading in the term before. Raft's replication to a peer that
// is away sleeps longer after each failure, up to ten seconds, and nothing wakes
// it: a node that was restarted would be that long without the log. Its
// heartbeats don't sleep longer than half a heartbeat timeout. So replication
// waits for those here, and does not count failures meanwhile. It tries once
// more after that; where a peer answers heartbeats and refuses the rest, raft's
// own pauses are right.
func (t *transport) awaitReturn(id raft.ServerID, term uint64) bool {
	since := t.acks.mark()
	ticker := time.NewTicker(returnPoll)
	defer ticker.Stop()
	for {
		if t.yielding.Load() {
			return false
		}
		if _, leads := t.committed(term); !leads || !t.member(id) {
			return false
		}
		if t.acks.since(id, term, since) {
			return true
		}
		<-ticker.C
	}
}

func (t *transport) appendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	sent := t.acks.mark()
	if err := t.NetworkTransport.AppendEntries(id, named(id, target), args, resp); err != nil {
		return err
	}
	if resp.Success && resp.Term == args.Term {
		t.acks.accepted(id, args.Term, sent)
	}
	return nil
}

// AppendEntriesPipeline implements raft.Transport.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, named(id, target))
	if err != nil {
		return nil, err
	}
	p := newPipeline(inner, id, t)
	t.mu.Lock()
	t.pipelines[p] = struct{}{}
	t.mu.Unlock()
	return p, nil
}

// announce tells all followers the commit index soon. It never blocks.
func (t *transport) announce() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.pipelines {
		p.wake()
	}
}

func (t *transport) forget(p *pipeline) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pipelines, p)
}
