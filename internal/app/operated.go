package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/catalog"
)

// operatedCluster is the cluster as operators see and change it.
type operatedCluster struct {
	support
	node *cluster.Node
	// notes are what other parts of the node have to say in a status.
	notes []func(context.Context) statusNote
}

// statusNote is what a part of the node has to say in a status.
type statusNote struct {
	// Warnings are what operators should know, a line each.
	Warnings []string
	// SnapshotAge is how old the newest snapshot in the snapshot store is; nil is
	// not known.
	SnapshotAge *time.Duration
}

var _ management.Cluster = (*operatedCluster)(nil)

// NodeID implements management.Cluster.
func (c *operatedCluster) NodeID() string { return c.node.ID() }

// Status implements management.Cluster.
func (c *operatedCluster) Status(ctx context.Context) (*management.ClusterStatus, error) {
	o, err := c.node.Overview(ctx)
	if err != nil {
		return nil, membershipError(c.NodeID(), err)
	}
	status := &management.ClusterStatus{
		ClusterID: given(o.ClusterID), Leader: given(o.Leader), Term: o.Term, CommitIndex: o.CommitIndex,
		FailureTolerance: o.FailureTolerance, Warnings: append([]string{}, o.Warnings...),
		Members: make([]management.Member, 0, len(o.Members)),
	}
	for i := range o.Members {
		status.Members = append(status.Members, shownMember(&o.Members[i]))
	}
	for _, note := range c.notes {
		n := note(ctx)
		status.Warnings = append(status.Warnings, n.Warnings...)
		if n.SnapshotAge != nil {
			seconds := n.SnapshotAge.Seconds()
			status.SnapshotAgeSeconds = &seconds
		}
	}
	return status, nil
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func shownMember(m *cluster.MemberInfo) management.Member {
	out := management.Member{
		ID: m.ID, Role: m.Role, Health: m.Health, HTTP: m.HTTP, Cluster: m.Cluster, Gossip: m.Gossip, Version: m.Version,
	}
	if m.Health != cluster.HealthUnreachable {
		out.AppliedIndex, out.Lag = &m.AppliedIndex, &m.Lag
	}
	if m.LastContact != nil {
		ms := m.LastContact.Milliseconds()
		out.LastContactMs = &ms
	}
	return out
}

// CatchUp implements management.Cluster.
func (c *operatedCluster) CatchUp(ctx context.Context) error {
	return membershipError(c.NodeID(), c.node.CatchUp(ctx))
}

// Join implements management.Cluster.
func (c *operatedCluster) Join(ctx context.Context, addresses []string) error {
	return membershipError(c.NodeID(), c.node.Join(ctx, addresses))
}

// Leave implements management.Cluster.
func (c *operatedCluster) Leave(ctx context.Context) error {
	return membershipError(c.NodeID(), c.node.Leave(ctx))
}

// Transfer implements management.Cluster.
func (c *operatedCluster) Transfer(ctx context.Context, id string) error {
	return membershipError(id, c.node.Transfer(ctx, id))
}

// Remove implements management.Cluster.
func (c *operatedCluster) Remove(ctx context.Context, id string) error {
	return membershipError(id, c.node.Remove(ctx, id))
}

// Promote implements management.Cluster.
func (c *operatedCluster) Promote(ctx context.Context, id string) error {
	return membershipError(id, c.node.Promote(ctx, id))
}

// Demote implements management.Cluster.
func (c *operatedCluster) Demote(ctx context.Context, id string) error {
	return membershipError(id, c.node.Demote(ctx, id))
}

// Verify implements management.Cluster.
func (c *operatedCluster) Verify(ctx context.Context, deep bool) (*management.ClusterVerification, error) {
	v, err := c.node.Verify(ctx, deep)
	if err != nil {
		return nil, &catalog.Error{Kind: catalog.KindUnavailable, Message: "Nothing was compared: " + err.Error()}
	}
	out := &management.ClusterVerification{
		OK: v.OK(), Index: v.Index, Checksum: given(hex.EncodeToString(v.Checksum)), Deep: v.Deep,
		Nodes: make([]management.VerifiedNode, 0, len(v.Nodes)),
	}
	for _, n := range v.Nodes {
		shown := management.VerifiedNode{
			ID: n.ID, Checksum: given(hex.EncodeToString(n.Checksum)), Result: string(n.Result), Reason: given(n.Why),
		}
		if len(n.Checksum) > 0 {
			shown.Index = &v.Index
		}
		out.Nodes = append(out.Nodes, shown)
	}
	return out, nil
}

// membershipError is the error of a change of a node's membership as clients are told it.
func membershipError(id string, err error) error {
	var refusal *cluster.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &catalog.Error{Kind: catalog.KindMembershipRefused, Message: "Refused: " + refusal.Reason}
	case errors.Is(err, cluster.ErrNoSuchNode):
		return &catalog.Error{Kind: catalog.KindNoSuchNode, Message: fmt.Sprintf("No such node: %s is no member of this cluster", id)}
	case errors.Is(err, cluster.ErrRemoved):
		return &catalog.Error{Kind: catalog.KindUnavailable, Message: "This node was removed from its cluster; ask another one", Cause: err}
	case errors.Is(err, cluster.ErrUnavailable):
		return &catalog.Error{Kind: catalog.KindUnavailable, Message: "Nothing was changed: " + err.Error()}
	case errors.Is(err, cluster.ErrUnknown):
		return &catalog.Error{Kind: catalog.KindCommitUnknown, Message: "The change was begun and its outcome is not known: look at the members, and repeat it if need be: " + err.Error()}
	}
	return err
}
