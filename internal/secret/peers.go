package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Peers reaches the boxes of all nodes, this one's included.
type Peers interface {
	// Nodes are the ids of all nodes.
	Nodes() []string
	// Ask has a node's box answer a question; see Box.Answer.
	Ask(ctx context.Context, node string, question []byte) ([]byte, error)
}

// question is what a node asks another one. Old and new programs ask each other: fields
// are only ever added.
type question struct {
	// Status asks how it stands with the node's keys.
	Status bool `json:"status,omitempty"`
	// Try asks whether the node can unwrap a data key.
	Try *trial `json:"try,omitempty"`
}

type trial struct {
	ClusterKey string `json:"cluster_key"`
	Wrapped    []byte `json:"wrapped"`
}

type answer struct {
	Status *NodeStatus `json:"status,omitempty"`
	// Problem is why it can't; "" is that it can.
	Problem string `json:"problem,omitempty"`
}

// Answer answers another node's question.
func (b *Box) Answer(ctx context.Context, raw []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(raw, &q); err != nil {
		return nil, fmt.Errorf("malformed question: %w", err)
	}
	var a answer
	switch {
	case q.Status:
		a.Status = b.ownStatus()
	case q.Try != nil:
		if _, err := b.ring.unwrap(ctx, q.Try.ClusterKey, q.Try.Wrapped); err != nil {
			a.Problem = err.Error()
		}
	default:
		return nil, errors.New("this program does not know how to answer that")
	}
	return json.Marshal(a)
}

// answered is what a node answered, or why it did not.
type answered struct {
	node   string
	answer answer
	err    error
}

// askAll asks all nodes, in the order of their names.
func (b *Box) askAll(ctx context.Context, q question) []answered {
	raw, err := json.Marshal(q)
	var nodes []string
	if b.opts.Peers != nil {
		nodes = b.opts.Peers.Nodes()
	} else {
		nodes = []string{b.opts.Node}
	}
	out := make([]answered, len(nodes))
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout+b.opts.Patience)
	defer cancel()
	var wg sync.WaitGroup
	for i, node := range nodes {
		out[i] = answered{node: node, err: err}
		if err != nil {
			continue
		}
		wg.Go(func() {
			reply, err := b.ask(ctx, node, raw)
			if err == nil {
				err = json.Unmarshal(reply, &out[i].answer)
			}
			out[i].err = err
		})
	}
	wg.Wait()
	return out
}

func (b *Box) ask(ctx context.Context, node string, raw []byte) ([]byte, error) {
	if node == b.opts.Node {
		return b.Answer(ctx, raw)
	}
	return b.opts.Peers.Ask(ctx, node, raw)
}
