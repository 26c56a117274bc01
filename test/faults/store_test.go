package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
	"github.com/floeberg/floeberg/test/s3server"
	"github.com/floeberg/floeberg/test/storeproxy"
)

// storeBadFor is how long an object store is bad: as long as several commits, and
// less than a request is let wait.
const storeBadFor = 2 * time.Second

// puts are the requests that write objects.
var puts = []string{http.MethodPut}

// behindProxy is an S3 store with a bucket, as nodes reach it through a proxy.
func behindProxy(t *testing.T, bucket string) (*storeproxy.Proxy, *cluster.S3) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	server := s3server.Start(t)
	server.CreateBucket(t, bucket)
	p := storeproxy.Start(t, server.Endpoint)
	return p, &cluster.S3{Endpoint: p.Endpoint, Region: server.Region, AccessKey: server.AccessKey, SecretKey: server.SecretKey}
}

// TestWarehouseStore makes the warehouse's object store bad in one way after the
// other, under load through all nodes. A commit that can't write its file was never
// proposed, and says so; all else goes on.
func TestWarehouseStore(t *testing.T) {
	p, s3 := behindProxy(t, "lake")
	c := cluster.Start(t, cluster.Options{Warehouse: "s3://lake/warehouse", S3: s3})
	for _, bad := range []struct {
		name   string
		faults []storeproxy.Fault
		down   bool
		// hidden is that nobody may notice but by the time it takes.
		hidden bool
	}{
		{name: "dead", down: true},
		{name: "connections_break", faults: []storeproxy.Fault{{Reset: true}}},
		{name: "slow", faults: []storeproxy.Fault{{Delay: 500 * time.Millisecond}}, hidden: true},
		{name: "fails", faults: []storeproxy.Fault{{Status: http.StatusInternalServerError}}},
		{name: "is_busy_now_and_then", faults: []storeproxy.Fault{{Status: http.StatusServiceUnavailable, Every: 3}}},
		// Before the next attempt at it, and after it.
		{name: "writes_without_an_answer", faults: []storeproxy.Fault{{Methods: puts, Lands: time.Second}}, hidden: true},
		{name: "writes_long_after_it_was_asked", faults: []storeproxy.Fault{{Methods: puts, Lands: 8 * time.Second}}, hidden: true},
	} {
		t.Run(bad.name, func(t *testing.T) {
			l, err := load.New(within(t, time.Minute), c.Client(), load.Options{Namespace: bad.name})
			must(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for _, i := range every(c) {
				l.Go(ctx, c.At(i), workers/2)
			}
			must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
			before, metBefore := l.Report(), p.Met()
			began := time.Now()
			p.Set(bad.faults...)
			if bad.down {
				p.Down()
			}
			goesOn(ctx, t, c, storeBadFor)
			if bad.down {
				p.Up(t)
			}
			p.Set()
			healed := time.Now()
			must(t, l.AwaitWrites(within(t, time.Minute), healed))
			cancel()
			l.Wait()
			p.Settle()
			report := l.Report()
			t.Logf("%d requests met it; longest time without a write %s", p.Met()-metBefore, l.LongestGap(began, healed))
			for code, n := range report.Codes {
				// Nothing was proposed, so no outcome can be open.
				if strings.HasPrefix(code, "500") {
					t.Errorf("%d times %s", n-before.Codes[code], code)
				}
			}
			expect := trouble
			if bad.hidden {
				expect = noFailure
			}
			judge(t, c, l, expect)
		})
	}
}

// goesOn makes namespaces through all nodes for a while, which needs the log and no
// object store.
func goesOn(ctx context.Context, t *testing.T, c *cluster.Cluster, d time.Duration) {
	t.Helper()
	all := c.Client()
	var made int
	var slowest time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); made++ {
		asked := time.Now()
		res, err := all.CreateNamespace(within(t, 30*time.Second), nil, fmt.Sprintf("goes_on_%d", asked.UnixNano()))
		if err != nil || res.Status != http.StatusOK {
			t.Fatalf("the log does not go on: %v %v", res, err)
		}
		slowest = max(slowest, time.Since(asked))
		rest(ctx, 10*time.Millisecond)
	}
	t.Logf("%d changes meanwhile that need no object store, the slowest took %s", made, slowest.Round(time.Millisecond))
}

// snapshots are what is read of the list of snapshots, newest first.
type snapshots struct {
	Backups []struct {
		ID    string
		Index uint64
	}
	Damaged []struct{ ID, Problem string }
}

func listSnapshots(ctx context.Context, c *client.Client) (snapshots, error) {
	var list snapshots
	res, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: "/management/v1/backups"})
	if err == nil && res.Status != http.StatusOK {
		err = errors.New(res.String())
	}
	if err != nil {
		return list, err
	}
	return list, res.Decode(&list)
}

// awaitSnapshot waits for a whole one that is newer than an index.
func awaitSnapshot(t *testing.T, c *client.Client, after uint64) uint64 {
	t.Helper()
	var newest uint64
	must(t, cluster.Await(within(t, time.Minute), fmt.Sprintf("a snapshot after index %d", after), func(ctx context.Context) error {
		list, err := listSnapshots(ctx, c)
		switch {
		case err != nil:
			return err
		case len(list.Damaged) > 0:
			t.Errorf("damaged: %+v", list.Damaged)
		case len(list.Backups) == 0 || list.Backups[0].Index <= after:
			return fmt.Errorf("there are %+v", list)
		}
		newest = list.Backups[0].Index
		return nil
	}))
	return newest
}

// TestSnapshotStore makes the store of the snapshots bad, while one is written every
// second. Nothing but snapshots is late; those that fail are counted and told of,
// and with the store they are back by themselves.
func TestSnapshotStore(t *testing.T) {
	p, s3 := behindProxy(t, "vault")
	c, l := start(t, cluster.Options{S3: s3, Args: []string{
		"--snapshot-store", "s3://vault/floeberg", "--snapshot-upload-interval", "1s", "--snapshot-keep", "3",
	}}, load.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), workers/2)
	index := awaitSnapshot(t, c.Client(), 0)
	for _, bad := range []struct {
		name   string
		faults []storeproxy.Fault
		told   bool // there must be failures
	}{
		{"slow", []storeproxy.Fault{{Delay: 500 * time.Millisecond}}, false},
		{"fails", []storeproxy.Fault{{Status: http.StatusInternalServerError}}, true},
		{"writes without an answer", []storeproxy.Fault{{Methods: puts, Lands: time.Second}}, false},
	} {
		t.Log(bad.name)
		leader := c.Nodes[c.MustLeader(t)]
		before, err := leader.Metrics(t.Context())
		must(t, err)
		began := time.Now()
		p.Set(bad.faults...)
		if bad.told {
			must(t, cluster.Await(within(t, time.Minute), "failures to be told", func(ctx context.Context) error {
				now, err := leader.Metrics(ctx)
				if err != nil {
					return err
				}
				status, body, err := leader.Get(ctx, "/ready")
				const failures = "floeberg_snapshot_upload_failures_total"
				if err == nil && status == http.StatusOK && strings.Contains(body, "snapshots can't be written") && now[failures] > before[failures] {
					return nil
				}
				return unexpected(status, body, err)
			}))
		} else {
			rest(ctx, storeBadFor)
		}
		must(t, l.AwaitWrites(within(t, time.Minute), began))
		p.Set()
		healed := time.Now()
		index = awaitSnapshot(t, c.Client(), index)
		t.Logf("longest time without a write %s; a snapshot %s after it was good again", l.LongestGap(began, healed), time.Since(healed).Round(time.Millisecond))
		must(t, cluster.Await(within(t, time.Minute), "all to be well", func(ctx context.Context) error {
			status, body, err := leader.Get(ctx, "/ready")
			if err == nil && status == http.StatusOK && !strings.Contains(body, "can't be written") {
				return nil
			}
			return unexpected(status, body, err)
		}))
	}
	cancel()
	l.Wait()
	p.Settle()
	list, err := listSnapshots(within(t, time.Minute), c.Client())
	must(t, err)
	if len(list.Damaged) > 0 || len(list.Backups) == 0 {
		t.Errorf("in the end there are %+v", list)
	}
	judge(t, c, l, noFailure)
}
