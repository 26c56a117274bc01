package cluster_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// BenchmarkCommits commits to tables over a hundred connections, spread over
// three processes on this machine, each commit synced by a majority.
func BenchmarkCommits(b *testing.B) {
	for _, connections := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			c := start(b, cluster.Options{})
			all := c.Client()
			ns := namespace(b, all)
			names := make([]string, connections)
			for i := range names {
				names[i], _ = table(b, all, ns)
			}
			var next atomic.Int64
			b.ResetTimer()
			each(b, connections, func(worker int) error {
				at := c.At(worker % len(c.Nodes))
				for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
					r := client.CommitRequest(at, ns, names[worker], nil, []client.Object{setProperty("n", fmt.Sprint(n))})
					res, err := at.Do(b.Context(), r)
					if err != nil {
						return err
					}
					if res.Status != http.StatusOK {
						return fmt.Errorf("commit: %s", res)
					}
				}
				return nil
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkLoads loads tables over a hundred connections, linearizable, spread
// over three processes on this machine.
func BenchmarkLoads(b *testing.B) {
	c := start(b, cluster.Options{})
	all := c.Client()
	ns := namespace(b, all)
	name, _ := table(b, all, ns)
	commitAppend(b, all, ns, name)
	const connections = 100
	var next atomic.Int64
	b.ResetTimer()
	each(b, connections, func(worker int) error {
		at := c.At(worker % len(c.Nodes))
		for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
			res, err := at.LoadTable(b.Context(), ns, name)
			if err != nil {
				return err
			}
			if res.Status != http.StatusOK {
				return fmt.Errorf("load: %s", res)
			}
		}
		return nil
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "loads/s")
}

func each(b *testing.B, workers int, work func(worker int) error) {
	b.Helper()
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = work(w) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}
