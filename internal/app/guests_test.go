package app

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/internal/config"
)

// inn is a listener with guests in it.
type inn struct {
	t       *testing.T
	guests  *guests
	in      chan net.Conn
	refused chan string
}

func openInn(t *testing.T, walls config.Walls) *inn {
	t.Helper()
	d, err := newDoor(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	i := &inn{t: t, in: make(chan net.Conn, 100), refused: make(chan string, 100)}
	i.guests = newGuests(d, walls, middleware.Proxies{Trusted: walls.TrustedProxies}, func(why string) { i.refused <- why })
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := i.guests.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			i.in <- conn
		}
	})
	t.Cleanup(func() {
		if err := i.guests.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return i
}

// enter comes from an address of loopback; the connection is nil where it was
// closed at once, and why says what for.
func (i *inn) enter(from string) (conn net.Conn, why string) {
	i.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	client, err := dialer.DialContext(i.t.Context(), "tcp", i.guests.Addr().String())
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = client.Close() })
	select {
	case conn := <-i.in:
		i.t.Cleanup(func() { _ = conn.Close() })
		return conn, ""
	case why := <-i.refused:
		if err := client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			i.t.Fatal(err)
		}
		if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.ErrNoProgress) {
			i.t.Errorf("one that was refused reads %d bytes, %v", n, err)
		}
		return nil, why
	case <-time.After(10 * time.Second):
		i.t.Fatal("nobody came")
		return nil, ""
	}
}

func TestSoManyConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	i := openInn(t, config.Walls{
		MaxConnections: 5, MaxConnectionsPerAddress: 2,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.3/32")},
	})
	must := func(from, want string) net.Conn {
		t.Helper()
		conn, why := i.enter(from)
		if why != want {
			t.Fatalf("from %s: %q, want %q", from, why, want)
		}
		return conn
	}
	first := must("127.0.0.1", "")
	must("127.0.0.1", "")
	must("127.0.0.1", refusedAddress)
	must("127.0.0.2", "")
	// A place is free once, however often a connection is closed.
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	_ = first.Close()
	must("127.0.0.1", "")
	must("127.0.0.1", refusedAddress)
	// A proxy speaks for many, and takes places like all.
	must("127.0.0.3", "")
	last := must("127.0.0.3", "")
	must("127.0.0.3", refusedTotal)
	must("127.0.0.9", refusedTotal)
	if err := last.Close(); err != nil {
		t.Error(err)
	}
	must("127.0.0.9", "")
}

func TestPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	i := openInn(t, config.Walls{MaxConnections: 1, MaxConnectionsPerAddress: 1})
	for range 20 {
		conn, why := i.enter("127.0.0.1")
		if conn == nil {
			t.Fatal(why)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if i.guests.in != 0 || len(i.guests.from) != 0 {
		t.Errorf("%d are in, %v", i.guests.in, i.guests.from)
	}
}

// A node needs files for its state more than connections.
func TestConnectionsLeaveFilesForTheState(t *testing.T) {
	t.Parallel()
	files := openFiles()
	if files == 0 {
		t.Skip("nobody says how many files there may be")
	}
	if got := spared(1 << 30); got >= files || got < files/2 {
		t.Errorf("%d connections of %d files", got, files)
	}
	if got := spared(3); got != 3 {
		t.Errorf("%d, want 3", got)
	}
}
