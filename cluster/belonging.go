package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// belongPoll is how often a node looks whether it has reason to doubt that it
	// belongs to its cluster, and belongTimeout bounds a question about it.
	belongPoll    = 250 * time.Millisecond
	belongTimeout = 2 * time.Second
)

// watchBelonging finds out when this node was removed, and has the cluster follow
// where its address has changed. A node that was removed while it was away learns
// it from nobody by itself: its own log says that it is a member.
func (n *Node) watchBelonging(ctx context.Context) {
	ticker := time.NewTicker(belongPoll)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if n.isRemoved() {
			return
		}
		if !n.hasMembership() {
			continue
		}
		if n.doubtful() && n.askBelonging(ctx) {
			n.beRemoved()
			return
		}
		if why := n.follow(ctx); why != said {
			if said = why; why != "" {
				n.logger.Warn("the cluster does not know this node's new address yet", "address", n.port.advertise, "because", why)
			}
		}
	}
}

// doubtful tells whether this node has reason to ask: it does not hear from a
// leader, or the newest configuration that it knows is without it.
func (n *Node) doubtful() bool {
	if n.raft.State() == raft.Leader {
		return false
	}
	config := n.raft.GetConfiguration()
	if config.Error() == nil {
		if _, in := find(config.Configuration().Servers, n.opts.ID); !in {
			return true
		}
	}
	leader, _ := n.leader()
	return leader == "" || time.Since(n.raft.LastContact()) > silenceBound*n.opts.HeartbeatTimeout
}

// neighbours are the cluster addresses at which other nodes may answer: those of
// the configuration, and where they are seen.
func (n *Node) neighbours() []string {
	var out []string
	seen := map[string]bool{n.port.advertise: true}
	for _, p := range n.peers() {
		address := p.Cluster
		if m, ok := n.gossip.last(p.ID); ok && p.Seen {
			address = m.GetClusterAddress()
		}
		if p.ID != n.opts.ID && !seen[address] {
			seen[address] = true
			out = append(out, address)
		}
	}
	return out
}

// askBelonging asks others until one knows for certain; true is that this node was
// removed. Only a leader knows, one that has proven that it leads.
func (n *Node) askBelonging(ctx context.Context) (removed bool) {
	asked := make(map[string]bool)
	for queue := n.neighbours(); len(queue) > 0; queue = queue[1:] {
		if asked[queue[0]] {
			continue
		}
		asked[queue[0]] = true
		resp, err := n.belongingAt(ctx, queue[0])
		switch {
		case err != nil:
			n.logger.Debug("whether this node is a member was not learned", "from", queue[0], "error", err)
		case resp.GetCertain():
			return !resp.GetMember()
		case resp.GetLeaderAddress() != "":
			queue = append(queue, resp.GetLeaderAddress())
		}
	}
	return false
}

func (n *Node) belongingAt(ctx context.Context, address string) (*BelongingResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, belongTimeout)
	defer cancel()
	resp := &BelongingResponse{}
	err := n.caller.call(ctx, address, pathBelonging, &BelongingRequest{Id: n.opts.ID, TimeoutMs: remainingMs(ctx)}, resp)
	return resp, err
}

// answerBelonging tells whether a node is a member. The configuration is looked at
// after the proof that this node leads, when it has applied what was committed.
func (n *Node) answerBelonging(ctx context.Context, req *BelongingRequest) (*BelongingResponse, error) {
	ctx, cancel := within(ctx, req.GetTimeoutMs())
	defer cancel()
	if n.raft.State() != raft.Leader {
		_, address := n.leader()
		return &BelongingResponse{LeaderAddress: address}, nil
	}
	index, err := n.confirming.join(ctx)
	if err == nil {
		err = n.machine.WaitApplied(ctx, index)
	}
	if err != nil {
		n.logger.Debug("a node was not told whether it is a member", "asks", req.GetId(), "error", err)
		return &BelongingResponse{}, nil
	}
	_, servers := n.configuration.committed()
	_, in := find(servers, req.GetId())
	return &BelongingResponse{Certain: true, Member: in}, nil
}

// follow has the leader take over this node's address where that has changed, and
// returns why it has not.
func (n *Node) follow(ctx context.Context) (why string) {
	config := n.raft.GetConfiguration()
	if config.Error() != nil {
		return ""
	}
	me, in := find(config.Configuration().Servers, n.opts.ID)
	if !in || string(me.Address) == n.port.advertise {
		return ""
	}
	if n.raft.State() == raft.Leader {
		resp := n.change(ctx, &MembershipRequest{Kind: MembershipRequest_KIND_ADD, Id: n.opts.ID, ClusterAddress: n.port.advertise})
		return resp.GetReason()
	}
	err := fmt.Errorf("no other node is known")
	for _, address := range n.neighbours() {
		if err = n.askThrough(ctx, address); err == nil {
			n.logger.Info("the cluster follows this node's new address", "address", n.port.advertise, "was", string(me.Address))
			return ""
		}
		var refusal *Refusal
		if errors.As(err, &refusal) {
			break
		}
	}
	return err.Error()
}

// comeBack is what a node that was removed tells its operator.
const comeBack = "this node was removed from its cluster and serves nothing any more; to come back, stop it, empty its data folder and start it with --join"

func (n *Node) isRemoved() bool {
	select {
	case <-n.removed:
		return true
	default:
		return false
	}
}

// beRemoved ends this node's part in the cluster: it serves nothing, says why, and
// holds no elections. The process stays, so that somebody can read it.
func (n *Node) beRemoved() {
	close(n.removed)
	n.logger.Error(comeBack, "cluster", n.ClusterID())
	if err := n.raft.Shutdown().Error(); err != nil {
		n.logger.Error("raft did not end", "error", err)
	}
	n.leadership.signal.changed()
}

// gone is the error of everything that is asked of a node that was removed; nil on
// others.
func (n *Node) gone() error {
	if n.isRemoved() {
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrRemoved)
	}
	return nil
}
