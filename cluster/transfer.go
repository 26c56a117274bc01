package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// askSuccessor bounds the question whether a node could lead.
	askSuccessor = 300 * time.Millisecond
	// handOverTries is how often a leader offers its leadership before it just
	// goes: under load the one that is asked may not have caught up in time.
	handOverTries = 3
)

// transfer hands leadership to another voter, the most current one that answers
// where id is empty. It must be called on the leader.
//
// The successor is asked before: while a transfer is under way, raft refuses all
// writes, and one to a node that is away would last. Raft's own choice goes by
// what it sent last, which says nothing of who is there.
func (n *Node) transfer(ctx context.Context, id string) error {
	to, err := n.successor(ctx, id)
	if err != nil {
		return err
	}
	n.transport.yielding.Store(true)
	future := n.raft.LeadershipTransferToServer(raft.ServerID(to.ID), raft.ServerAddress(to.Cluster))
	done := make(chan error, 1)
	go func() { // raft bounds it by the election timeout
		err := future.Error()
		n.transport.yielding.Store(false)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("cluster: leadership was not handed over: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// successor finds the voter that is to lead next.
func (n *Node) successor(ctx context.Context, id string) (Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, askSuccessor)
	defer cancel()
	type candidate struct {
		peer    Peer
		applied uint64
		err     error
	}
	var asked int
	answers := make(chan candidate)
	for _, p := range n.peers() {
		if !p.Voter || p.ID == n.opts.ID || id != "" && p.ID != id {
			continue
		}
		asked++
		go func() {
			s, err := n.Ask(ctx, p.ID)
			answers <- candidate{p, s.AppliedIndex, err}
		}()
	}
	if asked == 0 {
		return Peer{}, fmt.Errorf("%w among the other voters: %q", ErrNoSuchNode, id)
	}
	var best candidate
	var failed error
	for range asked {
		switch c := <-answers; {
		case c.err != nil:
			failed = c.err
		case best.peer.ID == "" || c.applied > best.applied:
			best = c
		}
	}
	if best.peer.ID == "" {
		return Peer{}, fmt.Errorf("cluster: nobody can take over the leadership: %w", failed)
	}
	return best.peer, nil
}

// HandOver makes the node not ready and hands leadership over, if it leads. It
// goes on to serve and to forward: requests under way can finish. Shutdown
// includes it.
func (n *Node) HandOver(ctx context.Context) {
	n.draining.Store(true)
	if n.raft.State() != raft.Leader || n.soleVoter() || n.store.damage.ended.Load() {
		// Raft that has ended where it met damage would never answer.
		return
	}
	if err := n.handOver(ctx, ""); err != nil {
		// The others will elect one of them once this node is gone: slower, not worse.
		n.logger.Warn("leadership was not handed over", "error", err)
	}
}

// handOver tries to hand leadership to a voter, to any where id is empty, more than
// once.
func (n *Node) handOver(ctx context.Context, id string) (err error) {
	for range handOverTries {
		if err = n.transfer(ctx, id); err == nil || ctx.Err() != nil || n.raft.State() != raft.Leader {
			break
		}
	}
	return err
}

func (n *Node) soleVoter() bool {
	for _, p := range n.peers() {
		if p.Voter && p.ID != n.opts.ID {
			return false
		}
	}
	return true
}
