// Package faults holds what must stay true while processes, networks, disks and
// clocks fail: real processes, a load through all nodes, a fault, and then the
// same verdict for all.
//
// The tests are part of `make test`, bounded; flags make each of them longer.
package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

// workers is how many clients a load has: enough to have always something under
// way at each node.
const workers = 8

// start is a cluster of the test's own, under a load that has not begun.
func start(t *testing.T, co cluster.Options, lo load.Options) (*cluster.Cluster, *load.Load) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := cluster.Start(t, co)
	l, err := load.New(within(t, time.Minute), c.Client(), lo)
	if err != nil {
		t.Fatal(err)
	}
	return c, l
}

// within is a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// must ends the test at an error that is none of what is tested.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// every is the node at each place of a cluster.
func every(c *cluster.Cluster) []int {
	all := make([]int, len(c.Nodes))
	for i := range all {
		all[i] = i
	}
	return all
}

// others are the places of all nodes but one.
func others(c *cluster.Cluster, but int) []int {
	var list []int
	for _, i := range every(c) {
		if i != but {
			list = append(list, i)
		}
	}
	return list
}

// rest waits for a part of a test to pass, or for the test to end.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// expectation is what a load may meet.
type expectation int

const (
	// noFailure is that every request is answered as if nothing happened.
	noFailure expectation = iota
	// trouble is that requests may be refused or be left open, in words that
	// clients can act on.
	trouble
)

// judge is the verdict when all is over, all nodes run and all workers ended:
// answers were right, one order explains them, what was acknowledged is there,
// all nodes have the same, and the files are where the catalog says.
func judge(t *testing.T, c *cluster.Cluster, l *load.Load, expect expectation) {
	t.Helper()
	must(t, c.AwaitReady(within(t, time.Minute)))
	if _, err := l.Last(within(t, time.Minute), c.Client()); err != nil {
		t.Error(err)
	}
	report := l.Report()
	t.Log(report)
	complain(t, "wrong answer", report.Wrong)
	if expect == noFailure {
		complain(t, "failed request", report.Failed)
	}
	if report.Codes["200"] == 0 {
		t.Error("nothing was done")
	}
	began := time.Now()
	if err := l.History.Check(2 * time.Minute); err != nil {
		t.Error(err)
	}
	t.Logf("judged %d operations in %s", l.History.Len(), time.Since(began).Round(time.Millisecond))
	if err := c.Verify(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	judgeFiles(t, c, l)
}

func complain(t *testing.T, what string, errs []error) {
	t.Helper()
	for i, err := range errs {
		if i == 10 {
			t.Errorf("… %d times in all: %s", len(errs), what)
			return
		}
		t.Errorf("%s: %v", what, err)
	}
}

// judgeFiles looks for the file of every table's pointer.
func judgeFiles(t *testing.T, c *cluster.Cluster, l *load.Load) {
	t.Helper()
	ctx := within(t, time.Minute)
	store, err := c.Store()
	must(t, err)
	defer store.Close()
	paths, err := c.Tables(ctx, l.Namespace())
	must(t, err)
	for _, path := range paths {
		res, err := c.Client().Do(ctx, client.Request{Method: http.MethodGet, Path: path})
		must(t, err)
		table, err := res.Table()
		must(t, err)
		if found, err := store.Exists(ctx, table.MetadataLocation); err != nil || !found {
			t.Errorf("%s points to %s: it is there: %v, %v", path, table.MetadataLocation, found, err)
		}
	}
}

// unexpected is an answer of a probe that is not yet the one waited for.
func unexpected(status int, body string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%d %s", status, strings.TrimSpace(body))
}
