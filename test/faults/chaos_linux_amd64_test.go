package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/clock"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/disk"
	"github.com/floeberg/floeberg/test/load"
	"github.com/floeberg/floeberg/test/network"
)

var (
	chaosFor  = flag.Duration("chaos", 45*time.Second, "how long faults of all kinds come by chance")
	chaosSeed = flag.Uint64("seed", 0, "of the chance; 0 is a new one, which is printed")
)

// aRound is how long one cluster lives; a history of more is slow to judge.
const aRound = time.Minute

// TestChaos lets faults of all kinds come by chance, some of them before the one
// before is over, while nodes join and leave, leadership is handed over and
// snapshots are written. Then all is mended, and the verdict is the same as ever.
// The seed gives the same faults in the same order; what they meet is another
// matter.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	end := time.Now().Add(*chaosFor)
	for round := 0; time.Now().Before(end) && !t.Failed(); round++ {
		seed := seed + uint64(round)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			newChaos(t, seed).run(min(aRound, time.Until(end)))
		})
	}
}

// chaos is a cluster with all that can be done to it.
type chaos struct {
	meshed
	t      *testing.T
	load   *load.Load
	disks  []*disk.Disk
	clocks map[int]*clock.Clock // by process id: each life of a node has its own
	random *rand.Rand
	begun  int
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	dir := t.TempDir()
	c := &chaos{t: t, clocks: map[int]*clock.Clock{}, random: rand.New(rand.NewPCG(seed, seed))}
	c.disks = mountDisks(t, dir)
	// One more host is for who joins.
	c.meshed = mesh(t, 4, cluster.Options{Dir: dir, Args: []string{
		"--snapshot-store", "file://" + dir + "/snapshots", "--snapshot-upload-interval", "2s", "--stabilize-after", "500ms",
	}})
	var err error
	c.load, err = load.New(within(t, time.Minute), c.Client(), load.Options{})
	must(t, err)
	return c
}

func (c *chaos) run(d time.Duration) {
	t := c.t
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.load.Go(ctx, c.Client(), workers+workers/2)
	for end := time.Now().Add(d); time.Now().Before(end) && !t.Failed(); {
		c.one(ctx)
	}
	c.mend()
	must(t, c.AwaitReady(within(t, 2*time.Minute)))
	must(t, c.load.AwaitWrites(within(t, time.Minute), time.Now()))
	cancel()
	c.load.Wait()
	t.Logf("%d faults; %s", c.begun, c.network)
	judge(t, c.Cluster, c.load, trouble)
}

// one lets a fault come and go. Most of the time the cluster is left alone until
// it is well again.
func (c *chaos) one(ctx context.Context) {
	faults := []struct {
		name  string
		begin func(ctx context.Context, node int) error
	}{
		{"kill", func(_ context.Context, i int) error { return c.Nodes[i].Kill9() }},
		{"kill all", func(context.Context, int) error { kill(c.t, c.Cluster, c.running()...); return nil }},
		{"stop", func(_ context.Context, i int) error { return c.Nodes[i].Term(time.Minute) }},
		{"pause", c.pause},
		{"cut off", func(_ context.Context, i int) error { c.network.Isolate(i); return nil }},
		{"mute", func(_ context.Context, i int) error { c.network.From(i, network.Link{Down: true}); return nil }},
		{"deafen", func(_ context.Context, i int) error { c.network.To(i, network.Link{Down: true}); return nil }},
		{"spoil the network", func(context.Context, int) error {
			c.network.Everywhere(network.Link{Loss: 0.05, Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond})
			return nil
		}},
		{"fill the disk", c.spoil(disk.Faults{Full: true})},
		{"slow the disk", c.spoil(disk.Faults{Slow: 20 * time.Millisecond})},
		{"fail syncs", c.spoil(disk.Faults{SyncFails: true})},
		{"write-protect the disk", c.spoil(disk.Faults{ReadOnly: true})},
		{"set the clock", c.setClock},
		{"hand over", c.handOver},
		{"join and leave", c.joinAndLeave},
	}
	f := faults[c.random.IntN(len(faults))]
	node, hold := c.random.IntN(len(c.Nodes)), time.Duration(500+c.random.IntN(2500))*time.Millisecond
	leader, patient := c.random.IntN(2) == 0, c.random.IntN(4) > 0
	if leader {
		if i, err := c.Leader(within(c.t, time.Second)); err == nil {
			node = i
		}
	}
	if !c.Nodes[node].Running() {
		node = c.running()[0]
	}
	c.t.Logf("%s: %s, %s, for %s", time.Now().Format("15:04:05.000"), f.name, c.Nodes[node].ID, hold)
	c.begun++
	must(c.t, f.begin(ctx, node))
	rest(ctx, hold)
	c.mend()
	if patient {
		must(c.t, c.AwaitReady(within(c.t, 2*time.Minute)))
	}
}

// mend ends all that is wrong, but for clocks, and starts who has ended.
func (c *chaos) mend() {
	c.network.Heal()
	for i, n := range c.Nodes {
		c.disks[i].Set(disk.Faults{})
		if n.Running() {
			must(c.t, n.Resume())
			continue
		}
		if n.PID() != 0 { // it ended by itself, as it may on a bad disk
			code, err := n.Exit(within(c.t, time.Minute))
			must(c.t, err)
			c.t.Logf("%s had ended with %d: %s", n.ID, code, lastWords(n))
		}
		must(c.t, n.Start())
	}
}

func (c *chaos) running() []int {
	var list []int
	for i, n := range c.Nodes {
		if n.Running() {
			list = append(list, i)
		}
	}
	return list
}

func (c *chaos) pause(_ context.Context, i int) error { return c.Nodes[i].Pause() }

func (c *chaos) spoil(f disk.Faults) func(context.Context, int) error {
	return func(_ context.Context, i int) error { c.disks[i].Set(f); return nil }
}

// setClock sets a clock by minutes: less than what is remembered for a while is
// remembered, so that keys that are repeated are known.
func (c *chaos) setClock(_ context.Context, i int) (err error) {
	pid := c.Nodes[i].PID()
	if c.clocks[pid] == nil {
		if c.clocks[pid], err = clock.Take(pid); err != nil {
			return err
		}
	}
	return c.clocks[pid].Set(time.Duration(c.random.IntN(20)-10) * time.Minute)
}

// handOver asks a node to lead. It may be refused, where it can't.
func (c *chaos) handOver(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.ask(ctx, c.Client(), "transfer", client.Object{"to": c.Nodes[i].ID})
}

// joinAndLeave lets a new node in and takes it out again.
func (c *chaos) joinAndLeave(ctx context.Context, _ int) error {
	was := c.Nodes
	n, err := c.Grow()
	if err != nil {
		return err
	}
	defer func() { c.Nodes = was }()
	if err := cluster.Await(within(c.t, 2*time.Minute), n.ID+" to be let in", n.Ready); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.ask(ctx, c.At(len(was)), "leave", client.Object{}); err != nil {
		return err
	}
	if err := n.Kill9(); err != nil {
		return err
	}
	return os.RemoveAll(n.Dir)
}

// ask has the cluster changed, and says what came of it.
func (c *chaos) ask(ctx context.Context, at *client.Client, what string, body client.Object) error {
	res, err := at.Do(ctx, client.Request{Method: http.MethodPost, Path: "/management/v1/cluster/" + what, Body: body})
	if err != nil {
		return err
	}
	c.t.Logf("%s: %s", what, res)
	return nil
}
