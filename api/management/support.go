package management

import (
	"context"
	"time"

	"github.com/floeberg/floeberg/api/serve"
)

// Support gathers what helps to find out what is wrong with a cluster.
type Support interface {
	// Gather asks every node for what it can tell, without secrets. Nodes that do
	// not answer are among the result, with the reason.
	Gather(ctx context.Context) ([]NodeSupport, error)
}

// NodeSupport is what one node tells of itself.
type NodeSupport struct {
	Node  string        `json:"node"`
	Files []SupportFile `json:"files"`
	// Missing is what it could not tell, and why.
	Missing []MissingSupport `json:"missing"`
}

// SupportFile is one thing that a node tells.
type SupportFile struct {
	Name string `json:"name"`
	// Data is base64 in JSON.
	Data []byte `json:"data"`
}

// MissingSupport is one thing that could not be told.
type MissingSupport struct {
	// Name is a file's; "" is all of the node's.
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// SupportBundle is what all nodes tell of themselves.
type SupportBundle struct {
	GatheredAt time.Time     `json:"gathered_at"`
	Nodes      []NodeSupport `json:"nodes"`
}

func (a *api) gatherSupport(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	begun := time.Now().UTC()
	nodes, err := a.cluster.Gather(ctx)
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, SupportBundle{GatheredAt: begun, Nodes: nodes})
}
