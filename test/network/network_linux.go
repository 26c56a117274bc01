package network

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Network is some hosts and the wires between each two of them.
type Network struct {
	hosts []*Host
	later *later

	mu        sync.Mutex
	links     map[[2]int]Link // from, to
	delivered int
	dropped   int
}

// Link is how packets fare in one direction. The zero value is a good wire.
type Link struct {
	// Down drops every packet.
	Down bool
	// Loss is the share of packets that are dropped by chance.
	Loss float64
	// Delay is what each packet waits. Jitter is added by chance, for each anew: so
	// packets overtake each other.
	Delay, Jitter time.Duration
}

// subnet is where the hosts live. It exists in their namespaces only.
var subnet = netip.MustParsePrefix("10.77.0.0/24")

// New makes a network of good wires.
func New(hosts int) (*Network, error) {
	n := &Network{links: map[[2]int]Link{}, later: newLater()}
	address := subnet.Addr()
	for range hosts {
		address = address.Next()
		h, err := newHost(netip.PrefixFrom(address, subnet.Bits()))
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		n.hosts = append(n.hosts, h)
	}
	for i := range n.hosts {
		go n.carry(i)
	}
	return n, nil
}

// Host is one of the hosts.
func (n *Network) Host(i int) *Host { return n.hosts[i] }

// Close takes the network away. Programs on the hosts are their starters' to
// end, before.
func (n *Network) Close() error {
	n.later.close()
	var errs []error
	for _, h := range n.hosts {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// Set makes the wire from one host to another, in this direction, what l says.
func (n *Network) Set(from, to int, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[[2]int{from, to}] = l
}

// Between sets both directions between two hosts.
func (n *Network) Between(a, b int, l Link) {
	n.Set(a, b, l)
	n.Set(b, a, l)
}

// From sets the wires from a host to all others, To those from all others to it.
func (n *Network) From(host int, l Link) {
	for i := range n.hosts {
		n.Set(host, i, l)
	}
}

// To sets the wires from all other hosts to this one.
func (n *Network) To(host int, l Link) {
	for i := range n.hosts {
		n.Set(i, host, l)
	}
}

// Isolate cuts a host off.
func (n *Network) Isolate(host int) {
	n.From(host, Link{Down: true})
	n.To(host, Link{Down: true})
}

// Everywhere makes all wires alike.
func (n *Network) Everywhere(l Link) {
	for i := range n.hosts {
		n.From(i, l)
	}
}

// Heal makes all wires good again.
func (n *Network) Heal() { n.Everywhere(Link{}) }

// String says how many packets there were.
func (n *Network) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprintf("%d packets handed on, %d dropped", n.delivered, n.dropped)
}

// carry hands on what comes out of a host, until the host is closed.
func (n *Network) carry(from int) {
	buffer := make([]byte, 1<<16)
	for {
		size, err := n.hosts[from].tun.Read(buffer)
		if err != nil {
			return // closed
		}
		to, ok := n.destination(buffer[:size])
		if !ok {
			continue
		}
		wait, ok := n.fate(from, to)
		switch out := n.hosts[to].tun; {
		case !ok:
		case wait == 0:
			put(out, buffer[:size])
		default:
			packet := append([]byte(nil), buffer[:size]...)
			n.later.add(time.Now().Add(wait), func() { put(out, packet) })
		}
	}
}

// put hands a packet to a host. One that it can't take at the moment is lost, as
// on any wire.
func put(tun *os.File, packet []byte) { _, _ = tun.Write(packet) }

// destination is the host that an IPv4 packet is for.
func (n *Network) destination(packet []byte) (host int, ok bool) {
	const header, at = 20, 16
	if len(packet) < header || packet[0]>>4 != 4 {
		return 0, false // IPv6 looks for routers that are not there
	}
	to := netip.AddrFrom4([4]byte(packet[at : at+4]))
	for i, h := range n.hosts {
		if h.address == to {
			return i, true
		}
	}
	return 0, false
}

// fate says whether a packet gets there, and how long it takes.
func (n *Network) fate(from, to int) (wait time.Duration, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[[2]int{from, to}]
	if l.Down || l.Loss > 0 && rand.Float64() < l.Loss {
		n.dropped++
		return 0, false
	}
	n.delivered++
	wait = l.Delay
	if l.Jitter > 0 {
		wait += rand.N(l.Jitter)
	}
	return wait, true
}
