package cluster

import (
	"context"
	"net"
	"os/exec"
	"time"

	"github.com/floeberg/floeberg/test/process"
)

// Host is the machine that a node runs on.
type Host interface {
	// Address is where the nodes on other hosts reach it.
	Address() string
	// Start starts a program on it.
	Start(cmd *exec.Cmd) error
	// Dial connects to an address as a program on the host would.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

const loopback = "127.0.0.1"

// local is this machine.
type local struct{ net.Dialer }

func (local) Address() string           { return loopback }
func (local) Start(cmd *exec.Cmd) error { return process.Start(cmd) }

func (d local) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return d.DialContext(ctx, network, address)
}

// host is where node i runs.
func (o Options) host(i int) Host {
	if len(o.Hosts) == 0 {
		return local{net.Dialer{Timeout: 2 * time.Second}}
	}
	return o.Hosts[i]
}
