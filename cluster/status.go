package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// Status is how a node sees itself and its cluster.
type Status struct {
	ID        string
	ClusterID string
	Version   string
	// State is "Follower", "Candidate", "Leader" or "Shutdown".
	State string
	// LeaderID is empty while no leader is known.
	LeaderID string
	// LeaderHTTP is where clients reach the leader; empty while gossip has not told.
	LeaderHTTP   string
	Term         uint64
	CommitIndex  uint64
	AppliedIndex uint64
	// LastContact is when this node last heard from the leader; zero if never.
	LastContact time.Time
	// NotReady is why the node should get no requests; empty when it should.
	NotReady string
	// CommandVersion is the command version in use in the cluster, NewestCommand the
	// newest that this node applies.
	CommandVersion, NewestCommand uint32
	Peers                         []Peer
}

// Peer is a member of the cluster, this node included, or a node that is seen
// but is not a member.
type Peer struct {
	ID string
	// Member tells whether it is in the configuration, Voter whether it votes.
	Member, Voter bool
	// Seen tells whether gossip sees it now.
	Seen                  bool
	Cluster, HTTP, Gossip string
	Version               string
}

// Status returns how things are now, from what this node knows; it asks nobody.
func (n *Node) Status() Status {
	leaderID, _ := n.leader()
	applied, _ := n.machine.Applied()
	s := Status{
		ID: n.opts.ID, ClusterID: n.ClusterID(), Version: n.opts.Version,
		State: n.raft.State().String(), LeaderID: leaderID,
		Term: n.raft.CurrentTerm(), CommitIndex: n.raft.CommitIndex(), AppliedIndex: applied,
		LastContact: n.raft.LastContact(), NotReady: n.notReady(), Peers: n.peers(),
	}
	s.CommandVersion, s.NewestCommand = n.machine.CommandVersions()
	for _, p := range s.Peers {
		if p.ID == leaderID {
			s.LeaderHTTP = p.HTTP
		}
	}
	return s
}

func (n *Node) peers() []Peer {
	var out []Peer
	at := make(map[string]int)
	config := n.raft.GetConfiguration()
	if config.Error() == nil {
		for _, s := range config.Configuration().Servers {
			at[string(s.ID)] = len(out)
			p := Peer{ID: string(s.ID), Member: true, Voter: s.Suffrage == raft.Voter, Cluster: string(s.Address)}
			if p.ID == n.opts.ID {
				p.Seen, p.HTTP, p.Version, p.Gossip = true, n.opts.HTTPAdvertise, n.opts.Version, n.gossip.address()
			}
			out = append(out, p)
		}
	}
	for _, m := range n.gossip.members() {
		i, ok := at[m.GetId()]
		if !ok {
			i = len(out)
			out = append(out, Peer{ID: m.GetId(), Cluster: m.GetClusterAddress()})
		}
		out[i].Seen, out[i].HTTP, out[i].Gossip, out[i].Version = true, m.GetHttpAddress(), m.gossip, m.GetVersion()
	}
	return out
}

// Ready tells whether this node should get requests: nil, or ErrNotReady with
// the reason.
func (n *Node) Ready() error {
	if why := n.notReady(); why != "" {
		return fmt.Errorf("%w: %s", ErrNotReady, why)
	}
	return nil
}

// silenceBound is how many heartbeat timeouts a ready follower may go without a
// word from its leader.
const silenceBound = 3

func (n *Node) notReady() string {
	state := n.raft.State()
	leader, _ := n.leader()
	applied, _ := n.machine.Applied()
	commit := n.raft.CommitIndex()
	switch {
	case n.draining.Load():
		return "shutting down"
	case n.broken.Load():
		// What is broken has a path in it, as below.
		return "this node can't go on"
	case n.isRemoved():
		return comeBack
	case state == raft.Shutdown:
		return "raft has stopped"
	case n.store.failure.Load() != nil:
		// Probes are answered to everybody, and the error has a path in it: it is in
		// the log, and with Events.LogStoreFailed.
		return "the raft log can't be written"
	case !n.hasMembership():
		return "not yet in a cluster"
	case leader == "":
		return "no leader"
	case state == raft.Leader && !n.leads():
		return "leader of a term that is not yet open"
	case state != raft.Leader && time.Since(n.raft.LastContact()) > silenceBound*n.opts.HeartbeatTimeout:
		return "no word from the leader"
	case !n.arrival.done.Load():
		return n.arrival.why()
	case commit > applied+n.opts.ReadyLag:
		return fmt.Sprintf("%d entries behind", commit-applied)
	}
	return ""
}

// Ask returns how another node sees itself. What only that node could tell about
// others is left out.
func (n *Node) Ask(ctx context.Context, id string) (Status, error) {
	if id == n.opts.ID {
		return n.Status(), nil
	}
	address := ""
	for _, p := range n.peers() {
		if p.ID == id {
			address = p.Cluster
		}
	}
	if address == "" {
		return Status{}, fmt.Errorf("%w: %s", ErrNoSuchNode, id)
	}
	resp, err := n.statusOf(ctx, id, address)
	if err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s := Status{
		ID: resp.GetId(), ClusterID: resp.GetClusterId(), Version: resp.GetVersion(), State: resp.GetState(),
		LeaderID: resp.GetLeaderId(), Term: resp.GetTerm(),
		CommitIndex: resp.GetCommitIndex(), AppliedIndex: resp.GetAppliedIndex(), NotReady: resp.GetNotReady(),
	}
	if ms := resp.GetLastContactMs(); ms > 0 {
		s.LastContact = time.Now().Add(-time.Duration(ms) * time.Millisecond)
	}
	return s, nil
}

func (n *Node) answerStatus(context.Context, *StatusRequest) (*StatusResponse, error) {
	s := n.Status()
	resp := &StatusResponse{
		Id: s.ID, ClusterId: s.ClusterID, State: s.State, LeaderId: s.LeaderID, Term: s.Term,
		CommitIndex: s.CommitIndex, AppliedIndex: s.AppliedIndex, Version: s.Version,
		HttpAddress: n.opts.HTTPAdvertise, NotReady: s.NotReady, NewestCommand: s.NewestCommand,
		ClusterAddress: n.port.advertise, GossipAddress: n.gossip.address(), Nonvoter: n.opts.Nonvoter,
	}
	if s.State != raft.Leader.String() && !s.LastContact.IsZero() {
		resp.LastContactMs = uint64(max(time.Since(s.LastContact).Milliseconds(), 0))
	}
	for _, c := range n.Certificates() {
		if text := c.Warning(time.Now()); text != "" {
			resp.Warnings = append(resp.Warnings, text)
		}
	}
	return resp, nil
}

// Figures are numbers for metrics.
type Figures struct {
	State         string
	Term          uint64
	CommitIndex   uint64
	AppliedIndex  uint64
	LastContact   time.Duration // 0 on the leader
	LeaderChanges uint64
	// Entries and Transactions were put in the log by this node as leader.
	Entries, Transactions uint64
	// WaitingLocal and WaitingForward are proposals in the queues.
	WaitingLocal, WaitingForward int
	LogFirst, LogLast            uint64
	// Different is how many members' states were not those of the others when this
	// node last looked as leader, VerifiedIndex where that was; 0 where it did not.
	Different     int
	VerifiedIndex uint64
	// LogStore is what the database of the Raft log says of itself.
	LogStore bbolt.Stats
}

// Figures returns the numbers as they are now.
func (n *Node) Figures() (Figures, error) {
	applied, _ := n.machine.Applied()
	f := Figures{
		State: n.raft.State().String(), Term: n.raft.CurrentTerm(),
		CommitIndex: n.raft.CommitIndex(), AppliedIndex: applied,
		LeaderChanges: n.leadership.changes.Load(),
		Entries:       n.figures.entries.Load(), Transactions: n.figures.transactions.Load(),
		WaitingLocal: n.coalescer.waiting(), WaitingForward: n.forwarder.waiting(),
		LogStore: n.store.bolt.Stats(),
	}
	if last := n.raft.LastContact(); f.State != raft.Leader.String() && !last.IsZero() {
		f.LastContact = time.Since(last)
	}
	if v := n.verified.Load(); v != nil {
		f.Different, f.VerifiedIndex = len(v.Different()), v.Index
	}
	var err error
	if f.LogFirst, err = (&logs{n.store}).FirstIndex(); err != nil {
		return f, logError(err)
	}
	f.LogLast = n.raft.LastIndex()
	return f, nil
}
