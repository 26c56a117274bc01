package app

import (
	"net"
	"net/netip"
	"sync"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/internal/config"
)

// Why a connection was refused, in metrics.
const (
	refusedTotal   = "total"
	refusedAddress = "address"
)

// guests is a listener that lets only so many in at a time. One connection too
// many is closed at once: to let it wait would hide from the client that another
// node has room.
type guests struct {
	*door
	most, each int
	proxies    middleware.Proxies
	refused    func(why string)

	mu   sync.Mutex
	in   int
	from map[netip.Prefix]int
}

func newGuests(d *door, walls config.Walls, proxies middleware.Proxies, refused func(why string)) *guests {
	return &guests{
		door: d, most: spared(walls.MaxConnections), each: walls.MaxConnectionsPerAddress,
		proxies: proxies, refused: refused, from: make(map[netip.Prefix]int),
	}
}

// spared is how many connections there may be so that files are left for the state
// and the log: a node that can't open those does not go on.
func spared(most int) int {
	if files := openFiles(); files > 0 {
		return max(1, min(most, files-files/4))
	}
	return most
}

// Accept implements net.Listener.
func (g *guests) Accept() (net.Conn, error) {
	for {
		conn, err := g.AcceptTCP()
		if err != nil {
			return nil, err
		}
		block := g.block(conn)
		if why := g.enter(block); why != "" {
			g.refused(why)
			_ = conn.Close() // nothing was said on it
			continue
		}
		return &guest{TCPConn: conn, leave: sync.OnceFunc(func() { g.leave(block) })}, nil
	}
}

// block is who a connection counts for; a trusted proxy speaks for many and counts
// for nobody.
func (g *guests) block(conn net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || g.proxies.Trusts(at.Addr()) {
		return netip.Prefix{}
	}
	return middleware.Block(at.Addr())
}

// enter lets a connection in, or says why not.
func (g *guests) enter(block netip.Prefix) (why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.in >= g.most:
		return refusedTotal
	case block.IsValid() && g.each > 0 && g.from[block] >= g.each:
		return refusedAddress
	}
	g.in++
	if block.IsValid() {
		g.from[block]++
	}
	return ""
}

func (g *guests) leave(block netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in--
	if !block.IsValid() {
		return
	}
	if g.from[block]--; g.from[block] == 0 {
		delete(g.from, block)
	}
}

// guest is a connection that was let in.
type guest struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.leave()
	return g.TCPConn.Close()
}
