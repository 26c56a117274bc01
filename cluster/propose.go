package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
)

const (
	firstPause = 5 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// Propose has a transaction decided by the replicated state machine, from any
// node. It fills in the transaction's identity where there is none, and its
// deadline, in replicated time, from the context's where that is 0.
//
// It tries again, under the same identity, through elections and broken
// connections until the context ends. With no error, the result is definite.
// ErrUnavailable and ErrBusy: certainly not applied, now or later. ErrUnknown:
// proposed, outcome not learned. It does not wait until this node has applied
// the result; WaitApplied does. The transaction must not be changed afterwards:
// a late copy may still be on its way.
func (n *Node) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	if err := n.gone(); err != nil {
		return command.Result{}, err
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	if !n.clock.ready() {
		// This node has not heard from a leader since it started and does not know
		// what time it is: a deadline of its making might have passed already.
		if _, err := n.readIndex(ctx); err != nil {
			return command.Result{}, err
		}
	}
	ours := tx.GetDeadlineMs() == 0
	if err := n.complete(ctx, tx); err != nil {
		return command.Result{}, err
	}
	t := &trial{node: n, tx: tx, ours: ours, requestID: RequestID(ctx), pause: firstPause}
	for {
		changed := n.leadership.signal.next()
		result, done, err := t.once(ctx)
		if done {
			return result, err
		}
		if err := n.pause(ctx, changed, &t.pause); err != nil {
			return command.Result{}, t.giveUp(err)
		}
	}
}

// bounded gives a context a deadline if it has none, and ends it with the node.
func (n *Node) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, n.opts.ProposeTimeout)
}

func (n *Node) complete(ctx context.Context, tx *command.Transaction) error {
	if len(tx.Id) == 0 {
		tx.Id = make([]byte, command.IDBytes)
		// Read never fails; it ends the process where there is no randomness.
		_, _ = rand.Read(tx.Id)
	}
	if tx.DeadlineMs == 0 {
		tx.DeadlineMs = n.deadline(ctx)
	}
	if err := tx.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidTransaction, err)
	}
	return nil
}

// A transaction's deadline is a little before its context's: a tenth of the time,
// but no more than maxMargin. In between, asking again gives a definite answer.
const (
	marginShare = 10
	maxMargin   = 500 // ms
)

func (n *Node) deadline(ctx context.Context) uint64 {
	left := remainingMs(ctx)
	return n.clock.now() + left - min(left/marginShare, maxMargin)
}

// pause waits for a change of leadership, but not for long: the change may have
// been missed. It returns an error when the context or the node has ended.
func (n *Node) pause(ctx context.Context, changed <-chan struct{}, pause *time.Duration) error {
	timer := time.NewTimer(*pause)
	defer timer.Stop()
	*pause = min(2**pause, lastPause)
	select {
	case <-changed:
	case <-timer.C:
	case <-n.ctx.Done():
		return ErrClosed
	case <-n.removed:
		return ErrRemoved
	case <-ctx.Done():
	}
	return ctx.Err()
}

// trial is one transaction's attempts.
type trial struct {
	node      *Node
	tx        *command.Transaction
	requestID string
	pause     time.Duration
	// ours is set where the deadline was made here, from the context's.
	ours bool
	// maybe is set once an attempt may have got into a log. From then on only the
	// state machine can tell what happened; that a later attempt got nowhere says
	// nothing about the earlier one.
	maybe bool
}

// once makes one attempt; done is false where another one may help.
func (t *trial) once(ctx context.Context) (result command.Result, done bool, err error) {
	p := newProposal(t.tx, t.requestID)
	p.again = t.maybe
	verdict := t.node.attempt(ctx, p)
	switch verdict.GetFate() {
	case Verdict_FATE_DECIDED:
		result := command.Result{
			Outcome: command.Outcome(verdict.GetOutcome()), Failed: int(verdict.GetFailed()),
			Revision: verdict.GetRevision(), Index: verdict.GetIndex(),
		}
		if result.Outcome == command.Forgotten && t.maybe {
			// The machine forgets identities some time after their deadline: what
			// became of an earlier attempt is not known any more.
			return command.Result{}, true, fmt.Errorf("%w: it came long after its deadline", ErrUnknown)
		}
		if result.Outcome == command.Forgotten {
			result.Outcome = command.Expired // there was no earlier attempt to forget
		}
		if result.Outcome == command.Expired && t.renew(ctx) {
			return command.Result{}, false, nil
		}
		return result, true, nil
	case Verdict_FATE_BUSY:
		if !t.maybe {
			return command.Result{}, true, ErrBusy
		}
	case Verdict_FATE_LATE:
		if !t.renew(ctx) {
			return command.Result{}, true, t.giveUp(context.DeadlineExceeded)
		}
	case Verdict_FATE_INVALID:
		if !t.maybe {
			return command.Result{}, true, ErrInvalidTransaction
		}
	case Verdict_FATE_NOT_PROPOSED:
	default:
		t.maybe = true
	}
	return command.Result{}, false, nil
}

// renew gives a transaction that is certainly in no log, now or later, the
// deadline that its context really has. Replicated time jumps ahead when a leader
// follows whose clock is ahead of the last one's.
func (t *trial) renew(ctx context.Context) bool {
	if !t.ours || t.maybe || ctx.Err() != nil {
		return false
	}
	t.tx.DeadlineMs = t.node.deadline(ctx)
	return true
}

func (t *trial) giveUp(cause error) error {
	if t.maybe {
		return fmt.Errorf("%w: %w", ErrUnknown, cause)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// attempt makes one attempt at the leader, wherever that is now.
func (n *Node) attempt(ctx context.Context, p *proposal) *Verdict {
	if n.leads() {
		return n.coalescer.submit(ctx, p)
	}
	id, _ := n.leader()
	if id == "" || id == n.opts.ID {
		return fate(Verdict_FATE_NOT_PROPOSED)
	}
	return n.forwarder.submit(ctx, p)
}

// forward sends a batch of proposals to the leader: the other nodes' half.
func (n *Node) forward(batch []*proposal) {
	id, address := n.leader()
	if id == "" || id == n.opts.ID {
		answerAll(batch, Verdict_FATE_NOT_PROPOSED)
		return
	}
	// A call lasts as long as the most patient of its proposals, and long enough
	// for the answer where deadlines are over; a waiter whose context ends before
	// does not wait for it.
	now := n.clock.now()
	longest := now
	req := &ProposeRequest{Proposals: make([]*Proposal, len(batch))}
	for i, p := range batch {
		req.Proposals[i] = &Proposal{Transaction: p.tx, RequestId: p.requestID, Again: p.again}
		longest = max(longest, p.tx.GetDeadlineMs())
	}
	ctx, cancel := within(n.ctx, longest-now+uint64(roundTimeout.Milliseconds()))
	defer cancel()
	ctx, end := n.caller.whileLeading(ctx, id)
	defer end()
	req.TimeoutMs = remainingMs(ctx)
	start := time.Now()
	resp := &ProposeResponse{}
	err := n.caller.call(ctx, address, pathPropose, req, resp)
	n.forwarded(batch, resp, err, time.Since(start))
}

func (n *Node) forwarded(batch []*proposal, resp *ProposeResponse, err error, took time.Duration) {
	switch {
	case errors.Is(err, errNotDialled):
		n.opts.Events.forwarded("broken", len(batch), took)
		n.logger.Debug("proposals did not reach the leader", "error", err)
		answerAll(batch, Verdict_FATE_NOT_PROPOSED)
		return
	case err != nil || len(resp.GetVerdicts()) != len(batch):
		n.opts.Events.forwarded("broken", len(batch), took)
		n.logger.Debug("proposals may have reached the leader", "error", err)
		answerAll(batch, Verdict_FATE_UNKNOWN)
		return
	}
	n.clock.heard(resp.GetNowMs())
	result := "ok"
	for i, p := range batch {
		switch v := resp.GetVerdicts()[i]; v.GetFate() {
		case Verdict_FATE_NOT_PROPOSED:
			result = "not_leader"
			p.done <- v
		case Verdict_FATE_BUSY:
			result = "busy"
			p.done <- v
		default:
			p.done <- v
		}
	}
	n.opts.Events.forwarded(result, len(batch), took)
}

// answerPropose takes proposals from another node.
func (n *Node) answerPropose(ctx context.Context, req *ProposeRequest) (*ProposeResponse, error) {
	ctx, cancel := within(ctx, req.GetTimeoutMs())
	defer cancel()
	verdicts := make([]*Verdict, len(req.GetProposals()))
	if !n.awaitOpen(ctx) {
		for i := range verdicts {
			verdicts[i] = fate(Verdict_FATE_NOT_PROPOSED)
		}
		return &ProposeResponse{Verdicts: verdicts, NowMs: n.knownTime()}, nil
	}
	waits := make([]*proposal, len(verdicts))
	for i, in := range req.GetProposals() {
		p := newProposal(in.GetTransaction(), in.GetRequestId())
		p.again = in.GetAgain()
		if p.tx == nil || p.tx.Validate() != nil {
			verdicts[i] = fate(Verdict_FATE_INVALID)
			continue
		}
		if !n.coalescer.enqueue(p) {
			verdicts[i] = fate(Verdict_FATE_BUSY)
			continue
		}
		waits[i] = p
	}
	for i, p := range waits {
		if p != nil {
			verdicts[i] = n.coalescer.await(ctx, p)
		}
	}
	return &ProposeResponse{Verdicts: verdicts, NowMs: n.knownTime()}, nil
}

// knownTime is replicated time for others to go by: 0 where it is a guess.
func (n *Node) knownTime() uint64 {
	if !n.clock.ready() {
		return 0
	}
	return n.clock.now()
}
