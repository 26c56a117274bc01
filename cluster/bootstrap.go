package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
)

// foundingIndex is the log index of the founding configuration.
const foundingIndex = 1

const (
	bootstrapPoll = 500 * time.Millisecond
	helloTimeout  = 2 * time.Second
	// sayAgain is how often a node that waits says what it waits for.
	sayAgain = 10 * time.Second
)

// expects is how many founders this node tells of; 0 where it is none.
func (n *Node) expects() uint32 {
	if !n.opts.founds() {
		return 0
	}
	return uint32(n.opts.BootstrapExpect)
}

// hasMembership tells whether this node belongs to a cluster already.
func (n *Node) hasMembership() bool {
	if n.raft.LastIndex() > 0 {
		return true
	}
	config := n.raft.GetConfiguration()
	return config.Error() == nil && len(config.Configuration().Servers) > 0
}

// onlyFounded tells whether this node has a cluster that nobody has led yet: it
// founded it, or it was founded anew of this node's data.
func (n *Node) onlyFounded() bool {
	if !n.hasMembership() {
		return false
	}
	last := n.raft.LastIndex()
	if last == foundingIndex {
		return true
	}
	anew, err := n.store.getUint64(keyAnew)
	return err == nil && last == anew
}

// alone tells whether this node founds a cluster by itself, without asking: it
// expects nobody and was told of nobody.
func (n *Node) alone() bool {
	return n.opts.founds() && n.opts.BootstrapExpect == 1 && (n.gossip == nil || len(n.gossip.others()) == 0)
}

// bootstrap founds the cluster together with others that are as new; where there
// is one, it asks that to let this node in. It ends when this node has a
// membership, however it got it.
//
// All founders see the same set of nodes, each says that it has no state and
// that it sees that very set; then the one with the smallest id writes the
// configuration, and the others get it from it, as they get everything. That one
// node decides is what keeps two overlapping sets from founding two clusters.
func (n *Node) bootstrap(ctx context.Context) {
	said, why := time.Time{}, ""
	for !n.hasMembership() {
		changed := n.changedMembers()
		wait, err := n.tryBootstrap(ctx)
		if err != nil {
			n.logger.Error("the cluster can't be founded", "error", err)
		}
		if wait != "" && (wait != why || time.Since(said) > sayAgain) {
			n.logger.Info("not yet in a cluster", "because", wait)
			said, why = time.Now(), wait
		}
		n.waitsFor.Store(wait)
		select {
		case <-changed:
		case <-time.After(bootstrapPoll):
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) changedMembers() <-chan struct{} {
	if n.gossip == nil {
		return nil
	}
	return n.gossip.changed.next()
}

// founders are the nodes that would found a cluster with this one, by id.
func (n *Node) founders() []*Founder {
	var out []*Founder
	if !n.opts.founds() {
		return nil
	}
	for _, m := range n.gossip.members() {
		if m.GetBootstrapExpect() == n.expects() {
			out = append(out, &Founder{Id: m.GetId(), ClusterAddress: m.GetClusterAddress()})
		}
	}
	slices.SortFunc(out, func(a, b *Founder) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return out
}

// tryBootstrap founds the cluster if everything is as it must be; else it
// returns what is not.
func (n *Node) tryBootstrap(ctx context.Context) (wait string, err error) {
	if n.alone() {
		return "", n.found([]*Founder{{Id: n.opts.ID, ClusterAddress: n.port.advertise}})
	}
	founders := n.founders()
	expect := n.opts.BootstrapExpect
	var inside []sighting
	var silent, apart string
	for _, m := range n.gossip.members() {
		if m.GetId() == n.opts.ID {
			continue
		}
		hello, err := n.hello(ctx, m.GetClusterAddress())
		switch {
		case err != nil:
			silent = fmt.Sprintf("%s is seen but does not answer on %s (%v)", m.GetId(), m.GetClusterAddress(), err)
		case hello.GetHasState():
			inside = append(inside, sighting{m, hello})
		case n.opts.founds() && hello.GetBootstrapExpect() == n.expects() && !sameFounders(founders, hello.GetFounders()):
			apart = fmt.Sprintf("%s does not see the same nodes yet", m.GetId())
		}
	}
	switch {
	case len(inside) > 0:
		return n.askToBeLetIn(ctx, inside), nil
	case silent != "":
		return silent, nil
	case apart != "":
		return apart, nil
	case !n.opts.founds():
		return "this node founds none, and no node of one was found: check --join", nil
	case expect == 1:
		return "addresses to join are given, so it does not found one by itself; the cluster's nodes were not found", nil
	case len(founders) < expect:
		return fmt.Sprintf("%d of the %d nodes that bootstrap-expect names are there", len(founders), expect), nil
	case len(founders) > expect:
		return fmt.Sprintf("%d new nodes have bootstrap-expect %d; which of them are meant is not clear: start %d of them, "+
			"the others can join later", len(founders), expect, expect), nil
	case founders[0].GetId() != n.opts.ID:
		return fmt.Sprintf("%s founds it", founders[0].GetId()), nil
	}
	for _, f := range founders {
		if f.GetId() != n.opts.ID && !n.foundsWith(ctx, f, founders) {
			return fmt.Sprintf("%s does not agree to found one yet", f.GetId()), nil
		}
	}
	return "", n.found(founders)
}

// foundsWith tells another founder that the cluster is about to be founded, and
// whether it takes part: from then on it votes.
func (n *Node) foundsWith(ctx context.Context, other *Founder, founders []*Founder) bool {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	resp := &HelloResponse{}
	err := n.caller.call(ctx, other.GetClusterAddress(), pathHello, &HelloRequest{Id: n.opts.ID, Founding: founders}, resp)
	return err == nil && resp.GetFounds()
}

func (n *Node) found(founders []*Founder) error {
	var config raft.Configuration
	for _, f := range founders {
		config.Servers = append(config.Servers, raft.Server{
			Suffrage: raft.Voter, ID: raft.ServerID(f.GetId()), Address: raft.ServerAddress(f.GetClusterAddress()),
		})
	}
	n.admitted.Store(true)
	// Founded by others in the same moment is as good.
	if err := n.raft.BootstrapCluster(config).Error(); err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return err
	}
	n.logger.Info("founding a cluster", "nodes", len(founders))
	return nil
}

func sameFounders(a, b []*Founder) bool {
	return slices.EqualFunc(a, b, func(x, y *Founder) bool {
		return x.GetId() == y.GetId() && x.GetClusterAddress() == y.GetClusterAddress()
	})
}

func (n *Node) hello(ctx context.Context, address string) (*HelloResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	resp := &HelloResponse{}
	err := n.caller.call(ctx, address, pathHello, &HelloRequest{Id: n.opts.ID, ClusterId: n.ClusterID()}, resp)
	return resp, err
}

func (n *Node) answerHello(_ context.Context, req *HelloRequest) (*HelloResponse, error) {
	founds := false
	if with := req.GetFounding(); len(with) > 0 && !n.hasMembership() && sameFounders(with, n.founders()) {
		// All of them are as new as this node, so nothing can rest on what it forgot.
		n.admitted.Store(true)
		founds = true
	}
	return &HelloResponse{
		Id: n.opts.ID, ClusterId: n.ClusterID(), HasState: n.hasMembership(),
		Founds: founds, Blank: !n.admitted.Load(), OnlyFounded: n.onlyFounded(),
		BootstrapExpect: n.expects(), Founders: n.founders(), NewestCommand: n.newestCommand(),
		OldestCommand: command.FirstVersion,
	}, nil
}
