package faults

import (
	"context"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

// pauseFor is how long a leader stands still: several elections, and longer
// than the others take to give up a connection that is silent.
const pauseFor = 3 * time.Second

// TestPaused stops the leader's process under load, as a migration of its
// machine does, and lets it go on when the others have had another leader for a
// while. It wakes up in the belief that it leads, with consents from before in
// its sockets. What was acknowledged meanwhile must not be missing from its
// answers, and what it acknowledges must not be lost.
func TestPaused(t *testing.T) {
	c, l := start(t, cluster.Options{}, load.Options{})
	old := c.MustLeader(t)
	others := c.But(old)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// What is under way in the leader when it stops is answered when it wakes up.
	before, stop := context.WithCancel(ctx)
	defer stop()
	l.Go(before, c.Client(), workers/2)
	l.Go(ctx, others, workers/2)
	rest(ctx, time.Second) // the load that the pause falls into
	must(t, c.Nodes[old].Pause())
	paused := time.Now()
	stop()
	rest(ctx, pauseFor)
	// These are in its sockets when it wakes up: it answers them at the moment at
	// which it knows least.
	l.LoadAtOnce(ctx, c.At(old), 16)
	rest(ctx, 100*time.Millisecond)
	must(t, c.Nodes[old].Resume())
	resumed := time.Now()
	l.Go(ctx, c.At(old), 2)
	rest(ctx, 4*time.Second)
	cancel()
	l.Wait()

	meanwhile := len(l.History.Written(paused.Add(time.Second), resumed))
	t.Logf("%d writes through the others while the leader stood still", meanwhile)
	if meanwhile == 0 {
		t.Error("too little was done to prove anything")
	}
	judge(t, c, l, noFailure)
}

// TestPausedAgain stops whichever node leads, again and again, sometimes only for
// about as long as the others wait for it.
func TestPausedAgain(t *testing.T) {
	c, l := start(t, cluster.Options{}, load.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), workers)
	for _, pause := range []time.Duration{250, 500, 750, 1000, 1500, 3000} {
		leader := c.Nodes[c.MustLeader(t)]
		must(t, leader.Pause())
		rest(ctx, pause*time.Millisecond)
		must(t, leader.Resume())
		rest(ctx, 500*time.Millisecond)
	}
	cancel()
	l.Wait()
	judge(t, c, l, noFailure)
}
