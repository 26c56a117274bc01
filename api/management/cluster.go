package management

import (
	"context"
	"net"
	"net/http"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
)

// Cluster is the cluster as operators see and change it. Every change may be asked
// for again: what is so already is no error.
type Cluster interface {
	// Status returns how the cluster and its members are, with a leader or without.
	Status(ctx context.Context) (*ClusterStatus, error)
	// CatchUp returns when this node has everything that was acknowledged before.
	CatchUp(ctx context.Context) error
	// Join has this node join the cluster that is found at gossip addresses.
	Join(ctx context.Context, addresses []string) error
	// Leave takes this node out of its cluster for good.
	Leave(ctx context.Context) error
	// Transfer hands leadership to a voter, to any where id is "".
	Transfer(ctx context.Context, id string) error
	// Remove takes a node out of the cluster for good.
	Remove(ctx context.Context, id string) error
	// Promote gives a node a vote.
	Promote(ctx context.Context, id string) error
	// Demote takes a node's vote.
	Demote(ctx context.Context, id string) error
	// Verify compares the states of all nodes; deep has them read their disks.
	Verify(ctx context.Context, deep bool) (*ClusterVerification, error)
	// NodeID is this node's id.
	NodeID() string

	Keyring
	Support
}

// ClusterStatus is how a cluster is.
type ClusterStatus struct {
	// ClusterID is null until there was a leader.
	ClusterID *string `json:"cluster_id"`
	// Leader is null while there is none.
	Leader      *string `json:"leader"`
	Term        uint64  `json:"term"`
	CommitIndex uint64  `json:"commit_index"`
	// FailureTolerance is how many more voters may fail before writes stop.
	FailureTolerance int `json:"failure_tolerance"`
	// SnapshotAgeSeconds is null where no snapshot is known.
	SnapshotAgeSeconds *float64 `json:"snapshot_age_seconds"`
	Warnings           []string `json:"warnings"`
	Members            []Member `json:"members"`
}

// Member is how one node of a cluster is.
type Member struct {
	ID string `json:"id"`
	// Role is leader, voter or nonvoter.
	Role string `json:"role"`
	// Health is healthy, unhealthy or unreachable.
	Health  string `json:"health"`
	HTTP    string `json:"http"`
	Cluster string `json:"cluster"`
	Gossip  string `json:"gossip"`
	Version string `json:"version"`
	// AppliedIndex and Lag are null where the node does not answer.
	AppliedIndex *uint64 `json:"applied_index"`
	Lag          *uint64 `json:"lag"`
	// LastContactMs is how long ago the leader heard from it; null where it never did.
	LastContactMs *int64 `json:"last_contact_ms"`
}

// MemberList is the nodes of a cluster.
type MemberList struct {
	Members []Member `json:"members"`
}

// MembershipChange is a change of the membership that is made.
type MembershipChange struct {
	ID string `json:"id"`
	// Result is joined, left, removed, promoted, demoted or leads.
	Result string `json:"result"`
}

// JoinRequest names gossip addresses of a cluster.
type JoinRequest struct {
	Addresses []string `json:"addresses"`
}

// TransferRequest names who is to lead; "" is any.
type TransferRequest struct {
	To string `json:"to,omitempty"`
}

func (a *api) clusterRoutes() []serve.Route {
	look := serve.Route{Method: http.MethodGet, Action: authz.ActionShowCluster, Resource: onCluster, Operates: true}
	change := serve.Route{Method: http.MethodPost, Action: authz.ActionManageCluster, Resource: onCluster, Operates: true, Change: true}
	with := func(r serve.Route, path string, body bool, handle func(context.Context, *serve.Call) (*serve.Reply, error)) serve.Route {
		r.Path, r.Body, r.Handle = path, body, handle
		return r
	}
	verify := with(look, pathCluster+"/verify", false, a.verifyCluster)
	verify.Query, verify.Timeout = []string{"deep"}, verifyTimeout
	return []serve.Route{
		verify,
		with(look, pathCluster, false, a.clusterStatus),
		with(look, pathMembers, false, a.listMembers),
		with(change, pathCluster+"/join", true, a.join),
		with(change, pathCluster+"/leave", false, a.leave),
		with(change, pathCluster+"/transfer", true, a.transfer),
		with(change, pathMember+"/remove", false, a.onMember("removed", a.cluster.Remove)),
		with(change, pathMember+"/promote", false, a.onMember("promoted", a.cluster.Promote)),
		with(change, pathMember+"/demote", false, a.onMember("demoted", a.cluster.Demote)),
	}
}

// proven carries out a change only for who has the right to it now: it is in no
// transaction that could carry the evidence, so the evidence is looked at in a state
// that has all that was acknowledged before.
func (a *api) proven(change func(context.Context, *serve.Call) (*serve.Reply, error)) func(context.Context, *serve.Call) (*serve.Reply, error) {
	return func(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
		if err := a.cluster.CatchUp(ctx); err != nil {
			return nil, err
		}
		if err := c.Recheck(ctx); err != nil {
			return nil, err
		}
		return change(ctx, c)
	}
}

func (a *api) clusterStatus(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	status, err := a.cluster.Status(ctx)
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, status)
}

func (a *api) listMembers(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	status, err := a.cluster.Status(ctx)
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, MemberList{Members: status.Members})
}

func (a *api) join(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var raw struct {
		Addresses []*string `json:"addresses"`
	}
	if err := jsonbody.Decode(c.Body, &raw); err != nil {
		return nil, err
	}
	addresses, err := jsonbody.Names("addresses", raw.Addresses)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, jsonbody.Fault("addresses", "must name at least one gossip address of the cluster, such as 10.0.0.1:8183")
	}
	for _, address := range addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return nil, jsonbody.Fault("addresses", "must be gossip addresses such as 10.0.0.1:8183, not %q", address)
		}
	}
	if err := a.cluster.Join(ctx, addresses); err != nil {
		return nil, err
	}
	return serve.JSON(0, MembershipChange{ID: a.cluster.NodeID(), Result: "joined"})
}

func (a *api) leave(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	if err := a.cluster.Leave(ctx); err != nil {
		return nil, err
	}
	return serve.JSON(0, MembershipChange{ID: a.cluster.NodeID(), Result: "left"})
}

func (a *api) transfer(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var to TransferRequest
	if len(c.Body) > 0 {
		if err := jsonbody.Decode(c.Body, &to); err != nil {
			return nil, err
		}
	}
	if err := a.cluster.Transfer(ctx, to.To); err != nil {
		return nil, err
	}
	leader := to.To
	if leader == "" {
		// Who it became is known here when this node has heard from it.
		if err := a.cluster.CatchUp(ctx); err != nil {
			return nil, err
		}
		status, err := a.cluster.Status(ctx)
		if err != nil {
			return nil, err
		}
		if status.Leader != nil {
			leader = *status.Leader
		}
	}
	return serve.JSON(0, MembershipChange{ID: leader, Result: "leads"})
}

// onMember handles a change of the node that the path names.
func (a *api) onMember(result string, change func(context.Context, string) error) func(context.Context, *serve.Call) (*serve.Reply, error) {
	return func(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
		id := c.Param("node")
		if err := change(ctx, id); err != nil {
			return nil, err
		}
		return serve.JSON(0, MembershipChange{ID: id, Result: result})
	}
}
