package clustertest

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/floeberg/floeberg/cluster"
)

// Network is what lies between nodes: it can lose everything that goes from one
// to another without either being told, as a cut cable does.
type Network struct {
	mu    sync.Mutex
	cut   map[[2]string]bool
	dead  map[string]bool
	conns map[*link]struct{}
}

// NewNetwork makes a network without faults.
func NewNetwork() *Network {
	return &Network{cut: make(map[[2]string]bool), dead: make(map[string]bool), conns: make(map[*link]struct{})}
}

var errReset = errors.New("clustertest: the node is down")

// Dialer is how the node at an address reaches others.
func (n *Network) Dialer(from string) cluster.Dial {
	return func(ctx context.Context, to string) (net.Conn, error) {
		n.mu.Lock()
		dead := n.dead[from] || n.dead[to]
		silent := n.cut[[2]string{from, to}]
		n.mu.Unlock()
		if dead {
			return nil, errReset
		}
		if silent {
			<-ctx.Done() // nobody answers, nobody refuses
			return nil, ctx.Err()
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", to)
		if err != nil {
			return nil, err
		}
		l := &link{Conn: conn, network: n, from: from, to: to}
		n.mu.Lock()
		n.conns[l] = struct{}{}
		n.mu.Unlock()
		return l, nil
	}
}

// Cut loses everything between two nodes, both ways.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = true, true
}

// Isolate cuts a node off from all the others.
func (n *Network) Isolate(node string, others ...string) {
	for _, other := range others {
		if other != node {
			n.Cut(node, other)
		}
	}
}

// Reset breaks a node's connections and refuses new ones, as a crash does.
func (n *Network) Reset(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead[node] = true
	n.breakAll(func(l *link) bool { return l.from == node || l.to == node })
}

// Heal makes a node reachable again. Connections that lost something break.
func (n *Network) Heal(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.dead, node)
	n.breakAll(func(l *link) bool { return (l.from == node || l.to == node) && n.cut[[2]string{l.from, l.to}] })
	for pair := range n.cut {
		if pair[0] == node || pair[1] == node {
			delete(n.cut, pair)
		}
	}
}

// breakAll closes connections; n.mu is held.
func (n *Network) breakAll(which func(*link) bool) {
	for l := range n.conns {
		if which(l) {
			delete(n.conns, l)
			_ = l.Conn.Close() // a broken connection can't be closed wrongly
		}
	}
}

// Close breaks everything.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.breakAll(func(*link) bool { return true })
}

// link is a connection from one node to another.
type link struct {
	net.Conn
	network  *Network
	from, to string
}

func (l *link) silent() bool {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	return l.network.cut[[2]string{l.from, l.to}]
}

// Write swallows what is written while the way is cut.
func (l *link) Write(p []byte) (int, error) {
	if l.silent() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// Read waits for its deadline while the way is cut, whatever has come.
func (l *link) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || !l.silent() {
			return n, err
		}
		// What came is lost. The connection is useless from here on, but its user
		// must not learn that before its own time-out or the healing.
	}
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.network.mu.Lock()
	delete(l.network.conns, l)
	l.network.mu.Unlock()
	return l.Conn.Close()
}
