package cluster_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

const (
	// pauseFor is how long the leader stands still: several elections, and longer
	// than the others take to give up a connection that is silent.
	pauseFor = 3 * time.Second
	// pauseTest is how long the load runs, all in all.
	pauseTest = 8 * time.Second
)

// TestPausedLeaderUnderLoad stops the leader's process under load, as a migration of its
// machine does, and lets it go on when the others have had another leader for a
// while. It wakes up in the belief that it leads, with consents from before in its
// sockets. What was acknowledged meanwhile must not be missing from its answers,
// and what it acknowledged itself must not be lost.
func TestPausedLeaderUnderLoad(t *testing.T) {
	c := start(t, cluster.Options{})
	l := newMixedLoad(t, c)
	old := c.MustLeader(t)
	var others []string
	for i, n := range c.Nodes {
		if i != old {
			others = append(others, n.URL)
		}
	}
	all := &pausedLoad{mixedLoad: l}
	survivors := all.through(l.c.With(func(o *client.Options) { o.URLs = others }))
	sleeper := all.through(c.At(old))

	ctx, cancel := context.WithTimeout(t.Context(), pauseTest)
	defer cancel()
	// What is under way in the leader when it stops is answered when it wakes up.
	before, stop := context.WithCancel(ctx)
	defer stop()
	all.start(before, 0, 1, 2, 3)
	survivors.start(ctx, 4, 5, 6, 7)
	time.Sleep(time.Second) // the load that the pause falls into
	if err := c.Nodes[old].Pause(); err != nil {
		t.Fatal(err)
	}
	paused := time.Now()
	stop()
	time.Sleep(pauseFor)
	// These are in its sockets when it wakes up: it answers them at the moment at
	// which it knows least.
	sleeper.loadAtOnce(ctx, 8, 16)
	time.Sleep(100 * time.Millisecond)
	if err := c.Nodes[old].Resume(); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	sleeper.start(ctx, 24, 25)
	for _, load := range []*pausedLoad{all, survivors, sleeper} {
		load.wg.Wait()
	}
	if err := c.AwaitReady(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}

	meanwhile := 0
	for _, at := range survivors.writes {
		if at.After(paused) && at.Before(resumed) {
			meanwhile++
		}
	}
	t.Logf("%d writes through the others while the leader stood still, %d requests to it afterwards", meanwhile, len(sleeper.history))
	if meanwhile == 0 || len(sleeper.history) < 20 {
		t.Error("too little was done to prove anything")
	}
	for _, more := range []*pausedLoad{survivors, sleeper} {
		l.history = append(l.history, more.history...)
		l.failed = append(l.failed, more.failed...)
	}
	for _, err := range l.failed {
		t.Errorf("failed request: %v", err)
	}
	l.judgeHistory()
	l.judgeFiles()
}

// pausedLoad is the part of a load that goes through some of the nodes.
type pausedLoad struct {
	*mixedLoad
	wg sync.WaitGroup
}

// through is the same load through other nodes, with a history of its own.
func (p *pausedLoad) through(c *client.Client) *pausedLoad {
	return &pausedLoad{mixedLoad: &mixedLoad{t: p.t, c: c, dir: p.dir, ns: p.ns, tables: p.tables, began: p.began}}
}

func (p *pausedLoad) start(ctx context.Context, workers ...int) {
	for _, w := range workers {
		p.wg.Go(func() { p.run(ctx, w) })
	}
}

// loadAtOnce sends n loads, each by a worker of its own.
func (p *pausedLoad) loadAtOnce(ctx context.Context, first, n int) {
	for i := range n {
		p.wg.Go(func() {
			own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			p.load(own, first+i, p.tables[i%len(p.tables)])
		})
	}
}
