package cluster

import (
	"sync"
	"time"
)

// clock estimates replicated time: the leader's stamp on the last entry plus
// what has passed since, on this machine's monotonic clock. So the wall clocks
// of followers don't matter, and a leader whose clock is behind the last stamp
// goes on from there at the normal pace.
type clock struct {
	machine Machine
	wall    func() time.Time

	mu     sync.Mutex
	anchor uint64    // replicated time that the leader told us
	at     time.Time // and when
	last   uint64    // highest estimate that was given out
	synced bool      // the leader has been heard since the start
}

func newClock(machine Machine) *clock { return &clock{machine: machine, wall: time.Now} }

func sum(anchor uint64, passed time.Duration) uint64 {
	return anchor + uint64(max(passed, 0).Milliseconds())
}

// estimate is the best guess; c.mu is held.
func (c *clock) estimate(now time.Time) uint64 {
	best := c.last
	if replicated, at := c.machine.TimeMs(); replicated > 0 {
		best = max(best, sum(replicated, now.Sub(at)))
	}
	if c.anchor > 0 {
		best = max(best, sum(c.anchor, now.Sub(c.at)))
	}
	return best
}

// now is replicated time as this node sees it. It never goes back. Before there
// is any, it is the wall clock's.
func (c *clock) now() uint64 {
	now := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	best := c.estimate(now)
	if best == 0 {
		return uint64(now.UnixMilli())
	}
	c.last = best
	return best
}

// stamp is what a leader stamps an entry with.
func (c *clock) stamp() uint64 {
	now := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.estimate(now), uint64(now.UnixMilli()))
	c.anchor, c.at, c.synced = c.last, now, true
	return c.last
}

// heard takes over the time that the leader told; 0 is from one that told none.
func (c *clock) heard(leader uint64) {
	if leader == 0 {
		return
	}
	now := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	if leader > c.estimate(now) {
		c.anchor, c.at = leader, now
	}
	c.synced = true
}

// ready tells whether estimates are good enough for deadlines: a node that was
// down knows only the time at which it went.
func (c *clock) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.synced
}
