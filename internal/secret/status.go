package secret

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is how it stands with the cluster's secrets.
type Status struct {
	DataKeys []DataKeyStatus
	Nodes    []NodeStatus
	// Index is the log entry that this node's state is at.
	Index uint64
}

// DataKeyStatus is a data key of the state.
type DataKeyStatus struct {
	ID string
	// ClusterKey is what wraps it.
	ClusterKey string
	Created    time.Time
	// Seals tells that it is the one to seal with.
	Seals bool
	// Secrets is how many it has sealed.
	Secrets int
}

// NodeStatus is how it stands with one node.
type NodeStatus struct {
	Node string `json:"node"`
	// ClusterKey is what it wraps data keys with; "" is that it holds none.
	ClusterKey string `json:"cluster_key"`
	// Previous are the cluster keys that it can unwrap with besides.
	Previous []string `json:"previous"`
	// Open and Closed are how many data keys it has unwrapped, and how many not.
	Open   int `json:"open"`
	Closed int `json:"closed"`
	// Problem is why it can't open the cluster's secrets, or does not answer; "" is none.
	Problem string `json:"problem"`
}

// Status looks at this node's state, and asks all nodes.
func (b *Box) Status(ctx context.Context) (*Status, error) {
	out, err := b.stateStatus()
	if err != nil {
		return nil, err
	}
	for _, a := range b.askAll(ctx, question{Status: true}) {
		node := NodeStatus{Node: a.node}
		switch {
		case a.err != nil:
			node.Problem = "it does not answer: " + a.err.Error()
		case a.answer.Status == nil:
			node.Problem = "it does not tell"
		default:
			node = *a.answer.Status
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out, nil
}

func (b *Box) stateStatus() (*Status, error) {
	v, err := b.opts.Log.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	known, err := v.DataKeys()
	if err != nil {
		return nil, err
	}
	uses := make(map[string]int)
	for _, o := range b.opts.Owners {
		err := o.Sealed(v, func(rec Record) error {
			id, err := sealedBy(rec.Sealed)
			if err != nil {
				return fmt.Errorf("%s: %w", rec.Purpose, err)
			}
			uses[id.String()]++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	out := &Status{Index: v.Index}
	for _, rec := range known.Keys {
		id, err := readID(rec.GetId())
		if err != nil {
			return nil, err
		}
		out.DataKeys = append(out.DataKeys, DataKeyStatus{
			ID: id.String(), ClusterKey: rec.GetClusterKey(), Created: time.UnixMilli(int64(rec.GetCreatedMs())).UTC(),
			Seals: string(known.Seals) == string(rec.GetId()), Secrets: uses[id.String()],
		})
	}
	return out, nil
}

// ownStatus is how it stands with this node.
func (b *Box) ownStatus() *NodeStatus {
	out := &NodeStatus{Node: b.opts.Node, Previous: []string{}}
	if names := b.ring.names(); len(names) > 0 {
		out.ClusterKey, out.Previous = names[0], names[1:]
	}
	out.Open, out.Closed = b.Counts()
	if err := b.trouble(); err != nil {
		out.Problem = err.Error()
	}
	return out
}

// Counts are how many data keys this node has unwrapped, and how many of the state it
// has not.
func (b *Box) Counts() (open, closed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open), len(b.shut)
}

// trouble is why this node can't open secrets, or make a data key for those to come.
func (b *Box) trouble() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.shut {
		if errors.Is(a.err, ErrWrongKey) {
			return a.err
		}
	}
	for _, a := range b.shut {
		return a.err
	}
	if b.minting != nil {
		return b.minting.err
	}
	return nil
}

// Troubles are the nodes that can't open the cluster's secrets, a line each. Nodes that
// do not answer are left out: that they do not is told elsewhere.
func (b *Box) Troubles(ctx context.Context) []string {
	var out []string
	for _, a := range b.askAll(ctx, question{Status: true}) {
		if a.answer.Status != nil && a.answer.Status.Problem != "" {
			out = append(out, fmt.Sprintf("node %s and the cluster's secrets: %s", a.node, a.answer.Status.Problem))
		}
	}
	return out
}

// Hint is what anybody may know of the trouble of this node: neither names nor places.
func (b *Box) Hint() string {
	err := b.trouble()
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNoKey):
		return "this node has no cluster key: it can't open the cluster's secrets"
	case errors.Is(err, ErrWrongKey):
		return "this node's cluster key is another one than the cluster's: it can't open the cluster's secrets"
	}
	return "this node can't use the cluster key now: it can't open the cluster's secrets"
}
