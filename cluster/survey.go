package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
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
	return fromEach(servers, func(s raft.Server) report {
		status, err := n.statusOf(ctx, string(s.ID), string(s.Address))
		return report{s, status, err}
	})
}

// fromEach asks nodes, all at once, and returns the answers in their order.
func fromEach[N, A any](nodes []N, ask func(N) A) []A {
	out := make([]A, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() { out[i] = ask(node) })
	}
	wg.Wait()
	return out
}

// callNode puts a question to a node: to another one by a call, whose answer goes
// to resp, and to this one as if it had come by a call.
func callNode[Q, A proto.Message](ctx context.Context, n *Node, id, address, path string,
	answer func(context.Context, Q) (A, error), req Q, resp A,
) (A, error) {
	if id == n.opts.ID {
		return answer(ctx, req)
	}
	return resp, n.caller.call(ctx, address, path, req, resp)
}

// statusOf asks a member how it is. Another node at its address is no answer.
func (n *Node) statusOf(ctx context.Context, id, address string) (*StatusResponse, error) {
	resp, err := callNode(ctx, n, id, address, pathStatus, n.answerStatus, &StatusRequest{}, &StatusResponse{})
	if err != nil {
		return nil, err
	}
	if resp.GetId() != id {
		return nil, fmt.Errorf("at %s answers %q", address, resp.GetId())
	}
	return resp, nil
}
