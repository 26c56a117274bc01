package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Dial opens a connection to another node's cluster address.
type Dial func(ctx context.Context, address string) (net.Conn, error)

// Options say how a node takes part in a cluster. Zero values mean the default
// that the field names.
type Options struct {
	// ID is the node's unique and stable name. Required.
	ID string
	// Dir is the folder for the Raft log and snapshots. Required.
	Dir string
	// Version of the program, for others to see.
	Version string

	// Listen is the address of the cluster port: Raft and node-to-node calls. Required.
	Listen string
	// Advertise is where others reach the cluster port. Default: Listen.
	Advertise string
	// HTTPAdvertise is where clients reach this node, for others to tell them.
	HTTPAdvertise string
	// TLS are the files for mutual TLS on the cluster port. Default: plain TCP.
	TLS *TLSFiles

	// GossipListen is the address for memberlist. Default: no gossip, which only
	// a node that is a cluster by itself can do without.
	GossipListen string
	// GossipAdvertise is where others reach this node's gossip. Default: GossipListen.
	GossipAdvertise string
	// GossipKey encrypts gossip: 16, 24 or 32 bytes. Where there is a keyring it
	// counts no more. Default: plain.
	GossipKey []byte
	// KeyringFile keeps the keys of gossip, which are changed while the node runs.
	// Default: they are forgotten with the end of the node.
	KeyringFile string
	// Join are gossip addresses of other nodes; this node's own may be among them.
	Join []string
	// BootstrapExpect is how many nodes found the cluster; NeverFound makes this one
	// wait to be let into one that there is. Default: 1.
	BootstrapExpect int
	// Nonvoter makes the node stay without a vote until it is promoted: it has the
	// whole state and serves reads. It founds no cluster.
	Nonvoter bool
	// ClusterName keeps clusters that share a network apart. Default: none.
	ClusterName string

	// HeartbeatTimeout is how long a follower waits for its leader before it asks
	// for an election. A killed leader must be replaced in under a second, and an
	// election takes up to twice this plus three syncs: default 350 ms.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits before it tries again.
	// Default: HeartbeatTimeout.
	ElectionTimeout time.Duration
	// LeaderLease is how long a leader stays one without hearing from a quorum.
	// It must not exceed HeartbeatTimeout. Default: 5/7 of it.
	LeaderLease time.Duration
	// CommitTimeout is how late a follower learns of a commit where the
	// announcement of commits fails, and how often an idle leader tells it again.
	// Default: 50 ms.
	CommitTimeout time.Duration
	// SnapshotThreshold is the number of entries after which the log is cut.
	// Snapshots are only for that, the state machine is durable: default 32768.
	SnapshotThreshold uint64
	// SnapshotInterval is how often that is looked at. Default: 2 min.
	SnapshotInterval time.Duration
	// TrailingLogs is how many entries stay after a cut, so that a node that was
	// restarted catches up from the log. Default: 65536.
	TrailingLogs uint64

	// SurveyInterval is how often a leader asks all members how they are. Default: 1 s.
	SurveyInterval time.Duration
	// StabilizeAfter is how long a new member must have been fit without a break
	// before it gets a vote by itself. Default: 10 s, in which a node that comes and
	// goes shows it.
	StabilizeAfter time.Duration
	// RemoveDeadAfter is how long a voter must have been silent before the leader
	// removes it. Default: 0, it never does: who is dead is for an operator to say.
	RemoveDeadAfter time.Duration

	// ProposeTimeout bounds proposals and reads whose context has no deadline.
	// Default: 30 s.
	ProposeTimeout time.Duration
	// QueueLength bounds the proposals that wait on a node. Default: 4096.
	QueueLength int
	// QueueBytes bounds their size. Default: 64 MiB.
	QueueBytes int
	// ReadyLag is how many entries a ready node may be behind. Default: 1024.
	ReadyLag uint64

	// Services are parts of the node that others ask by AskService, by name.
	Services map[string]Service
	// VerifyInterval is how often the leader compares the states of all members,
	// which costs one small call to each. Default: never.
	VerifyInterval time.Duration

	// Logger gets what operators should see. Default: slog.Default().
	Logger *slog.Logger
	// Events are told what happens, for metrics and tests.
	Events Events
	// Halt is called once when the node can't go on, from a goroutine that must
	// not be held up. Default: it is only logged.
	Halt func(error)
	// Dial replaces TCP on the way out, under TLS; tests cut networks with it.
	Dial Dial
}

// NeverFound as BootstrapExpect is a node that founds no cluster.
const NeverFound = -1

// founds tells whether the node may be one of a cluster's first.
func (o *Options) founds() bool { return o.BootstrapExpect > 0 && !o.Nonvoter }

const (
	defaultHeartbeat     = 350 * time.Millisecond
	defaultCommitTimeout = 50 * time.Millisecond
	defaultThreshold     = 32768
	defaultInterval      = 2 * time.Minute
	defaultTrailing      = 65536
	defaultTimeout       = 30 * time.Second
	defaultQueueLength   = 4096
	defaultQueueBytes    = 64 << 20
	defaultReadyLag      = 1024
	defaultSurvey        = time.Second
	defaultStabilize     = 10 * time.Second
)

func orDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func (o Options) withDefaults() (Options, error) {
	orDefault(&o.Advertise, o.Listen)
	orDefault(&o.GossipAdvertise, o.GossipListen)
	orDefault(&o.BootstrapExpect, 1)
	orDefault(&o.HeartbeatTimeout, defaultHeartbeat)
	orDefault(&o.ElectionTimeout, o.HeartbeatTimeout)
	orDefault(&o.LeaderLease, o.HeartbeatTimeout*5/7)
	orDefault(&o.CommitTimeout, defaultCommitTimeout)
	orDefault(&o.SnapshotThreshold, defaultThreshold)
	orDefault(&o.SnapshotInterval, defaultInterval)
	orDefault(&o.TrailingLogs, defaultTrailing)
	orDefault(&o.ProposeTimeout, defaultTimeout)
	orDefault(&o.QueueLength, defaultQueueLength)
	orDefault(&o.QueueBytes, defaultQueueBytes)
	orDefault(&o.ReadyLag, defaultReadyLag)
	orDefault(&o.SurveyInterval, defaultSurvey)
	orDefault(&o.StabilizeAfter, defaultStabilize)
	orDefault(&o.Logger, slog.Default())
	if o.Halt == nil {
		o.Halt = func(error) {}
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	return o, o.validate()
}

// maxIDBytes keeps the gossiped metadata, which holds the id and two addresses,
// under memberlist's limit.
const maxIDBytes = 128

func (o Options) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.ID != "", "the node's id is missing")
	check(len(o.ID) <= maxIDBytes, "the node's id is longer than %d bytes", maxIDBytes)
	check(o.Dir != "", "the data folder is missing")
	check(o.Listen != "", "the cluster address is missing")
	check(o.BootstrapExpect >= NeverFound, "bootstrap-expect is negative")
	check(o.founds() || o.GossipListen != "", "a node that founds no cluster needs a gossip address, to find one")
	check(o.RemoveDeadAfter >= 0, "remove-dead-after is negative")
	check(o.LeaderLease <= o.HeartbeatTimeout, "the leader's lease is longer than the heartbeat timeout")
	check(o.ElectionTimeout >= o.HeartbeatTimeout, "the election timeout is shorter than the heartbeat timeout")
	check(o.GossipListen != "" || o.BootstrapExpect <= 1, "bootstrap-expect above 1 needs a gossip address")
	check(o.GossipListen != "" || len(o.Join) == 0, "addresses to join need a gossip address")
	switch len(o.GossipKey) {
	case 0, 16, 24, 32:
	default:
		errs = append(errs, fmt.Errorf("the gossip key has %d bytes, not 16, 24 or 32", len(o.GossipKey)))
	}
	for name, address := range map[string]string{
		"cluster address": o.Listen, "advertised cluster address": o.Advertise,
		"gossip address": o.GossipListen, "advertised gossip address": o.GossipAdvertise,
	} {
		if address == "" {
			continue
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("the %s is not host:port: %w", name, err))
			continue
		}
		ip := net.ParseIP(host)
		nowhere := host == "" || ip != nil && ip.IsUnspecified()
		check(!nowhere || !strings.HasPrefix(name, "advertised"), "the %s %s is not one that others can reach", name, address)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrOptions, errors.Join(errs...))
	}
	return nil
}
