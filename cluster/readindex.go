package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/state"
)

// Consistency is how current a read must be.
type Consistency uint8

// The consistencies.
const (
	// Linearizable reads show everything that was acknowledged before they began.
	Linearizable Consistency = iota
	// Bounded reads show everything that was acknowledged a given time before.
	Bounded
	// Stale reads show whatever this node has.
	Stale
)

// roundTimeout bounds one question to the leader; who asked asks again.
const roundTimeout = 2 * time.Second

// current is what a linearizable read must show: everything up to the index.
type current struct {
	index uint64
	// ahead is what this node has not applied of that; nil where it has to wait.
	ahead *fsm.Ahead
}

// What a leader tells of entries that a reader lacks is bounded: by far fewer than
// this in any second, a follower is behind its leader. Who lacks more waits.
const (
	aheadEntries = 64
	aheadBytes   = 256 << 10
)

// proof is a moment and what was proven to contain all that was acknowledged
// before it.
type proof struct {
	at time.Time
	current
}

// View returns the state as current as asked for. The caller closes it.
// A Linearizable one, and a Bounded one that is not recent enough, asks the
// leader; where none answers before the context ends it is ErrUnavailable.
func (n *Node) View(ctx context.Context, c Consistency, maxStaleness time.Duration) (*state.View, error) {
	if err := n.gone(); err != nil {
		return nil, err
	}
	switch c {
	case Stale:
		return n.machine.View()
	case Bounded:
		if p := n.proven.Load(); p != nil && time.Since(p.at) <= maxStaleness {
			if v, ok, err := n.show(p.current); ok || err != nil {
				return v, err
			}
		}
	case Linearizable:
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	start := time.Now()
	now, err := n.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	v, ok, err := n.show(now)
	if err == nil && !ok {
		if err := n.machine.WaitApplied(ctx, now.index); err != nil {
			return nil, fmt.Errorf("%w: entry %d is not applied here: %w", ErrUnavailable, now.index, err)
		}
		v, err = n.machine.View()
	}
	if err == nil {
		n.prove(proof{start, now})
	}
	return v, err
}

// Latest returns the newest state that can be had without waiting and without asking
// anybody: what this node has applied, and what it was told of meanwhile. The caller
// closes it.
func (n *Node) Latest() (*state.View, error) {
	if v, ok, err := n.shown(); ok || err != nil {
		return v, err
	}
	return n.machine.View()
}

// Proven returns a state that has all that any read on this node has shown. A member
// asks the leader where it has shown nothing yet, or has lost what it had. The caller
// closes it.
func (n *Node) Proven(ctx context.Context) (*state.View, error) {
	if v, ok, err := n.shown(); ok || err != nil {
		return v, err
	}
	if !n.hasMembership() || n.isRemoved() {
		return n.machine.View()
	}
	return n.View(ctx, Linearizable, 0)
}

// shown returns the state with all that was proven here; ok is false where there is
// nothing such.
func (n *Node) shown() (v *state.View, ok bool, err error) {
	p := n.proven.Load()
	if p == nil {
		return nil, false, nil
	}
	return n.show(p.current)
}

// show returns the state where it is current, without waiting; ok is false where
// it is not.
func (n *Node) show(now current) (v *state.View, ok bool, err error) {
	if applied, _ := n.machine.Applied(); applied >= now.index {
		v, err = n.machine.View()
		return v, err == nil, err
	}
	if now.ahead == nil {
		return nil, false, nil
	}
	return n.machine.ViewAhead(now.ahead)
}

func (n *Node) prove(p proof) {
	for {
		was := n.proven.Load()
		if was != nil && was.at.After(p.at) || n.proven.CompareAndSwap(was, &p) {
			return
		}
	}
}

// WaitApplied waits until this node has applied the entry.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	return n.machine.WaitApplied(ctx, index)
}

// readIndex returns what contains everything acknowledged before the call. It
// waits for a leader as long as the context allows.
func (n *Node) readIndex(ctx context.Context) (current, error) {
	pause := firstPause
	for {
		changed := n.leadership.signal.next()
		start := time.Now()
		now, err := n.askIndex(ctx)
		n.opts.Events.readIndex(time.Since(start), err)
		if err == nil {
			return now, nil
		}
		if ended := n.pause(ctx, changed, &pause); ended != nil {
			return current{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func (n *Node) askIndex(ctx context.Context) (current, error) {
	if n.raft.State() == raft.Leader {
		index, err := n.confirming.join(ctx)
		return current{index: index}, err
	}
	return n.asking.join(ctx)
}

// askLeader asks the leader once, for all readers on this node that wait.
func (n *Node) askLeader(ctx context.Context) (current, error) {
	id, address := n.leader()
	switch id {
	case "":
		return current{}, errNoLeader
	case n.opts.ID:
		return current{}, errTermNotOpen
	}
	ctx, end := n.caller.whileLeading(ctx, id)
	defer end()
	applied, _ := n.machine.Applied()
	req, resp := &ReadIndexRequest{TimeoutMs: remainingMs(ctx), Lacks: applied + 1}, &ReadIndexResponse{}
	if err := n.caller.call(ctx, address, pathReadIndex, req, resp); err != nil {
		return current{}, err
	}
	if !resp.GetConfirmed() {
		return current{}, errNotLeader
	}
	n.clock.heard(resp.GetNowMs())
	now := current{index: resp.GetIndex()}
	if applied, _ := n.machine.Applied(); applied < now.index {
		now.ahead = n.lookAhead(ctx, resp.GetEntries())
	}
	return now, nil
}

// lookAhead works out what entries do to the state that this node lacks. They are
// in the leader's log, and in that of a majority, but perhaps not yet in this
// node's: a read that waited for that would be as slow as the slowest disk.
func (n *Node) lookAhead(ctx context.Context, entries []*LogEntry) *fsm.Ahead {
	ahead, err := n.machine.Ahead(ctx, entriesOf(entries))
	if err != nil {
		n.logger.Debug("a read waits for entries to be applied", "error", err)
		return nil
	}
	return ahead
}

func entriesOf(entries []*LogEntry) []fsm.Entry {
	out := make([]fsm.Entry, 0, len(entries))
	for _, e := range entries {
		out = append(out, fsm.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Type: uint8(e.GetType()), Data: e.GetData()})
	}
	return out
}

// answerReadIndex answers another node's question.
func (n *Node) answerReadIndex(ctx context.Context, req *ReadIndexRequest) (*ReadIndexResponse, error) {
	ctx, cancel := within(ctx, req.GetTimeoutMs())
	defer cancel()
	if !n.awaitOpen(ctx) {
		return &ReadIndexResponse{}, nil
	}
	index, err := n.confirming.join(ctx)
	if err != nil {
		n.logger.Debug("a read index was not confirmed", "error", err)
		return &ReadIndexResponse{}, nil
	}
	return &ReadIndexResponse{Confirmed: true, Index: index, NowMs: n.knownTime(), Entries: n.lacking(req.GetLacks(), index)}, nil
}

// lacking returns the entries that a reader lacks, up to an index or beyond; none
// where they are too many.
func (n *Node) lacking(from, index uint64) []*LogEntry {
	if from == 0 || from > index || index-from >= aheadEntries {
		return nil
	}
	entries, err := n.Committed(from, aheadEntries, aheadBytes)
	if err != nil {
		n.logger.Debug("a reader has to wait for entries", "from", from, "error", err)
		return nil
	}
	if len(entries) == 0 || entries[len(entries)-1].Index < index {
		return nil
	}
	out := make([]*LogEntry, 0, len(entries))
	size := 0
	for _, e := range entries {
		if size += len(e.Data); size > aheadBytes {
			return nil
		}
		out = append(out, &LogEntry{Index: e.Index, Term: e.Term, Type: uint32(e.Type), Data: e.Data})
	}
	return out
}

// awaitOpen waits while this node is the leader but has not yet opened its term.
func (n *Node) awaitOpen(ctx context.Context) bool {
	for {
		changed := n.leadership.signal.next()
		if n.leads() {
			return true
		}
		if n.raft.State() != raft.Leader {
			return false
		}
		pause := lastPause
		if n.pause(ctx, changed, &pause) != nil {
			return false
		}
	}
}

// confirm is the leader's proof that an index is current, in this order: its own
// term's entry is applied, so that the commit index is valid; the commit index;
// a quorum accepts it as leader after that; the term is still the same.
func (n *Node) confirm(ctx context.Context) (uint64, error) {
	if !n.awaitOpen(ctx) {
		return 0, errNotLeader
	}
	term := n.leadership.open.Load()
	since := n.acks.mark()
	index := n.raft.CommitIndex()
	for {
		if err := n.verify(ctx); err != nil {
			return 0, fmt.Errorf("%w: %w", errNotLeader, err)
		}
		if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
			return 0, errNotLeader
		}
		config := n.raft.GetConfiguration()
		if err := config.Error(); err != nil {
			return 0, err
		}
		// See acks: answers to what was sent before we asked prove nothing, and
		// those under way are used up by the next verification.
		if n.acks.quorum(term, since, raft.ServerID(n.opts.ID), config.Configuration().Servers) {
			return index, nil
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
}

// verify is raft's VerifyLeader, bounded by a context.
func (n *Node) verify(ctx context.Context) error {
	future := n.raft.VerifyLeader()
	done := make(chan error, 1)
	// Raft leaves questions unanswered that it finds when it stops; so nobody
	// waits for this goroutine.
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.Join(errNotLeader, ctx.Err())
	}
}
