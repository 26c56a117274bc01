package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// pageBound catches what is broken; a page should take less than 10 ms where the
// machine does nothing else, and the log says what it took. A page on a follower
// waits until that has on its disk what was acknowledged before: where very much
// is written, some take as long as a disk's sync.
const pageBound = 50 * time.Millisecond

// TestPagesWhileTablesComeAndGo reads 10,000 tables in pages of 1,000, each page
// from another node, while others are made and dropped: each that stayed is seen
// exactly once.
func TestPagesWhileTablesComeAndGo(t *testing.T) {
	const stay = 10_000
	c := start(t, cluster.Options{})
	all := c.Client()
	ns := namespace(t, all)
	began := time.Now()
	var next atomic.Int64
	var makers sync.WaitGroup
	for range 32 {
		makers.Go(func() {
			for i := next.Add(1); i <= stay; i = next.Add(1) {
				res, err := all.CreateTable(t.Context(), ns, fmt.Sprintf("stay_%05d", i))
				if err != nil || res.Status != http.StatusOK {
					t.Errorf("table %d: %s, %v", i, res, err)
					return
				}
			}
		})
	}
	makers.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d tables made in %s", stay, time.Since(began).Round(time.Millisecond))
	for _, perSecond := range []int{200, 50} {
		began := time.Now()
		stop := comeAndGo(t, all, ns, perSecond)
		var took []time.Duration
		for round := range 30 {
			seen := readPages(t, c, ns, round, &took)
			for i := 1; i <= stay; i++ {
				if name := fmt.Sprintf("stay_%05d", i); seen[name] != 1 {
					t.Fatalf("round %d: %s was seen %d times", round, name, seen[name])
				}
			}
		}
		changes := stop()
		if changes == 0 {
			t.Error("nothing came and went")
		}
		p50, p99 := quantiles(took)
		t.Logf("%d pages of 1,000 of %d tables, %.0f changes a second meanwhile: P50 %s, P99 %s",
			len(took), stay, float64(changes)/time.Since(began).Seconds(), p50, p99)
		if p50 > pageBound {
			t.Errorf("P50 of a page is %s", p50)
		}
	}
}

// comeAndGo has tables made and dropped, so many changes a second, all over the
// listing: before, among and behind those that stay. The returned function ends
// it and tells how many changes there were.
func comeAndGo(t *testing.T, all *client.Client, ns string, perSecond int) (stop func() int64) {
	const workers = 4
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var changes atomic.Int64
	for worker := range workers {
		running.Go(func() {
			tick := time.NewTicker(workers * time.Second / time.Duration(perSecond))
			defer tick.Stop()
			for i := 0; ; i++ {
				name := fmt.Sprintf("%s_%d_%d_%d", []string{"a", "stay_05000", "zzz"}[i%3], perSecond, worker, i)
				for _, r := range []client.Request{
					client.CreateTableRequest(all, ns, name), {Method: http.MethodDelete, Path: all.TablePath(ns, name)},
				} {
					select {
					case <-tick.C:
					case <-ctx.Done():
						return
					}
					if res, err := all.Do(ctx, r); ctx.Err() == nil && (err != nil || res.Status >= 300) {
						t.Errorf("%s %s: %s, %v", r.Method, name, res, err)
						return
					}
					changes.Add(1)
				}
			}
		})
	}
	return func() int64 {
		cancel()
		running.Wait()
		return changes.Load()
	}
}

// readPages reads a listing to its end, each page from another node, and returns
// how often each table was seen.
func readPages(t *testing.T, c *cluster.Cluster, ns string, first int, took *[]time.Duration) (seen map[string]int) {
	t.Helper()
	seen = make(map[string]int)
	for token, page := "", 0; page == 0 || token != ""; page++ {
		at := c.At((first + page) % len(c.Nodes))
		r := get(at.NamespacePath(ns) + "/tables?pageSize=1000&pageToken=" + client.Escape(token))
		began := time.Now()
		res := do(t, at, http.StatusOK, r)
		*took = append(*took, time.Since(began))
		var list struct {
			Identifiers []struct{ Name string }
			Next        string `json:"next-page-token"`
		}
		if err := res.Decode(&list); err != nil {
			t.Fatal(err)
		}
		for _, id := range list.Identifiers {
			seen[id.Name]++
		}
		if token = list.Next; len(list.Identifiers) > 1000 || token != "" && len(list.Identifiers) != 1000 {
			t.Fatalf("a page of %d, next %q", len(list.Identifiers), token)
		}
	}
	return seen
}
