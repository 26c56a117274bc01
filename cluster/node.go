package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// maxAppendEntries bounds what is sent to a follower, applied and synced at once.
const maxAppendEntries = 64

// Node is one member of the cluster.
type Node struct {
	opts    Options
	machine Machine
	logger  *slog.Logger

	store     *store
	port      *port
	transport *transport
	acks      *acks
	raft      *raft.Raft
	caller    *caller
	answers   *answers
	gossip    *gossip

	clock         *clock
	leadership    leadership
	configuration *configuration
	// changing is held while the membership is changed.
	changing chan struct{}
	// admitted tells whether this node takes part in Raft; see takes.
	admitted atomic.Bool
	// removed is closed once this node knows that it was removed.
	removed chan struct{}
	// waitsFor is why this node is in no cluster yet, as text.
	waitsFor atomic.Value
	identity atomic.Pointer[string]
	proven   atomic.Pointer[proof]
	verified atomic.Pointer[Verification]
	// behind is why the leader does not raise the command version.
	behind  atomic.Pointer[string]
	arrival *arrival
	figures struct{ entries, transactions atomic.Uint64 }

	keyChanges sync.Mutex // leader: one change of gossip keys at a time

	coalescer  *batcher         // leader: proposals to the log
	forwarder  *batcher         // others: proposals to the leader
	confirming *rounds[uint64]  // leader: proof of leadership
	asking     *rounds[current] // others: questions to the leader

	// ctx ends when the node is being shut down.
	ctx        context.Context
	cancel     context.CancelFunc
	raftEnded  chan struct{} // closed once raft does nothing any more
	background sync.WaitGroup
	draining   atomic.Bool
	broken     atomic.Bool // it can't go on, and is about to be stopped
	halted     sync.Once
	shutdown   sync.Once
	shutdownBy error
}

// Start starts a node: it returns when the node takes part, which is before
// there is a leader. The context bounds only the start.
func Start(ctx context.Context, opts Options, machine Machine) (*Node, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{opts: opts, machine: machine, logger: opts.Logger.With("node", opts.ID)}
	n.opts.Logger = n.logger
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.raftEnded = make(chan struct{})
	n.leadership.signal = newSignal()
	n.clock = newClock(machine)
	n.acks = newAcks()
	n.changing = make(chan struct{}, 1)
	n.removed = make(chan struct{})
	if err := n.start(ctx); err != nil {
		n.draining.Store(true)
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// start brings the parts up, each after what it needs: what is on disk, the
// port, Raft on both, the calls, and last what lets others find this node.
func (n *Node) start(ctx context.Context) error {
	logger := newRaftLogger(n.logger)
	var err error
	if n.store, err = openStore(&n.opts, logger, n.halt); err != nil {
		return err
	}
	n.configuration, n.arrival = n.store.configuration, n.store.arrival
	noRestore, err := n.store.check(n.machine)
	if err != nil {
		return err
	}
	if err := n.store.checkKnown(n.newestCommand()); err != nil {
		return err
	}
	// Before anybody is let in who may be of another cluster.
	if err := n.learnIdentity(); err != nil {
		return err
	}
	if n.port, err = openPort(n.opts, n.takes); err != nil {
		return err
	}
	n.caller = newCaller(n.port, n.ClusterID)
	n.coalescer = newBatcher(n.opts.QueueLength, n.opts.QueueBytes, entriesInFlight, n.apply)
	n.forwarder = newBatcher(n.opts.QueueLength, n.opts.QueueBytes, callsInFlight, n.forward)
	n.confirming = newRounds(roundTimeout, n.confirm)
	n.asking = newRounds(roundTimeout, n.askLeader)

	var ref atomic.Pointer[raft.Raft] // raft is not there yet when its parts are made
	var found atomic.Pointer[gossip]  // nor is gossip
	streams := &raftStreams{
		lane: n.port.raft, port: n.port, clusterID: n.ClusterID,
		elsewhere: func(node string) string { return found.Load().clusterAddress(node) },
	}
	n.transport = newTransport(streams, n.acks, logger, leading{
		committed: func(term uint64) (uint64, bool) { return committedIn(ref.Load(), term) },
		member:    func(id raft.ServerID) bool { return memberOf(ref.Load(), id) },
	})
	watched := &watchedMachine{
		Machine: n.machine, configuration: n.configuration, arrival: n.arrival,
		before: n.transport.announce, after: n.opts.Events.applied,
		damaged: n.stopForGood,
	}
	conf := n.raftConfig(logger, noRestore)
	if n.raft, err = n.store.start(conf, watched, n.transport); err != nil {
		return fmt.Errorf("cluster: raft: %w", err)
	}
	ref.Store(n.raft)
	// A node that has promised something in Raft has a term; one without has no
	// disk, or a new one, and what it promised on an old one is not known to it.
	n.admitted.Store(n.hasMembership() || n.raft.CurrentTerm() > 0)

	seen := make(chan raft.Observation, 64)
	n.raft.RegisterObserver(raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	}))
	n.run(func(ctx context.Context) { n.observe(ctx, seen) })
	n.run(n.lead)
	if n.gossip, err = startGossip(ctx, &n.opts, n.meta); err != nil {
		return err
	}
	found.Store(n.gossip)
	n.answers = n.serveCalls()
	if n.port.tls != nil {
		n.run(n.port.tls.watch)
	}
	n.run(n.watchIdentity)
	n.run(n.bootstrap)
	n.run(n.catchUp)
	n.run(n.replaceSnapshots)
	n.run(n.keepUp)
	n.run(n.autopilot)
	n.run(n.watchState)
	n.run(n.watchBelonging)
	return nil
}

func (n *Node) run(f func(context.Context)) {
	n.background.Add(1)
	go func() {
		defer n.background.Done()
		f(n.ctx)
	}()
}

func (n *Node) raftConfig(logger *raftLogger, noRestore bool) *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(n.opts.ID)
	conf.HeartbeatTimeout = n.opts.HeartbeatTimeout
	conf.ElectionTimeout = n.opts.ElectionTimeout
	conf.LeaderLeaseTimeout = n.opts.LeaderLease
	conf.CommitTimeout = n.opts.CommitTimeout
	conf.MaxAppendEntries = maxAppendEntries
	conf.SnapshotInterval = n.opts.SnapshotInterval
	conf.SnapshotThreshold = n.opts.SnapshotThreshold
	conf.TrailingLogs = n.opts.TrailingLogs
	conf.NoSnapshotRestoreOnStart = noRestore
	conf.NoLegacyTelemetry = true
	// A node that was removed tells so before it ends; see beRemoved.
	conf.ShutdownOnRemove = false
	conf.Logger = logger
	return conf
}

// committedIn returns the commit index, if r leads in that term. The order is
// what makes it right: the term is looked at after the index.
func committedIn(r *raft.Raft, term uint64) (uint64, bool) {
	if r == nil {
		return 0, false
	}
	index := r.CommitIndex()
	return index, r.State() == raft.Leader && r.CurrentTerm() == term
}

func memberOf(r *raft.Raft, id raft.ServerID) bool {
	if r == nil {
		return false
	}
	config := r.GetConfiguration()
	return config.Error() == nil && slices.ContainsFunc(config.Configuration().Servers, func(s raft.Server) bool { return s.ID == id })
}

func (n *Node) meta() *NodeMeta {
	return &NodeMeta{
		Id: n.opts.ID, HttpAddress: n.opts.HTTPAdvertise, ClusterAddress: n.port.advertise,
		Version: n.opts.Version, BootstrapExpect: n.expects(),
		ClusterHash: clusterHash(n.ClusterID()), NewestCommand: n.newestCommand(),
	}
}

// ID is the node's name.
func (n *Node) ID() string { return n.opts.ID }

// ClusterAddress is where others reach this node's cluster port.
func (n *Node) ClusterAddress() string { return n.port.advertise }

// GossipAddress is where others reach this node's gossip; empty without gossip.
func (n *Node) GossipAddress() string { return n.gossip.address() }

// NowMs is replicated time as this node sees it, in milliseconds since the Unix
// epoch: what documents are stamped with and deadlines are reckoned in. It never
// goes back on one node.
func (n *Node) NowMs() uint64 { return n.clock.now() }

func (n *Node) halt(err error) {
	n.broken.Store(true)
	n.halted.Do(func() {
		n.logger.Error("this node can't go on", "error", err)
		go n.opts.Halt(err)
	})
}

// Snapshot takes a snapshot now and cuts the log.
func (n *Node) Snapshot() error {
	if err := n.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("cluster: snapshot: %w", err)
	}
	return nil
}

// Shutdown hands leadership over, then stops everything. The state machine stays
// open; it is the caller's. It can be called again; the first outcome counts.
func (n *Node) Shutdown(ctx context.Context) error {
	n.shutdown.Do(func() {
		n.HandOver(ctx)
		done := make(chan error, 1)
		go func() { done <- n.stop() }()
		select {
		case n.shutdownBy = <-done:
		case <-ctx.Done():
			n.shutdownBy = fmt.Errorf("cluster: shutdown: %w", ctx.Err())
		}
	})
	return n.shutdownBy
}

// Abort stops everything at once: nothing is handed over and nobody is told.
func (n *Node) Abort() error {
	n.draining.Store(true)
	n.shutdown.Do(func() {
		n.gossip.abandon()
		n.port.close()
		n.shutdownBy = n.stop()
	})
	return n.shutdownBy
}

// stop ends the parts, those that use others first. Any may be missing, where
// the start failed.
func (n *Node) stop() error {
	n.cancel()
	var errs []error
	if n.gossip != nil {
		errs = append(errs, n.gossip.close())
	}
	if n.asking != nil {
		n.asking.close()
		n.confirming.close()
		n.forwarder.close()
	}
	if n.raft != nil {
		n.store.release()
		// Raft answers what is under way, and the coalescer waits for those answers.
		errs = append(errs, n.raft.Shutdown().Error(), n.transport.Close())
		close(n.raftEnded)
		n.transport.CloseStreams()
	} else if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	if n.coalescer != nil {
		n.coalescer.close()
	}
	n.leadership.signal.changed()
	if n.answers != nil {
		n.answers.close()
	}
	if n.port != nil {
		n.port.close()
		n.caller.close()
	}
	n.background.Wait()
	if n.store != nil {
		errs = append(errs, n.store.close())
	}
	return errors.Join(errs...)
}

// shutdownTimeout is what a caller without an own idea gives Shutdown.
const shutdownTimeout = 10 * time.Second

// Close is Shutdown with a bound of its own.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return n.Shutdown(ctx)
}
