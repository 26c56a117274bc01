package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

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

// proof is a moment and the index that was proven to contain all that was
// acknowledged before it.
type proof struct {
	at    time.Time
	index uint64
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
			if applied, _ := n.machine.Applied(); applied >= p.index {
				return n.machine.View()
			}
		}
	case Linearizable:
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	start := time.Now()
	index, err := n.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.machine.WaitApplied(ctx, index); err != nil {
		return nil, fmt.Errorf("%w: entry %d is not applied here: %w", ErrUnavailable, index, err)
	}
	n.prove(proof{at: start, index: index})
	return n.machine.View()
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

// readIndex returns an index that contains everything acknowledged before the
// call. It waits for a leader as long as the context allows.
func (n *Node) readIndex(ctx context.Context) (uint64, error) {
	pause := firstPause
	for {
		changed := n.leadership.signal.next()
		start := time.Now()
		index, err := n.askIndex(ctx)
		n.opts.Events.readIndex(time.Since(start), err)
		if err == nil {
			return index, nil
		}
		if ended := n.pause(ctx, changed, &pause); ended != nil {
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func (n *Node) askIndex(ctx context.Context) (uint64, error) {
	if n.raft.State() == raft.Leader {
		return n.confirming.join(ctx)
	}
	return n.asking.join(ctx)
}

// askLeader asks the leader once, for all readers on this node that wait.
func (n *Node) askLeader(ctx context.Context) (uint64, error) {
	id, address := n.leader()
	switch id {
	case "":
		return 0, errNoLeader
	case n.opts.ID:
		return 0, errTermNotOpen
	}
	ctx, end := n.caller.whileLeading(ctx, id)
	defer end()
	resp := &ReadIndexResponse{}
	if err := n.caller.call(ctx, address, pathReadIndex, &ReadIndexRequest{TimeoutMs: remainingMs(ctx)}, resp); err != nil {
		return 0, err
	}
	if !resp.GetConfirmed() {
		return 0, errNotLeader
	}
	n.clock.heard(resp.GetNowMs())
	return resp.GetIndex(), nil
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
	return &ReadIndexResponse{Confirmed: true, Index: index, NowMs: n.knownTime()}, nil
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
