package cluster

import (
	"context"
	"fmt"
)

// pathService is where parts of a node are asked that the cluster carries
// questions for.
const pathService = "/cluster/v1/service"

// Service answers questions of other nodes, and of its own node, to a part that
// the cluster knows nothing of. An error is one of the call: what the part itself
// refuses is in the answer.
type Service func(ctx context.Context, question []byte) (answer []byte, err error)

// LeaderID is who leads, as far as this node knows; "" is nobody.
func (n *Node) LeaderID() string {
	id, _ := n.leader()
	return id
}

// AskService asks a part of a node, this one or another; see Options.Services.
// It is asked once: whether a question that was not answered arrived is unknown.
func (n *Node) AskService(ctx context.Context, node, service string, question []byte) ([]byte, error) {
	in := &ServiceRequest{Service: service, Body: question, TimeoutMs: remainingMs(ctx)}
	if node == n.opts.ID {
		out, err := n.answerService(ctx, in)
		return out.GetBody(), err
	}
	address := ""
	for _, p := range n.peers() {
		if p.ID == node {
			address = p.Cluster
		}
	}
	if address == "" {
		return nil, fmt.Errorf("%w: %s", ErrNoSuchNode, node)
	}
	out := &ServiceResponse{}
	if err := n.caller.call(ctx, address, pathService, in, out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return out.GetBody(), nil
}

func (n *Node) answerService(ctx context.Context, in *ServiceRequest) (*ServiceResponse, error) {
	answer, ok := n.opts.Services[in.GetService()]
	if !ok {
		return nil, fmt.Errorf("this node has no %q to ask", in.GetService())
	}
	ctx, cancel := within(ctx, in.GetTimeoutMs())
	defer cancel()
	body, err := answer(ctx, in.GetBody())
	if err != nil {
		return nil, err
	}
	return &ServiceResponse{Body: body}, nil
}
