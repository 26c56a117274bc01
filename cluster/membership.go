package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Remove takes a node out of the cluster for good, from any node. It is no error
// when it was removed before. The leader hands its leadership over first.
//
// It and its like are ErrNoSuchNode where the node was never a member, a
// *Refusal, which is ErrRefused, where it would cost the quorum, ErrUnavailable
// where nothing was done, and ErrUnknown where that was not learned. Each may be
// repeated.
func (n *Node) Remove(ctx context.Context, id string) error {
	return n.ask(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_REMOVE, Id: id})
}

// Promote gives a nonvoter a vote.
func (n *Node) Promote(ctx context.Context, id string) error {
	return n.ask(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_PROMOTE, Id: id})
}

// Demote takes a voter's vote. It keeps the log and serves reads, and gets no vote
// again but by Promote.
func (n *Node) Demote(ctx context.Context, id string) error {
	return n.ask(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_DEMOTE, Id: id})
}

// Transfer hands leadership to another voter, the most current one that answers
// where id is empty.
func (n *Node) Transfer(ctx context.Context, id string) error {
	return n.ask(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_TRANSFER, Id: id})
}

// Leave takes this node out of its cluster for good. It goes on to run, and
// serves nothing.
func (n *Node) Leave(ctx context.Context) error {
	if n.isRemoved() {
		return nil
	}
	if !n.hasMembership() {
		return refuse("this node is in no cluster that it could leave")
	}
	return n.Remove(ctx, n.opts.ID)
}

// Refusal is a change of the membership that was not made, with the reason.
type Refusal struct{ Reason string }

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

// Unwrap makes every refusal ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// ask has the leader make a change, wherever that is. What a repeat could mend is
// tried again until the context ends: each change may be repeated.
func (n *Node) ask(ctx context.Context, req *MembershipRequest) error {
	if err := n.gone(); err != nil {
		return err
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	pause := firstPause
	maybe := false
	// handing is the leader that was asked to hand over to anybody and may have done
	// so: its answer was lost, or it lost office meanwhile. Whoever leads next must not
	// be asked the same: it might hand back.
	handing := ""
	toAnybody := req.GetKind() == MembershipRequest_KIND_TRANSFER && req.GetId() == ""
	for {
		changed := n.leadership.signal.next()
		if leader, _ := n.leader(); handing != "" && leader != "" && leader != handing {
			return nil
		}
		asked, resp, err := n.askOnce(ctx, req)
		switch {
		case err == nil && resp.GetOutcome() == MembershipResponse_OUTCOME_DONE:
			return nil
		case err == nil && resp.GetOutcome() == MembershipResponse_OUTCOME_NO_SUCH_NODE:
			return fmt.Errorf("%w: %s", ErrNoSuchNode, resp.GetReason())
		case err == nil && resp.GetOutcome() == MembershipResponse_OUTCOME_REFUSED:
			return &Refusal{resp.GetReason()}
		case err == nil && resp.GetOutcome() == MembershipResponse_OUTCOME_NOT_LEADER:
			err = fmt.Errorf("%w: %s", errNotLeader, resp.GetReason())
		case errors.Is(err, errNotDialled), errors.Is(err, errNoLeader):
		default:
			maybe = true
			if err == nil {
				err = errors.New(resp.GetReason())
			}
			if toAnybody {
				handing = asked
			}
		}
		if ended := n.pause(ctx, changed, &pause); ended != nil {
			if maybe {
				return fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// askOnce asks whoever leads as far as this node knows, which may be itself.
func (n *Node) askOnce(ctx context.Context, req *MembershipRequest) (asked string, resp *MembershipResponse, err error) {
	if n.raft.State() == raft.Leader {
		return n.opts.ID, n.change(ctx, req), nil
	}
	id, address := n.leader()
	if id == "" || id == n.opts.ID {
		return "", nil, errNoLeader
	}
	req.TimeoutMs = remainingMs(ctx)
	ctx, end := n.caller.whileLeading(ctx, id)
	defer end()
	resp = &MembershipResponse{}
	return id, resp, n.caller.call(ctx, address, pathMembership, req, resp)
}

// answerMembership makes a change that another node asks for. A node that is not
// in the cluster yet knows no leader: whom it asks to be let in passes that on,
// once. All others go on to the next leader by themselves.
func (n *Node) answerMembership(ctx context.Context, req *MembershipRequest) (*MembershipResponse, error) {
	ctx, cancel := within(ctx, req.GetTimeoutMs())
	defer cancel()
	if n.raft.State() == raft.Leader || req.GetPassedOn() || req.GetKind() != MembershipRequest_KIND_ADD {
		return n.change(ctx, req), nil
	}
	req.PassedOn = true
	_, resp, err := n.askOnce(ctx, req)
	switch {
	case errors.Is(err, errNoLeader), errors.Is(err, errNotDialled):
		return notLeader(err.Error()), nil
	case err != nil:
		return unknown(err), nil
	}
	return resp, nil
}

func notLeader(why string) *MembershipResponse {
	return &MembershipResponse{Outcome: MembershipResponse_OUTCOME_NOT_LEADER, Reason: why}
}

func unknown(err error) *MembershipResponse {
	return &MembershipResponse{Outcome: MembershipResponse_OUTCOME_UNKNOWN, Reason: err.Error()}
}

// outcome is a change's error as it travels.
func outcome(err error) *MembershipResponse {
	var refusal *Refusal
	switch {
	case err == nil:
		return &MembershipResponse{Outcome: MembershipResponse_OUTCOME_DONE}
	case errors.As(err, &refusal):
		return &MembershipResponse{Outcome: MembershipResponse_OUTCOME_REFUSED, Reason: refusal.Reason}
	case errors.Is(err, errStranger):
		return &MembershipResponse{Outcome: MembershipResponse_OUTCOME_NO_SUCH_NODE, Reason: err.Error()}
	case errors.Is(err, errNotLeader):
		return notLeader(err.Error())
	}
	return unknown(err)
}
