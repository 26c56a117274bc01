package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// The roles of members.
const (
	RoleLeader   = "leader"
	RoleVoter    = "voter"
	RoleNonvoter = "nonvoter"
)

// How members are.
const (
	// HealthHealthy is a member that answers, hears its leader and is not far behind.
	HealthHealthy = "healthy"
	// HealthUnhealthy is one that answers and is not fit, or not yet.
	HealthUnhealthy = "unhealthy"
	// HealthUnreachable is one that does not answer.
	HealthUnreachable = "unreachable"
)

// Overview is how the cluster is, as its leader sees it. Without a leader it is as
// this node sees it, and Leader is empty.
type Overview struct {
	ClusterID   string
	Leader      string
	Term        uint64
	CommitIndex uint64
	// FailureTolerance is how many more voters may fail before writes stop.
	FailureTolerance int
	// Warnings are what operators should know, a line each.
	Warnings []string
	Members  []MemberInfo
}

// MemberInfo is how one member is.
type MemberInfo struct {
	ID, Role string
	// Health is one of the three; Reason tells why where it is not HealthHealthy.
	Health, Reason        string
	HTTP, Cluster, Gossip string
	Version               string
	// AppliedIndex is 0 where it did not tell, Lag how far that is behind what is
	// committed.
	AppliedIndex, Lag uint64
	// LastContact is how long ago leader and member heard from each other; 0 on the
	// leader, nil where they never did.
	LastContact *time.Duration
}

// Overview asks the leader how the cluster is. Where there is none, this node asks
// all members by itself: then an operator needs it most.
func (n *Node) Overview(ctx context.Context) (Overview, error) {
	if err := n.gone(); err != nil {
		return Overview{}, err
	}
	id, address := n.leader()
	if n.raft.State() != raft.Leader && id != "" && id != n.opts.ID {
		asked, cancel := context.WithTimeout(ctx, 2*askMember)
		defer cancel()
		resp := &OverviewResponse{}
		err := n.caller.call(asked, address, pathOverview, &OverviewRequest{TimeoutMs: remainingMs(asked)}, resp)
		if err == nil && resp.GetLeads() {
			return n.received(id, resp), nil
		}
		n.logger.Debug("the leader gave no overview", "leader", id, "error", err)
	}
	return n.overview(ctx), ctx.Err()
}

func (n *Node) answerOverview(ctx context.Context, req *OverviewRequest) (*OverviewResponse, error) {
	ctx, cancel := within(ctx, req.GetTimeoutMs())
	defer cancel()
	if !n.leads() {
		return &OverviewResponse{}, nil
	}
	o := n.overview(ctx)
	resp := &OverviewResponse{
		Leads: o.Leader == n.opts.ID, Term: o.Term, CommitIndex: o.CommitIndex,
		FailureTolerance: uint32(o.FailureTolerance), Warnings: o.Warnings,
	}
	for _, m := range o.Members {
		s := &MemberState{
			Id: m.ID, Role: m.Role, Health: m.Health, Reason: m.Reason, HttpAddress: m.HTTP, ClusterAddress: m.Cluster,
			GossipAddress: m.Gossip, Version: m.Version, AppliedIndex: m.AppliedIndex, Lag: m.Lag,
		}
		if m.LastContact != nil {
			s.Heard, s.LastContactMs = true, uint64(m.LastContact.Milliseconds())
		}
		resp.Members = append(resp.Members, s)
	}
	return resp, nil
}

// received is the leader's overview as it travelled.
func (n *Node) received(leader string, resp *OverviewResponse) Overview {
	o := Overview{
		ClusterID: n.ClusterID(), Leader: leader, Term: resp.GetTerm(), CommitIndex: resp.GetCommitIndex(),
		FailureTolerance: int(resp.GetFailureTolerance()), Warnings: resp.GetWarnings(),
	}
	for _, s := range resp.GetMembers() {
		m := MemberInfo{
			ID: s.GetId(), Role: s.GetRole(), Health: s.GetHealth(), Reason: s.GetReason(), HTTP: s.GetHttpAddress(),
			Cluster: s.GetClusterAddress(), Gossip: s.GetGossipAddress(), Version: s.GetVersion(),
			AppliedIndex: s.GetAppliedIndex(), Lag: s.GetLag(),
		}
		if s.GetHeard() {
			ago := time.Duration(s.GetLastContactMs()) * time.Millisecond
			m.LastContact = &ago
		}
		o.Members = append(o.Members, m)
	}
	return o
}

// overview is how this node sees the cluster: it asks every member.
func (n *Node) overview(ctx context.Context) Overview {
	config := n.raft.GetConfiguration()
	if config.Error() != nil {
		return Overview{ClusterID: n.ClusterID()}
	}
	servers := config.Configuration().Servers
	reports := n.survey(ctx, servers)
	o := Overview{ClusterID: n.ClusterID(), Term: n.raft.CurrentTerm(), CommitIndex: n.raft.CommitIndex()}
	if n.leads() {
		o.Leader = n.opts.ID
	} else {
		for _, r := range reports {
			if r.err == nil {
				o.CommitIndex = max(o.CommitIndex, r.status.GetCommitIndex())
			}
		}
	}
	voters, answering := 0, 0
	for _, r := range reports {
		m := n.look(r, o.Leader, o.CommitIndex)
		o.Members = append(o.Members, m)
		if isVoter(r.server) {
			voters++
			if m.Health == HealthHealthy || o.Leader == "" && r.err == nil {
				answering++
			}
		}
	}
	slices.SortFunc(o.Members, func(a, b MemberInfo) int { return cmp.Compare(a.ID, b.ID) })
	if voters > 0 {
		o.FailureTolerance = tolerance(voters, answering)
	}
	o.Warnings = n.warnings(o, voters, answering)
	for _, r := range reports {
		for _, text := range r.status.GetWarnings() {
			o.Warnings = append(o.Warnings, string(r.server.ID)+": "+text)
		}
	}
	return o
}

// look is how one member is, by what it reported and what gossip last knew of it.
func (n *Node) look(r report, leader string, commit uint64) MemberInfo {
	id := string(r.server.ID)
	m := MemberInfo{ID: id, Role: RoleNonvoter, Cluster: string(r.server.Address)}
	switch {
	case id == leader:
		m.Role = RoleLeader
	case isVoter(r.server):
		m.Role = RoleVoter
	}
	if known, ok := n.gossip.last(id); ok {
		m.HTTP, m.Gossip, m.Version = known.GetHttpAddress(), known.gossip, known.GetVersion()
	}
	if r.err != nil {
		m.Health, m.Reason = HealthUnreachable, r.err.Error()
	} else {
		m.HTTP, m.Version = r.status.GetHttpAddress(), r.status.GetVersion()
		if g := r.status.GetGossipAddress(); g != "" {
			m.Gossip = g
		}
		m.AppliedIndex = r.status.GetAppliedIndex()
		m.Lag = commit - min(commit, m.AppliedIndex)
		m.Health = HealthHealthy
		if why := n.unfit(r.status, commit); why != "" {
			m.Health, m.Reason = HealthUnhealthy, why
		}
	}
	m.LastContact = n.contact(r, leader)
	return m
}

// contact is how long ago the leader heard from a member; without a leader, the
// member from its last one.
func (n *Node) contact(r report, leader string) *time.Duration {
	var ago time.Duration
	switch {
	case leader == "":
		if r.err != nil || r.status.GetLastContactMs() == 0 {
			return nil
		}
		ago = time.Duration(r.status.GetLastContactMs()) * time.Millisecond
	case string(r.server.ID) != leader:
		heard := n.acks.heard(r.server.ID, n.raft.CurrentTerm())
		if heard.IsZero() {
			return nil
		}
		ago = time.Since(heard)
	}
	return &ago
}

func (n *Node) warnings(o Overview, voters, answering int) []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case o.Leader == "" && voters > 0:
		warn("there is no leader: %s, %s from here, and %d are needed", counted(voters, "voter"), answer(answering), quorum(voters))
	case voters > 1 && o.FailureTolerance == 0:
		warn("the loss of one more voter stops all writes: %s, %s, and %d are needed", counted(voters, "voter"), answer(answering), quorum(voters))
	}
	if v := n.verified.Load(); len(v.Different()) > 0 {
		warn("the states of nodes differ at entry %d: %s; see \"Verify\" in the manual", v.Index, strings.Join(v.Different(), ", "))
	}
	if !n.hasMembership() {
		why, _ := n.waitsFor.Load().(string)
		warn("this node belongs to no cluster yet: %s", why)
	}
	if voters > 2 && voters%2 == 0 {
		warn("%d voters bear the loss of %d, as %d do: an odd number is better", voters, voters-quorum(voters), voters-1)
	}
	for _, m := range o.Members {
		if m.Health != HealthHealthy {
			warn("%s is %s: %s", m.ID, m.Health, m.Reason)
		}
	}
	if why := n.behind.Load(); why != nil && *why != "" && n.leads() {
		warn("the cluster stays at command version %d: %s", n.commandVersion(), *why)
	}
	for _, m := range n.gossip.members() {
		if m.GetId() != n.opts.ID && !slices.ContainsFunc(o.Members, func(i MemberInfo) bool { return i.ID == m.GetId() }) {
			warn("%s at %s is seen and is not a member", m.GetId(), m.GetClusterAddress())
		}
	}
	return out
}
