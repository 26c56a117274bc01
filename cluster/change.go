package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// askMember bounds the question how a member is: one that takes longer does not
// count as there.
const askMember = time.Second

// errStranger is returned when a change names a node that is no member.
var errStranger = errors.New("it is no member of this cluster")

// change makes a change of the membership: the leader's half. There is one at a
// time, and each is bound to the configuration that it was judged by.
func (n *Node) change(ctx context.Context, req *MembershipRequest) *MembershipResponse {
	select {
	case n.changing <- struct{}{}:
		defer func() { <-n.changing }()
	case <-ctx.Done():
		return notLeader("another change is under way")
	}
	if !n.awaitOpen(ctx) {
		return notLeader("this node does not lead")
	}
	// With an entry of the leader's own term applied, so is every committed
	// configuration of earlier terms: the index is the newest there is.
	index, servers := n.configuration.committed()
	c := &pending{node: n, term: n.leadership.open.Load(), index: index, servers: servers}
	var err error
	switch id := req.GetId(); req.GetKind() {
	case MembershipRequest_KIND_ADD:
		err = c.add(ctx, id, req.GetClusterAddress())
	case MembershipRequest_KIND_REMOVE:
		err = c.remove(ctx, id)
	case MembershipRequest_KIND_PROMOTE:
		err = c.promote(ctx, id)
	case MembershipRequest_KIND_DEMOTE:
		err = c.demote(ctx, id)
	case MembershipRequest_KIND_TRANSFER:
		err = c.transfer(ctx, id)
	default:
		err = refuse("this node's program is too old for this change: it does not know it")
	}
	if errors.Is(err, ErrRefused) && !c.leads() {
		// That nobody answered may be the very reason why it leads no more: it is
		// for the next leader to judge.
		err = fmt.Errorf("%w any more, when it found: %s", errNotLeader, err.Error())
	}
	if err != nil {
		n.logger.Info("the membership was not changed", "change", req.GetKind().String(), "id", req.GetId(), "because", err)
	}
	return outcome(err)
}

// pending is a change that is being made, and the term and the configuration it is
// bound to.
type pending struct {
	node    *Node
	term    uint64
	index   uint64
	servers []raft.Server
}

// leads tells whether this node has led without a break since the change began.
func (c *pending) leads() bool { return c.node.leads() && c.node.leadership.open.Load() == c.term }

func (c *pending) member(id string) (raft.Server, error) {
	s, ok := find(c.servers, id)
	if !ok {
		return s, fmt.Errorf("%q: %w", id, errStranger)
	}
	return s, nil
}

// settle waits for raft's answer to a change.
func (c *pending) settle(ctx context.Context, what, id string, future raft.IndexFuture) error {
	done := make(chan error, 1)
	go func() { done <- c.node.settled(future) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return fmt.Errorf("%s %s: not yet committed: %w", what, id, ctx.Err())
	}
	if err != nil {
		if fateOf(err) == Verdict_FATE_NOT_PROPOSED {
			return fmt.Errorf("%w: %w", errNotLeader, err)
		}
		if now, _ := c.node.configuration.committed(); now != c.index {
			return fmt.Errorf("%w: the configuration changed meanwhile", errNotLeader)
		}
		return fmt.Errorf("%s %s: %w", what, id, err)
	}
	c.node.logger.Info("the membership has changed", "change", what, "id", id, "index", future.Index())
	return nil
}

// patience is how long a change waits for its turn in raft.
func (c *pending) patience() time.Duration { return c.node.opts.ElectionTimeout }

// add lets a node in without a vote. It must be reached at the address that it
// gave, say that it is who it says, and belong to no other cluster.
func (c *pending) add(ctx context.Context, id, address string) error {
	n := c.node
	if id == "" || address == "" {
		return refuse("a node is let in by id and cluster address")
	}
	was, known := find(c.servers, id)
	for _, s := range c.servers {
		if string(s.Address) == address && string(s.ID) != id {
			return refuse("%s is the cluster address of %s: each node needs one of its own", address, s.ID)
		}
	}
	hello, err := n.hello(ctx, address)
	switch {
	case errors.Is(err, errOtherCluster):
		return refuse("%s at %s belongs to another cluster: empty its data folder first", id, address)
	case err != nil:
		return refuse("%s is not reached at %s, which it gave as its cluster address (%v): check --cluster-advertise, firewalls and certificates", id, address, err)
	case hello.GetId() != id:
		return refuse("at %s answers %s and not %s: check --cluster-advertise", address, hello.GetId(), id)
	case hello.GetClusterId() != "" && hello.GetClusterId() != n.ClusterID():
		return refuse("%s belongs to cluster %s and not to %s: empty its data folder first", id, hello.GetClusterId(), n.ClusterID())
	case !known && hello.GetHasState() && hello.GetClusterId() == "":
		return refuse("%s has the state of a cluster that never began: empty its data folder first", id)
	}
	if why := unfit(hello, n.commandVersion()); why != nil {
		return why
	}
	if known && string(was.Address) != address {
		// The node that is there may be the same one: it can be reached at both.
		there, err := n.statusOf(ctx, id, string(was.Address))
		if err == nil && there.GetClusterAddress() != address {
			return refuse("%s is a member already, at %s, and answers there: each node needs an id of its own", id, was.Address)
		}
	}
	switch {
	case !known:
		if err := c.remember(ctx, id, nil); err != nil {
			return err
		}
	case isVoter(was) && hello.GetBlank():
		if err := c.disarm(ctx, id); err != nil {
			return err
		}
	}
	if known && string(was.Address) == address {
		return nil
	}
	return c.settle(ctx, "add", id, n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), c.index, c.patience()))
}

// disarm takes the vote of a voter that came back without its data: it has
// forgotten what it voted and acknowledged, so nothing may rest on it until it has
// all of it again.
func (c *pending) disarm(ctx context.Context, id string) error {
	n := c.node
	doing := "taking the vote of " + id + ", which came back without its data,"
	if why := lossOf(doing, id, votersOf(c.servers), c.answering(ctx)); why != "" {
		return refuse("%s", why)
	}
	n.logger.Warn("a voter came back without its data: it begins anew without a vote", "id", id)
	if err := c.settle(ctx, "demote", id, n.raft.DemoteVoter(raft.ServerID(id), c.index, c.patience())); err != nil {
		return err
	}
	c.index, c.servers = n.configuration.committed()
	return nil
}

func (c *pending) remove(ctx context.Context, id string) error {
	n := c.node
	s, err := c.member(id)
	if err != nil {
		rec, known, failed := n.decided(id)
		switch {
		case failed != nil:
			return failed
		case known && rec.GetRemovedMs() > 0:
			return nil // it was removed before
		}
		return err
	}
	if isVoter(s) {
		if why := lossOf("removing "+id, id, votersOf(c.servers), c.answering(ctx)); why != "" {
			return refuse("%s", why)
		}
	}
	if id == n.opts.ID {
		return c.yield(ctx)
	}
	if err := c.remember(ctx, id, &state.Member{RemovedMs: n.clock.now()}); err != nil {
		return err
	}
	return c.settle(ctx, "remove", id, n.raft.RemoveServer(s.ID, c.index, c.patience()))
}

// yield hands leadership over before this node's own vote is taken: the next
// leader does the rest when it is asked.
func (c *pending) yield(ctx context.Context) error {
	err := c.node.handOver(ctx, "")
	switch {
	case err == nil:
		return fmt.Errorf("%w any more: leadership was handed over", errNotLeader)
	case ctx.Err() != nil, errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w to do it: leadership is to be handed over first: %w", errNotLeader, err)
	}
	return refuse("this node leads, and nobody can take over: %v", err)
}

func (c *pending) promote(ctx context.Context, id string) error {
	n := c.node
	s, err := c.member(id)
	if err != nil {
		return err
	}
	if isVoter(s) {
		return c.remember(ctx, id, nil)
	}
	at := n.survey(ctx, []raft.Server{s})[0]
	commit := n.raft.CommitIndex()
	switch {
	case at.err != nil:
		return refuse("%s does not answer at %s (%v): it gets no vote before it does", id, s.Address, at.err)
	case at.status.GetAppliedIndex()+n.opts.ReadyLag < commit:
		return refuse("%s is %d entries behind: it gets no vote before it has caught up", id, commit-at.status.GetAppliedIndex())
	}
	if why := gainOf(id, votersOf(c.servers), c.answering(ctx)); why != "" {
		return refuse("%s", why)
	}
	if err := c.remember(ctx, id, nil); err != nil {
		return err
	}
	return c.settle(ctx, "promote", id, n.raft.AddVoter(s.ID, s.Address, c.index, c.patience()))
}

func (c *pending) demote(ctx context.Context, id string) error {
	n := c.node
	s, err := c.member(id)
	if err != nil {
		return err
	}
	if isVoter(s) {
		if why := lossOf("demoting "+id, id, votersOf(c.servers), c.answering(ctx)); why != "" {
			return refuse("%s", why)
		}
		if id == n.opts.ID {
			return c.yield(ctx)
		}
	}
	// First, so that it is not promoted in between.
	if err := c.remember(ctx, id, &state.Member{Held: true}); err != nil || !isVoter(s) {
		return err
	}
	return c.settle(ctx, "demote", id, n.raft.DemoteVoter(s.ID, c.index, c.patience()))
}

func (c *pending) transfer(ctx context.Context, id string) error {
	n := c.node
	if id == n.opts.ID {
		return nil
	}
	if id != "" {
		s, err := c.member(id)
		if err != nil {
			return err
		}
		if !isVoter(s) {
			return refuse("%s has no vote: promote it first", id)
		}
	} else if len(votersOf(c.servers)) == 1 {
		return refuse("%s is the only voter: nobody else can lead", n.opts.ID)
	}
	err := n.handOver(ctx, id)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, raft.ErrLeadershipTransferInProgress), id == "" && !c.leads():
		// It may still go over, or went another way. Who asked sees who leads, and
		// must not ask the next leader to hand over as well.
		return fmt.Errorf("handing over: %w", err)
	}
	return refuse("leadership stays with %s: %v", n.opts.ID, err)
}

// answering are the voters that answer now and take what this node sends as their
// leader, itself among them.
func (c *pending) answering(ctx context.Context) []string {
	n := c.node
	var out []string
	patience := time.Now().Add(silenceBound * n.opts.HeartbeatTimeout)
	for _, r := range n.survey(ctx, c.servers) {
		id := string(r.server.ID)
		if r.err == nil && isVoter(r.server) && (id == n.opts.ID || n.follows(ctx, r.server.ID, patience)) {
			out = append(out, id)
		}
	}
	return out
}

// follows tells whether a voter takes what this node sends as its leader. Where
// nothing was heard of it since this node leads, which may just have begun, it is
// given time to answer.
func (n *Node) follows(ctx context.Context, voter raft.ServerID, patience time.Time) bool {
	pause := firstPause
	for {
		heard := n.acks.heard(voter, n.raft.CurrentTerm())
		if !heard.IsZero() {
			return time.Since(heard) < silenceBound*n.opts.HeartbeatTimeout
		}
		if time.Now().After(patience) || n.pause(ctx, nil, &pause) != nil {
			return false
		}
	}
}

// decided is what the replicated state says of a node.
func (n *Node) decided(id string) (*state.Member, bool, error) {
	view, err := n.machine.View()
	if err != nil {
		return nil, false, err
	}
	defer view.Close()
	return view.Member(id)
}

// remember puts what was decided about a node into the replicated state; nil is
// nothing.
func (c *pending) remember(ctx context.Context, id string, rec *state.Member) error {
	n := c.node
	was, known, err := n.decided(id)
	if err != nil {
		return err
	}
	if rec == nil && !known || rec != nil && known && rec.GetHeld() == was.GetHeld() && (rec.GetRemovedMs() > 0) == (was.GetRemovedMs() > 0) {
		return nil
	}
	write := command.DeleteKey(state.MemberKey(id))
	if rec != nil {
		value, err := state.Encode(rec)
		if err != nil {
			return err
		}
		write = command.PutValue(state.MemberKey(id), value)
	}
	result, err := n.Propose(ctx, &command.Transaction{Writes: []*command.Write{write}})
	if err == nil && result.Outcome != command.Applied {
		err = fmt.Errorf("what was decided about %s could not be written down: %v", id, result.Outcome)
	}
	return err
}
