package cluster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"
)

const (
	gossipLabel = "floeberg"
	// reclaimAfter is how long a node must be dead before its name may come back
	// from another address.
	reclaimAfter    = 10 * time.Second
	gossipTCP       = 5 * time.Second
	leaveTimeout    = 500 * time.Millisecond
	firstJoinPause  = 100 * time.Millisecond
	lastJoinPause   = 10 * time.Second
	clusterHashSize = 8
)

// member is a node as gossip knows it.
type member struct {
	*NodeMeta
	gossip string
}

// gossip finds nodes and carries their addresses and versions. It decides
// nothing: who votes is in Raft's configuration, and losing gossip loses nothing.
// Its methods do nothing on nil, for a node without gossip.
type gossip struct {
	opts   *Options
	meta   func() *NodeMeta
	logger *slog.Logger
	list   *memberlist.Memberlist
	ring   *keyring
	// changed is signalled when a node came, went or changed.
	changed *signal
	// complaints are about others that were reached and not understood.
	complaints *thinner

	own string // this node's gossip address

	// Copies of what memberlist tells of: it changes its own nodes as it goes, and
	// only during its calls to us may they be read.
	mu    sync.Mutex
	live  map[string]member
	known map[string]member // other nodes that were ever seen, as they last were

	foreign   atomic.Bool // whether a node of another cluster was met
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	abandoned atomic.Bool
}

func resolve(ctx context.Context, address string) (ip string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(service)
	if err != nil {
		return "", 0, fmt.Errorf("port of %s: %w", address, err)
	}
	if host == "" {
		return net.IPv4zero.String(), port, nil
	}
	if net.ParseIP(host) != nil {
		return host, port, nil
	}
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil {
		return "", 0, err
	}
	return ips[0].String(), port, nil
}

func startGossip(ctx context.Context, opts *Options, meta func() *NodeMeta) (*gossip, error) {
	if opts.GossipListen == "" {
		return nil, nil
	}
	g := &gossip{
		opts: opts, meta: meta, logger: opts.Logger.With("component", "gossip"),
		changed: newSignal(), complaints: newThinner(), live: make(map[string]member), known: make(map[string]member),
	}
	conf := memberlist.DefaultLANConfig()
	conf.Name = opts.ID
	conf.Label = gossipLabel
	if opts.ClusterName != "" {
		conf.Label += "/" + opts.ClusterName
	}
	var err error
	if conf.BindAddr, conf.BindPort, err = resolve(ctx, opts.GossipListen); err != nil {
		return nil, fmt.Errorf("cluster: gossip address: %w", err)
	}
	if conf.AdvertiseAddr, conf.AdvertisePort, err = resolve(ctx, opts.GossipAdvertise); err != nil {
		return nil, fmt.Errorf("cluster: advertised gossip address: %w", err)
	}
	if g.ring, err = openKeyring(opts.KeyringFile, opts.GossipKey, g.logger); err != nil {
		return nil, err
	}
	if g.ring != nil {
		conf.Keyring = g.ring.ring
	}
	conf.DeadNodeReclaimTime = reclaimAfter
	conf.TCPTimeout = gossipTCP
	conf.Logger = newStdLogger(opts.Logger, "gossip")
	conf.Delegate, conf.Events, conf.Alive, conf.Conflict, conf.Merge = g, g, g, g, g
	if _, err := g.encodeMeta(memberlist.MetaMaxSize); err != nil {
		return nil, err
	}
	if g.list, err = memberlist.Create(conf); err != nil {
		return nil, fmt.Errorf("cluster: gossip: %w", err)
	}
	g.own = g.list.LocalNode().Address()
	loop, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.wg.Add(1)
	go g.join(loop)
	return g, nil
}

// address is where others reach this node's gossip.
func (g *gossip) address() string {
	if g == nil {
		return ""
	}
	return g.own
}

// keys are those that gossip is encrypted with; nil is no encryption.
func (g *gossip) keys() *keyring {
	if g == nil {
		return nil
	}
	return g.ring
}

// others are the addresses to join, without this node's own.
func (g *gossip) others() []string {
	var out []string
	for _, address := range g.opts.Join {
		if address == g.own || address == g.opts.GossipListen || address == g.opts.GossipAdvertise {
			continue
		}
		out = append(out, address)
	}
	return out
}

// join finds the others, and finds them again after a partition: for ever, since
// nobody else would.
func (g *gossip) join(ctx context.Context) {
	defer g.wg.Done()
	pause := firstJoinPause
	for {
		missing := g.missing()
		if len(missing) > 0 {
			n, err := g.list.Join(missing)
			switch {
			case n > 0:
				pause = firstJoinPause
			case err != nil:
				g.logger.Debug("no other node was reached", "addresses", missing, "error", err)
				if why := keyFault(err); why != "" {
					if _, ok := g.complaints.pass(why); ok {
						g.logger.Warn(why, "addresses", missing, "keys", g.ring.ids())
					}
				}
			}
		}
		wait := pause
		if len(missing) == 0 {
			wait = lastJoinPause
		} else {
			pause = min(2*pause, lastJoinPause)
		}
		// Spread, so that nodes that start together do not knock together.
		wait += rand.N(wait/4 + 1)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// missing are addresses at which no live member answers: of those to join, where
// this node is alone, and of those that were seen once.
func (g *gossip) missing() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	if len(g.live) < max(2, g.opts.BootstrapExpect) {
		out = g.others()
	}
	for id, m := range g.known {
		if _, ok := g.live[id]; !ok {
			out = append(out, m.gossip)
		}
	}
	return out
}

// members are the live nodes, this one included.
func (g *gossip) members() []member {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]member, 0, len(g.live))
	for _, m := range g.live {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b member) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return out
}

// last is how another node was when it was last seen.
func (g *gossip) last(id string) (member, bool) {
	if g == nil {
		return member{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m, ok := g.known[id]
	return m, ok
}

// clusterAddress is where a node that is seen now says that its cluster port is.
func (g *gossip) clusterAddress(id string) string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.live[id].GetClusterAddress()
}

// find looks for nodes at addresses, once. It is errOtherCluster where only nodes
// of another cluster are there, and else one line: the library's words are a list
// of lines.
func (g *gossip) find(addresses []string) error {
	g.foreign.Store(false)
	n, err := g.list.Join(addresses)
	switch {
	case n > 0:
		return nil
	case g.foreign.Load():
		return errOtherCluster
	}
	return fmt.Errorf("no node was reached by gossip at %s: %s", strings.Join(addresses, ", "), strings.Join(strings.Fields(err.Error()), " "))
}

// take copies what memberlist tells of a node.
func (g *gossip) take(node *memberlist.Node) {
	meta := &NodeMeta{}
	if err := proto.Unmarshal(node.Meta, meta); err != nil || meta.GetId() != node.Name {
		return // its metadata is still on its way
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := member{NodeMeta: meta, gossip: node.Address()}
	g.live[node.Name] = m
	if node.Name != g.opts.ID {
		g.known[node.Name] = m
	}
}

// refresh tells the others that this node's metadata has changed.
func (g *gossip) refresh() {
	if g == nil {
		return
	}
	if err := g.list.UpdateNode(leaveTimeout); err != nil {
		g.logger.Debug("changed metadata was not sent; it goes with the next exchange", "error", err)
	}
}

func (g *gossip) close() error {
	if g == nil {
		return nil
	}
	g.cancel()
	if !g.abandoned.Load() {
		// The others find out anyway; they may be gone themselves.
		if err := g.list.Leave(leaveTimeout); err != nil {
			g.logger.Debug("the others were not told that this node leaves", "error", err)
		}
	}
	err := g.list.Shutdown()
	g.wg.Wait()
	return err
}

// abandon makes close leave without a word.
func (g *gossip) abandon() {
	if g != nil {
		g.abandoned.Store(true)
	}
}

var errMetaTooLarge = errors.New("cluster: id, addresses and version together are too long for gossip")

func (g *gossip) encodeMeta(limit int) ([]byte, error) {
	data, err := proto.Marshal(g.meta())
	if err != nil {
		return nil, fmt.Errorf("cluster: gossip metadata: %w", err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%w: %d bytes of %d", errMetaTooLarge, len(data), limit)
	}
	return data, nil
}

// NodeMeta implements memberlist.Delegate.
func (g *gossip) NodeMeta(limit int) []byte {
	data, err := g.encodeMeta(limit)
	if err != nil {
		// It fitted at the start; only the short hash of the cluster's id can have grown.
		g.logger.Error("metadata can't be gossiped", "error", err)
		return nil
	}
	return data
}

// NotifyMsg implements memberlist.Delegate; there are no messages of our own.
func (g *gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (g *gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (g *gossip) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (g *gossip) NotifyJoin(node *memberlist.Node) {
	g.take(node)
	if node.Name != g.opts.ID {
		g.logger.Info("node seen", "seen", node.Name, "address", node.Address())
	}
	g.changed.changed()
}

// NotifyLeave implements memberlist.EventDelegate.
func (g *gossip) NotifyLeave(node *memberlist.Node) {
	g.mu.Lock()
	delete(g.live, node.Name)
	g.mu.Unlock()
	g.logger.Info("node not seen any more", "seen", node.Name, "address", node.Address())
	g.changed.changed()
}

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(node *memberlist.Node) {
	g.take(node)
	g.changed.changed()
}

// NotifyAlive implements memberlist.AliveDelegate: nodes of another cluster are
// not let in, even where both networks and keys are the same.
func (g *gossip) NotifyAlive(node *memberlist.Node) error {
	if node.Name == g.opts.ID {
		return nil
	}
	return g.sameCluster(node)
}

// sameCluster is errOtherCluster where a node is known to be of another cluster.
func (g *gossip) sameCluster(node *memberlist.Node) error {
	theirs := &NodeMeta{}
	if err := proto.Unmarshal(node.Meta, theirs); err != nil {
		return fmt.Errorf("metadata of %s: %w", node.Name, err)
	}
	mine := g.meta().GetClusterHash()
	if len(mine) > 0 && len(theirs.GetClusterHash()) > 0 && string(mine) != string(theirs.GetClusterHash()) {
		g.foreign.Store(true)
		return fmt.Errorf("%s: %w", node.Name, errOtherCluster)
	}
	return nil
}

// NotifyMerge implements memberlist.MergeDelegate: two clusters that are told of
// each other do not exchange what they know.
func (g *gossip) NotifyMerge(nodes []*memberlist.Node) error {
	for _, node := range nodes {
		// Two clusters may have nodes of the same name.
		if err := g.sameCluster(node); err != nil {
			return err
		}
	}
	return nil
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (g *gossip) NotifyConflict(existing, other *memberlist.Node) {
	g.logger.Error("two nodes have the same id", "id", existing.Name,
		"one", existing.Address(), "other", other.Address())
}

func clusterHash(id string) []byte {
	if id == "" {
		return nil
	}
	h := sha256.Sum256([]byte(id))
	return h[:clusterHashSize]
}
