package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

func percentiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(p int) float64 { return float64(took[(len(took)-1)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(95), "p95-ms")
	b.ReportMetric(at(99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPropose is proposals per second, three nodes on one disk, real syncs.
func BenchmarkPropose(b *testing.B) {
	c := clustertest.Start(b, clustertest.Options{})
	for _, via := range []string{"leader", "follower"} {
		for _, clients := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("%s/%d", via, clients), func(b *testing.B) {
				n := c.Node(c.Leader())
				if via == "follower" {
					n = c.Node(c.Follower())
				}
				var mu sync.Mutex
				var took []time.Duration
				var next atomic.Int64
				b.ResetTimer()
				start := time.Now()
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						for {
							i := next.Add(1)
							if i > int64(b.N) {
								return
							}
							began := time.Now()
							if _, err := n.Propose(context.Background(), put(fmt.Sprintf("k%d", i%1000), "0123456789012345678901234567890123456789")); err != nil {
								b.Error(err)
								return
							}
							d := time.Since(began)
							mu.Lock()
							took = append(took, d)
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "proposals/s")
				percentiles(b, took)
			})
		}
	}
}

// BenchmarkReadIndex is a linearizable view on a follower of an idle cluster.
func BenchmarkReadIndex(b *testing.B) {
	c := clustertest.Start(b, clustertest.Options{})
	n := c.Node(c.Follower())
	for _, clients := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			var mu sync.Mutex
			var took []time.Duration
			var next atomic.Int64
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						began := time.Now()
						view, err := n.View(context.Background(), cluster.Linearizable, 0)
						if err != nil {
							b.Error(err)
							return
						}
						view.Close()
						d := time.Since(began)
						mu.Lock()
						took = append(took, d)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "reads/s")
			percentiles(b, took)
		})
	}
}

// BenchmarkReadAfterWrite is how long a linearizable read on one follower takes
// right after an isolated write through the other one.
func BenchmarkReadAfterWrite(b *testing.B) {
	for _, commit := range []time.Duration{0, 5 * time.Millisecond} {
		b.Run(fmt.Sprintf("commit-timeout=%v", commit), func(b *testing.B) {
			c := clustertest.Start(b, clustertest.Options{Adjust: func(_ int, o *cluster.Options) { o.CommitTimeout = commit }})
			leader := c.Leader()
			writer, reader := c.Node((leader+1)%3), c.Node((leader+2)%3)
			var took []time.Duration
			b.ResetTimer()
			for i := range b.N {
				if _, err := writer.Propose(context.Background(), put("a", fmt.Sprint(i))); err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				view, err := reader.View(context.Background(), cluster.Linearizable, 0)
				if err != nil {
					b.Fatal(err)
				}
				view.Close()
				took = append(took, time.Since(began))
				time.Sleep(10 * time.Millisecond) // isolated: nothing is under way
			}
			percentiles(b, took)
		})
	}
}

// BenchmarkIdle is the processor time of three idle nodes, in percent of a core.
func BenchmarkIdle(b *testing.B) {
	for _, commit := range []time.Duration{0, 5 * time.Millisecond} {
		b.Run(fmt.Sprintf("commit-timeout=%v", commit), func(b *testing.B) {
			clustertest.Start(b, clustertest.Options{Adjust: func(_ int, o *cluster.Options) { o.CommitTimeout = commit }})
			used := func() time.Duration {
				var u syscall.Rusage
				if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
					b.Fatal(err)
				}
				return time.Duration(u.Utime.Nano() + u.Stime.Nano())
			}
			time.Sleep(time.Second)
			before, start := used(), time.Now()
			time.Sleep(5 * time.Second)
			b.ReportMetric(100*float64(used()-before)/float64(time.Since(start)), "%core")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkFailover is from the death of a leader to the first write.
func BenchmarkFailover(b *testing.B) {
	c := clustertest.Start(b, clustertest.Options{})
	var took []time.Duration
	for i := range b.N {
		leader := c.Leader()
		writer := c.Node((leader + 1) % 3)
		start := time.Now()
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			c.KillNode(leader)
		}()
		for c.Running(leader) {
			time.Sleep(100 * time.Microsecond)
		}
		mustPropose(b, writer, put("a", fmt.Sprint(i)))
		took = append(took, time.Since(start))
		<-killed
		c.StartNode(leader)
		c.WaitReady()
	}
	percentiles(b, took)
}
