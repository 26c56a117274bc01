package app

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// someDoor is a door at a port that the system gives to no outgoing connection.
func someDoor(t *testing.T, shut bool) *door {
	t.Helper()
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		d, err := newDoor(t.Context(), address, shut)
		if err == nil && d.Addr().String() != address {
			t.Errorf("its address is %s, not %s", d.Addr(), address)
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatal("no port is free")
	return nil
}

// While a door is shut connections are refused and its port is taken; then it
// serves like any other.
func TestDoor(t *testing.T) {
	t.Parallel()
	d := someDoor(t, true)
	address := d.Addr().String()
	for range 3 {
		if _, err := net.DialTimeout("tcp", address, time.Minute); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a connection to a shut door: %v", err)
		}
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})}
	served := make(chan error, 1)
	go func() {
		<-d.opened
		served <- server.Serve(d)
	}()
	for range 2 {
		if err := d.open(); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		res, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil || string(body) != "hello" {
			t.Errorf("%q, %v", body, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestDoorThatIsNotShut(t *testing.T) {
	t.Parallel()
	chosen, err := newDoor(t.Context(), "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*door{chosen, someDoor(t, false)} {
		<-d.opened
		conn, err := net.Dial("tcp", d.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(conn.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}
}

// Whoever waits for a door learns that it is gone, and a port that another program
// has taken meanwhile is an error that names it.
func TestDoorThatNeverOpens(t *testing.T) {
	t.Parallel()
	d := someDoor(t, true)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	<-d.opened
	if err := d.open(); err != nil {
		t.Errorf("opening what is closed: %v", err)
	}

	d = someDoor(t, true)
	other, err := net.Listen("tcp", d.Addr().String())
	if err != nil {
		t.Skipf("the system keeps the port: %v", err)
	}
	if err := d.open(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("opened beside another program: %v", err)
	}
	if err := errors.Join(other.Close(), d.Close()); err != nil {
		t.Error(err)
	}
}
