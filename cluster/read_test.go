package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// What was written through one node is there at once on every other, with many
// writers and readers at a time.
func TestReadsAreNeverStale(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := range 60 {
				to, from := c.Node((client+i)%3), c.Node((client+i+1+i/3%2)%3)
				name, value := fmt.Sprintf("k%d", client), fmt.Sprint(i)
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				if _, err := to.Propose(ctx, put(name, value)); err != nil {
					t.Errorf("write %s=%s: %v", name, value, err)
				} else if got, _, err := read(ctx, from, cluster.Linearizable, name); err != nil || got != value {
					t.Errorf("wrote %s=%s through %s, read %q through %s (%v)", name, value, to.ID(), got, from.ID(), err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}

func TestBoundedReads(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	follower := c.Follower()
	n := c.Node(follower)
	mustPropose(t, n, put("a", "1"))
	if got := mustRead(t, n, "a"); got != "1" {
		t.Fatalf("read %q", got)
	}
	proven := time.Now()
	c.Network.Isolate(c.Address(follower), others(c)...)

	// As long as the last proof is recent enough it needs nobody.
	view, err := n.View(within(t, time.Second), cluster.Bounded, time.Hour)
	if err != nil {
		t.Fatalf("a bounded read within its bound: %v", err)
	}
	view.Close()
	c.Await("the proof to be old", func() string {
		if d := time.Since(proven); d < 50*time.Millisecond {
			return d.String()
		}
		return ""
	})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if view, err := n.View(ctx, cluster.Bounded, 20*time.Millisecond); !errors.Is(err, cluster.ErrUnavailable) {
		if err == nil {
			view.Close()
		}
		t.Errorf("a bounded read beyond its bound: %v, want ErrUnavailable", err)
	}
}

func TestReplicatedTime(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	last := uint64(0)
	for i := range 30 {
		n := c.Node(i % 3)
		mustPropose(t, n, put("a", fmt.Sprint(i)))
		view, err := n.View(within(t, 10*time.Second), cluster.Linearizable, 0)
		if err != nil {
			t.Fatal(err)
		}
		at := view.TimeMs
		view.Close()
		if at < last {
			t.Fatalf("replicated time went from %d back to %d", last, at)
		}
		last = at
		if now := n.NowMs(); now < at || now > at+10_000 {
			t.Errorf("%s estimates %d, the state says %d", n.ID(), now, at)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	ctx := cluster.WithRequestID(context.Background(), "r-1")
	if got := cluster.RequestID(ctx); got != "r-1" {
		t.Errorf("got %q", got)
	}
	if got := cluster.RequestID(context.Background()); got != "" {
		t.Errorf("got %q from an empty context", got)
	}
}

func TestInvalidOptionsAreNamed(t *testing.T) {
	t.Parallel()
	good := cluster.Options{ID: "a", Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	for name, change := range map[string]func(*cluster.Options){
		"no id":                     func(o *cluster.Options) { o.ID = "" },
		"no folder":                 func(o *cluster.Options) { o.Dir = "" },
		"no address":                func(o *cluster.Options) { o.Listen = "" },
		"address without a port":    func(o *cluster.Options) { o.Listen = "localhost" },
		"advertises nowhere":        func(o *cluster.Options) { o.Listen = "0.0.0.0:8182" },
		"a lease too long":          func(o *cluster.Options) { o.LeaderLease = time.Hour },
		"a short gossip key":        func(o *cluster.Options) { o.GossipKey = []byte("short") },
		"joins without gossip":      func(o *cluster.Options) { o.Join = []string{"127.0.0.1:1"} },
		"expects others, no gossip": func(o *cluster.Options) { o.BootstrapExpect = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := good
			change(&opts)
			if node, err := cluster.Start(context.Background(), opts, nil); !errors.Is(err, cluster.ErrOptions) {
				t.Errorf("Start gives %v, %v; want ErrOptions", node, err)
			}
		})
	}
}
