package network

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo answers on a port of a host what it is sent.
func echo(t *testing.T, h *Host) (address string) {
	t.Helper()
	var listener net.Listener
	err := inside(h.space, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(h.Address(), "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // until the other end is gone
			}()
		}
	}()
	return listener.Addr().String()
}

// ask sends a byte and waits for it to come back.
func ask(t *testing.T, conn net.Conn, patience time.Duration) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	if err := conn.SetDeadline(began.Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return time.Since(began), err
}

func TestNetwork(t *testing.T) {
	n := Start(t, 3)
	address := echo(t, n.Host(1))
	connect := func(from int) net.Conn {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		conn, err := n.Host(from).Dial(ctx, "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	silent := func(what string, conn net.Conn) {
		t.Helper()
		if _, err := ask(t, conn, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: want silence, got %v", what, err)
		}
	}
	answered := func(what string, conn net.Conn) time.Duration {
		t.Helper()
		// The pauses between TCP's attempts double: ten of them are a minute and more.
		took, err := ask(t, conn, 2*time.Minute)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return took
	}
	answered("good wires", connect(0))

	n.Isolate(1)
	if _, err := n.Host(0).Dial(withTimeout(t, 300*time.Millisecond), "tcp", address); err == nil {
		t.Error("connected to a host that is cut off")
	}
	n.Heal()
	there, back, other := connect(0), connect(0), connect(2)
	n.Set(0, 1, Link{Down: true})
	silent("no way there", there)
	answered("another pair", other)
	n.Heal()
	n.Set(1, 0, Link{Down: true})
	silent("no way back", back)
	n.Heal()

	slow := connect(2)
	n.Between(2, 1, Link{Delay: 100 * time.Millisecond, Jitter: 50 * time.Millisecond})
	if took := answered("slow wires", slow); took < 200*time.Millisecond {
		t.Errorf("an answer over slow wires took %s", took)
	}
	n.Everywhere(Link{Loss: 0.2})
	for range 5 {
		answered("lossy wires", slow)
	}
	t.Log(n)
}

func withTimeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
