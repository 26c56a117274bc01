package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sighting is a node that a new node sees and that belongs to a cluster.
type sighting struct {
	member member
	hello  *HelloResponse
}

// askToBeLetIn asks a cluster that this node sees to let it in, and returns why
// it is not in yet.
func (n *Node) askToBeLetIn(ctx context.Context, seen []sighting) (wait string) {
	var ids []string
	for _, s := range seen {
		if s.hello.GetOnlyFounded() {
			// Nobody ever led it, so that nobody promised anything in it.
			n.admitted.Store(true)
			return fmt.Sprintf("%s has founded one that has not begun", s.member.GetId())
		}
		if id := s.hello.GetClusterId(); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0:
		return fmt.Sprintf("%s belongs to one that has no leader yet", seen[0].member.GetId())
	case len(ids) > 1:
		return fmt.Sprintf("nodes of several clusters are seen (%s); which one is meant is not clear: "+
			"name only nodes of one with --join, and give each cluster a gossip key of its own", strings.Join(ids, ", "))
	}
	reasons := make([]string, 0, len(seen))
	for _, s := range seen {
		err := n.askThrough(ctx, s.member.GetClusterAddress())
		if err == nil {
			n.admitted.Store(true) // without a vote, so that nothing rests on what it forgot
			return fmt.Sprintf("it was let in by cluster %s and waits for the log", ids[0])
		}
		reasons = append(reasons, err.Error())
		var refusal *Refusal
		if errors.As(err, &refusal) {
			break // the leader said so, and it would say the same again
		}
	}
	return fmt.Sprintf("cluster %s does not let it in: %s", ids[0], strings.Join(slices.Compact(reasons), "; "))
}

// joinTimeout bounds one request to be let in.
const joinTimeout = 10 * time.Second

// askThrough asks the leader by way of another node.
func (n *Node) askThrough(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	req := &MembershipRequest{
		Kind: MembershipRequest_KIND_ADD, Id: n.opts.ID, ClusterAddress: n.port.advertise, TimeoutMs: remainingMs(ctx),
	}
	resp := &MembershipResponse{}
	if err := n.caller.call(ctx, address, pathMembership, req, resp); err != nil {
		return err
	}
	switch resp.GetOutcome() {
	case MembershipResponse_OUTCOME_DONE:
		return nil
	case MembershipResponse_OUTCOME_REFUSED:
		return &Refusal{resp.GetReason()}
	}
	return errors.New(resp.GetReason())
}

// Join has this running node join the cluster that is found at gossip addresses,
// and returns when it is a member. It is no error where it is one already. A node
// that has the state of another cluster is refused: its data would be lost.
func (n *Node) Join(ctx context.Context, addresses []string) error {
	if n.gossip == nil {
		return refuse("this node has no gossip address, so it can't find others: set --gossip-listen")
	}
	if n.isRemoved() {
		return refuse("%s", comeBack)
	}
	for _, address := range addresses {
		if _, _, err := resolve(ctx, address); err != nil {
			return refuse("%s is not an address such as 10.0.0.1:8183: %v", address, err)
		}
	}
	if err := n.gossip.find(addresses); err != nil {
		if errors.Is(err, errOtherCluster) {
			return refuse("the nodes at %s are of another cluster, and this node has the state of cluster %s: to join them, "+
				"stop it, empty its data folder and start it with --join", strings.Join(addresses, ", "), n.ClusterID())
		}
		return refuse("%v", err)
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	for {
		changed := n.configuration.changed.next()
		if n.isMember() {
			return nil
		}
		pause := bootstrapPoll
		if n.pause(ctx, changed, &pause) != nil {
			why, _ := n.waitsFor.Load().(string)
			return fmt.Errorf("%w: not yet a member: %s", ErrUnavailable, why)
		}
	}
}

// InCluster tells whether this node belongs to a cluster, as far as it knows.
func (n *Node) InCluster() bool { return n.hasMembership() }

// CatchUp waits until this node has everything that was acknowledged before. One
// that belongs to no cluster, or to none any more, has nothing to wait for.
func (n *Node) CatchUp(ctx context.Context) error {
	if !n.hasMembership() || n.isRemoved() {
		return nil
	}
	view, err := n.View(ctx, Linearizable, 0)
	if err != nil {
		return err
	}
	view.Close()
	return nil
}

// isMember tells whether a committed configuration has this node in it.
func (n *Node) isMember() bool {
	_, servers := n.configuration.committed()
	_, ok := find(servers, n.opts.ID)
	return ok
}
