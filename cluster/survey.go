package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// report is what a member says of itself, or why it says nothing.
type report struct {
	server raft.Server
	status *StatusResponse
	err    error
}

// survey asks members how they are, all at once and not for long. This node is
// among those that answer.
func (n *Node) survey(ctx context.Context, servers []raft.Server) []report {
	ctx, cancel := context.WithTimeout(ctx, askMember)
	defer cancel()
	out := make([]report, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			out[i] = report{server: s}
			out[i].status, out[i].err = n.statusOf(ctx, string(s.ID), string(s.Address))
		})
	}
	wg.Wait()
	return out
}

// statusOf asks a member how it is. Another node at its address is no answer.
func (n *Node) statusOf(ctx context.Context, id, address string) (*StatusResponse, error) {
	if id == n.opts.ID {
		return n.answerStatus(ctx, nil)
	}
	resp := &StatusResponse{}
	if err := n.caller.call(ctx, address, pathStatus, &StatusRequest{}, resp); err != nil {
		return nil, err
	}
	if resp.GetId() != id {
		return nil, fmt.Errorf("at %s answers %q", address, resp.GetId())
	}
	return resp, nil
}
