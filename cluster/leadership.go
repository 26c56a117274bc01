package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// signal wakes everybody who waits for a change.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

func newSignal() *signal { return &signal{ch: make(chan struct{})} }

// next returns a channel that is closed at the next change.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ch
}

func (s *signal) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = make(chan struct{})
}

// leadership is what this node knows of who leads.
type leadership struct {
	// open is the term in which this node, as leader, has applied an entry of its
	// own; 0 is none. The commit index is valid for reads in that term only.
	open    atomic.Uint64
	changes atomic.Uint64
	signal  *signal
}

// leader returns who leads as far as this node knows, which may be out of date.
func (n *Node) leader() (id, address string) {
	a, i := n.raft.LeaderWithID()
	return string(i), string(a)
}

// leads tells whether this node is the leader and has opened its term.
func (n *Node) leads() bool {
	return n.raft.State() == raft.Leader && n.leadership.open.Load() == n.raft.CurrentTerm()
}

// observe turns raft's observations into events and wake-ups.
func (n *Node) observe(ctx context.Context, seen <-chan raft.Observation) {
	for {
		select {
		case o := <-seen:
			switch what := o.Data.(type) {
			case raft.LeaderObservation:
				id, term := string(what.LeaderID), n.raft.CurrentTerm()
				if id != "" {
					n.leadership.changes.Add(1)
					n.caller.leads(id)
					n.logger.Info("leader elected", "leader", id, "term", term)
				} else {
					n.logger.Info("no leader", "term", term)
				}
				n.opts.Events.leaderChanged(id, term)
				n.leadership.signal.changed()
			case raft.RaftState:
				n.leadership.signal.changed()
			}
		case <-ctx.Done():
			return
		}
	}
}

// retryOpen is the pause before a leader tries again to open its term.
const retryOpen = 20 * time.Millisecond

// lead does a new leader's duties, each time this node becomes one: it opens the
// term with an entry of its own and gives the cluster its identity.
func (n *Node) lead(ctx context.Context) {
	for {
		select {
		case <-n.raft.LeaderCh():
		case <-ctx.Done():
			return
		}
		for n.raft.State() == raft.Leader && n.leadership.open.Load() != n.raft.CurrentTerm() {
			if n.openTerm() {
				n.background.Add(1)
				go func() {
					defer n.background.Done()
					n.mintIdentity(ctx)
				}()
				break
			}
			select {
			case <-time.After(retryOpen):
			case <-ctx.Done():
				return
			}
		}
	}
}

// openTerm puts a command of the new term in the log. Not raft's own barrier:
// that never reaches the state machine, which then could not wait for it.
func (n *Node) openTerm() bool {
	term := n.raft.CurrentTerm()
	data, err := command.Encode(&command.Entry{Commands: []*command.Command{{
		TimeMs: n.clock.stamp(),
		Kind:   &command.Command_OpenTerm{OpenTerm: &command.OpenTerm{LeaderId: n.opts.ID}},
	}}}, n.commandVersion())
	if err != nil {
		n.logger.Error("the term can't be opened", "term", term, "error", err)
		return false
	}
	if err := n.settled(n.raft.Apply(data, n.opts.ElectionTimeout)); err != nil {
		n.logger.Debug("the term was not opened", "term", term, "error", err)
		return false
	}
	// Leadership may have been lost and won again meanwhile; the entry then
	// belongs to either term, and only an unchanged one is known to be opened.
	if n.raft.CurrentTerm() != term {
		return false
	}
	n.leadership.open.Store(term)
	n.leadership.signal.changed()
	n.logger.Info("leading", "term", term)
	return true
}

// mintIdentity gives a new cluster its id. The precondition makes it happen once
// whoever tries, and however often.
func (n *Node) mintIdentity(ctx context.Context) {
	if n.ClusterID() != "" {
		return
	}
	now := n.clock.now()
	value, err := state.Encode(&state.Cluster{Id: uuid.NewString(), CreatedMs: now})
	if err != nil {
		n.logger.Error("the cluster's identity can't be encoded", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.opts.ProposeTimeout)
	defer cancel()
	_, err = n.Propose(ctx, &command.Transaction{
		Preconditions: []*command.Precondition{command.KeyAbsent(state.ClusterKey())},
		Writes:        []*command.Write{command.PutValue(state.ClusterKey(), value)},
	})
	if err != nil {
		// The next leader sees that it is missing.
		n.logger.Warn("the cluster has no identity yet", "error", err)
	}
}

// learnIdentity takes the cluster's id from this node's own state, if it is there.
func (n *Node) learnIdentity() error {
	id, err := n.readIdentity()
	if err != nil {
		return fmt.Errorf("cluster: the cluster's identity: %w", err)
	}
	if id != "" {
		n.identity.Store(&id)
		n.logger.Info("member of a cluster", "cluster", id)
	}
	return nil
}

// watchIdentity learns the cluster's id as soon as it is in the state.
func (n *Node) watchIdentity(ctx context.Context) {
	for n.ClusterID() == "" {
		index, _ := n.machine.Applied()
		if err := n.learnIdentity(); err != nil {
			n.logger.Error("this node does not know its cluster", "error", err)
			return
		}
		if n.ClusterID() != "" {
			n.gossip.refresh()
			return
		}
		if err := n.machine.WaitApplied(ctx, index+1); err != nil {
			return // the node is being shut down
		}
	}
}

func (n *Node) readIdentity() (string, error) {
	view, err := n.machine.View()
	if err != nil {
		return "", err
	}
	defer view.Close()
	rec, ok, err := view.Cluster()
	if err != nil || !ok {
		return "", err
	}
	return rec.GetId(), nil
}

// ClusterID is the cluster's identity; "" before there is one.
func (n *Node) ClusterID() string {
	if id := n.identity.Load(); id != nil {
		return *id
	}
	return ""
}

// apply puts a batch of proposals in the log as one entry: the leader's half of
// every proposal.
func (n *Node) apply(batch []*proposal) {
	if !n.leads() {
		answerAll(batch, Verdict_FATE_NOT_PROPOSED)
		return
	}
	stamp := n.clock.stamp()
	entry := &command.Entry{Commands: make([]*command.Command, 0, len(batch))}
	in := batch[:0:len(batch)]
	for _, p := range batch {
		if p.tx.GetDeadlineMs() < stamp && !p.again {
			p.done <- fate(Verdict_FATE_LATE)
			continue
		}
		in = append(in, p)
		entry.Commands = append(entry.Commands, &command.Command{
			TimeMs: stamp, Kind: &command.Command_Transaction{Transaction: p.tx},
		})
	}
	if len(in) == 0 {
		return
	}
	for len(in) > 1 {
		i := slices.IndexFunc(in, func(p *proposal) bool { return p.tx.GetRestore() != nil })
		if i < 0 {
			break
		}
		// It is alone in its entry.
		n.propose([]*proposal{in[i]}, &command.Entry{Commands: entry.GetCommands()[i : i+1 : i+1]})
		in = slices.Delete(in, i, i+1)
		entry.Commands = slices.Delete(slices.Clone(entry.GetCommands()), i, i+1)
	}
	n.propose(in, entry)
}

// propose puts an entry in the log and answers those whose proposals are in it.
func (n *Node) propose(in []*proposal, entry *command.Entry) {
	data, err := command.Encode(entry, n.commandVersion())
	if err != nil {
		// Each was validated before it came here.
		n.logger.Error("an entry can't be encoded", "error", err)
		answerAll(in, Verdict_FATE_INVALID)
		return
	}
	start := time.Now()
	future := n.raft.Apply(data, n.opts.ElectionTimeout)
	err = n.settled(future)
	n.opts.Events.proposed(len(in), len(data), time.Since(start), err)
	n.figures.entries.Add(1)
	n.figures.transactions.Add(uint64(len(in)))
	if err != nil {
		n.logger.Debug("an entry was not committed", "error", err)
		answerAll(in, fateOf(err))
		return
	}
	results, ok := future.Response().([]command.Result)
	if !ok || len(results) != len(in) {
		// The state machine has stopped in the middle; what it did is not known.
		n.logger.Error("the state machine gave no result", "response", future.Response())
		answerAll(in, Verdict_FATE_UNKNOWN)
		return
	}
	for i, p := range in {
		r := results[i]
		if p.requestID != "" {
			n.logger.Debug("transaction decided", "request_id", p.requestID, "outcome", r.Outcome, "index", r.Index)
		}
		p.done <- &Verdict{
			Fate: Verdict_FATE_DECIDED, Outcome: uint32(r.Outcome), Failed: int64(r.Failed),
			Revision: r.Revision, Index: r.Index,
		}
	}
}

// settled waits for what raft says of an entry. Raft never answers for committed
// entries that its state machine has not taken when it stops; so nobody waits
// longer than raft runs.
func (n *Node) settled(future raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-n.raftEnded:
	}
	select {
	case err := <-done: // it came at the same moment
		return err
	default:
		return raft.ErrRaftShutdown
	}
}

// fateOf tells what an error of raft's Apply says about the entry. Only three
// errors say that it certainly is in no log; lost leadership does not.
func fateOf(err error) Verdict_Fate {
	for _, definite := range []error{raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout} {
		if errors.Is(err, definite) {
			return Verdict_FATE_NOT_PROPOSED
		}
	}
	return Verdict_FATE_UNKNOWN
}

func answerAll(batch []*proposal, f Verdict_Fate) {
	for _, p := range batch {
		p.done <- fate(f)
	}
}
