// Package port gives tests ports of their own to listen on.
//
// A port that the system chooses is free at that moment and anybody's in the next:
// of an outgoing connection, or of another test process that looks for one. Tests
// need ports that nobody listens on until they do, and that stay theirs while a
// program is down. So each test process claims ports in blocks, below the range
// that systems use for outgoing connections.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

const (
	loopback = "127.0.0.1"

	first, last = 10_000, 32_000
	// blockSize is how many ports are claimed at once. The first of them is the claim.
	blockSize = 250
	blocks    = (last - first) / blockSize
)

// errNone is returned when other processes have claimed everything.
var errNone = errors.New("every block of ports is claimed")

var own struct {
	sync.Mutex
	claims []net.Listener // held until the process ends
	free   []int
}

// Take gives a loopback port that nobody listens on, by TCP or UDP, and that no
// test is given as long as this process runs.
func Take() (int, error) {
	own.Lock()
	defer own.Unlock()
	for {
		if len(own.free) == 0 {
			claim, base, err := claimBlock()
			if err != nil {
				return 0, err
			}
			own.claims = append(own.claims, claim)
			for port := base + 1; port < base+blockSize; port++ {
				own.free = append(own.free, port)
			}
		}
		port := own.free[0]
		own.free = own.free[1:]
		if bindable(port) {
			return port, nil
		}
	}
}

// Address is a loopback address with a port that is this test's own until it ends.
func Address(t testing.TB) string {
	t.Helper()
	port, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		own.Lock()
		defer own.Unlock()
		own.free = append(own.free, port)
	})
	return at(port)
}

// Row gives the first of that many ports in a row that are this test's own until it
// ends.
func Row(t testing.TB, length int) int {
	t.Helper()
	if length >= blockSize {
		t.Fatalf("%d ports in a row are more than a block has", length)
	}
	claim, base, err := claimBlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := claim.Close(); err != nil {
			t.Error(err)
		}
	})
	return base + 1
}

// claimBlock takes a block of ports until the claim is closed: whoever listens on
// the first of them has the others. The system ends that with the process,
// whatever end it has.
func claimBlock() (claim net.Listener, base int, err error) {
	start := rand.IntN(blocks) // what was given back rests
	for i := range blocks {
		base := first + (start+i)%blocks*blockSize
		if claim, err := net.Listen("tcp", at(base)); err == nil {
			return claim, base, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: %d to %d", errNone, first, last)
}

// bindable tells whether nobody listens on a port: programs that are no tests know
// nothing of blocks. A program that is started meanwhile would hold what is open
// here until it runs, and the port with it; so none is.
func bindable(port int) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tcp, err := net.Listen("tcp", at(port))
	if err != nil {
		return false
	}
	udp, err := net.ListenPacket("udp", at(port))
	if err == nil {
		err = udp.Close()
	}
	return errors.Join(err, tcp.Close()) == nil
}

func at(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
