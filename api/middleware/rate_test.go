package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/middleware"
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func rates(t *testing.T, opts middleware.RateOptions) *middleware.Rates {
	t.Helper()
	r, err := middleware.NewRates(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wait is how many seconds a refusal says to wait; 0 is no refusal.
func wait(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var refused *middleware.RateError
	if !errors.As(err, &refused) || !errors.Is(err, middleware.ErrTooMany) {
		t.Fatalf("got %v", err)
	}
	return refused.Seconds()
}

func TestRateOfAPrincipal(t *testing.T) {
	t.Parallel()
	c := newClock()
	refused := 0
	r := rates(t, middleware.RateOptions{PerPrincipal: 2, Now: c.time, Limited: func(limit string) {
		if limit != middleware.LimitPrincipal {
			t.Errorf("told of %s", limit)
		}
		refused++
	}})
	// Ten seconds' worth at once, then two a second.
	for i := range 20 {
		h := http.Header{}
		if n := wait(t, r.LimitPrincipal(h, "a")); n != 0 {
			t.Fatalf("request %d: wait %d s", i, n)
		}
		want := fmt.Sprintf(`"principal";r=%d;t=%d`, 19-i, (i+2)/2)
		if h.Get("RateLimit") != want || h.Get("RateLimit-Policy") != `"principal";q=20;w=10` {
			t.Fatalf("request %d: %v, want %s", i, h, want)
		}
	}
	h := http.Header{}
	if n := wait(t, r.LimitPrincipal(h, "a")); n != 1 || h.Get("RateLimit") != `"principal";r=0;t=10` {
		t.Errorf("wait %d s, %v", n, h)
	}
	if n := wait(t, r.LimitPrincipal(http.Header{}, "b")); n != 0 {
		t.Errorf("another one waits %d s", n)
	}
	// What it is told to wait is enough, and refused requests cost nothing.
	for range 100 {
		_ = r.LimitPrincipal(http.Header{}, "a")
	}
	c.pass(time.Second)
	for range 2 {
		if n := wait(t, r.LimitPrincipal(http.Header{}, "a")); n != 0 {
			t.Errorf("still waits %d s", n)
		}
	}
	if n := wait(t, r.LimitPrincipal(http.Header{}, "a")); n != 1 {
		t.Errorf("a third one a second: %d", n)
	}
	if refused != 102 {
		t.Errorf("told of %d refusals", refused)
	}
}

// Nodes share a limit: all of them together allow what one alone would.
func TestNodesShareALimit(t *testing.T) {
	t.Parallel()
	c, nodes := newClock(), 1
	r := rates(t, middleware.RateOptions{PerPrincipal: 30, Now: c.time, Nodes: func() int { return nodes }})
	taken := func() (n int) {
		for wait(t, r.LimitPrincipal(http.Header{}, "a")) == 0 {
			n++
		}
		return n
	}
	if n := taken(); n != 300 {
		t.Errorf("one node allows %d", n)
	}
	nodes = 3
	c.pass(time.Second)
	if n := taken(); n != 10 && n != 30 {
		t.Errorf("one of three allows %d in a second", n)
	}
	c.pass(time.Minute)
	if n := taken(); n != 100 {
		t.Errorf("one of three allows %d at once", n)
	}
	nodes = 0 // nobody is seen: this one is there
	c.pass(time.Minute)
	_ = taken() // what there was before: what there may be more of comes by and by
	c.pass(time.Minute)
	if n := taken(); n != 300 {
		t.Errorf("the last one allows %d", n)
	}
	// More nodes than requests a second: each allows a trickle.
	few := rates(t, middleware.RateOptions{PerPrincipal: 1, Now: c.time, Nodes: func() int { return 100 }})
	if n := wait(t, few.LimitPrincipal(http.Header{}, "a")); n != 0 {
		t.Errorf("the first one waits %d s", n)
	}
	if n := wait(t, few.LimitPrincipal(http.Header{}, "a")); n != 100 {
		t.Errorf("wait %d s", n)
	}
}

func TestFailuresFromAnAddress(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := rates(t, middleware.RateOptions{Failures: 1, Now: c.time})
	addr := netip.MustParseAddr
	if r.Doubtful(addr("1.2.3.4")) {
		t.Error("doubtful before anything failed")
	}
	for i := range 10 {
		if n := wait(t, r.Failed(addr("1.2.3.4"))); n != 0 {
			t.Fatalf("failure %d: wait %d s", i, n)
		}
	}
	if n := wait(t, r.Failed(addr("::ffff:1.2.3.4"))); n != 1 {
		t.Errorf("mapped into IPv6 it waits %d s", n)
	}
	if !r.Doubtful(addr("1.2.3.4")) || r.Doubtful(addr("1.2.3.5")) {
		t.Error("the wrong one is doubtful")
	}
	c.pass(time.Second)
	if r.Doubtful(addr("1.2.3.4")) {
		t.Error("it stays doubtful")
	}
	// A line's own addresses are one.
	for i := range 11 {
		n := wait(t, r.Failed(addr(fmt.Sprintf("2001:db8:1:2::%x", i+1))))
		if (n != 0) != (i == 10) {
			t.Errorf("address %d of a line: wait %d s", i, n)
		}
	}
	if n := wait(t, r.Failed(addr("2001:db8:1:3::1"))); n != 0 {
		t.Errorf("another line waits %d s", n)
	}
}

// Whatever strangers send, what is remembered of them is bounded.
func TestMemoryOfRatesIsBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := rates(t, middleware.RateOptions{Failures: 1, Keys: 100, Now: c.time})
	for i := range 20_000 {
		_ = r.Failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if n := middleware.Remembered(r); n > 1000 {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestNoRates(t *testing.T) {
	t.Parallel()
	r := rates(t, middleware.RateOptions{})
	for range 1000 {
		h := http.Header{}
		if err := errors.Join(r.LimitPrincipal(h, "a"), r.Failed(netip.Addr{})); err != nil || len(h) > 0 {
			t.Fatalf("%v, %v", err, h)
		}
	}
	if r.Doubtful(netip.Addr{}) {
		t.Error("doubtful")
	}
}
