package cluster_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

var failoverFor = flag.Duration("failover", 40*time.Second, "how long the leader is killed again and again")

const (
	killEvery   = 5 * time.Second
	loadWorkers = 8

	// usualGap is what a failover must stay under as a rule; a machine that is
	// busy with something else may lose an election or two, but never longestGap.
	usualGap   = 2 * time.Second
	longestGap = 6 * time.Second
)

// TestLeaderKilledUnderLoad kills the leader every five seconds while clients
// create, drop, append and load through all nodes. A client goes to the next
// node, with the same Idempotency-Key, only where a connection is refused or
// breaks. No request may fail, each table's and each name's history must be
// linearizable, and writes must not pause for two seconds.
func TestLeaderKilledUnderLoad(t *testing.T) {
	c := start(t, cluster.Options{})
	l := newMixedLoad(t, c)

	ctx, cancel := context.WithTimeout(t.Context(), *failoverFor)
	defer cancel()
	var wg sync.WaitGroup
	for w := range loadWorkers {
		wg.Go(func() { l.run(ctx, w) })
	}
	kills, killErr := killLeaders(ctx, t, c)
	wg.Wait()
	if killErr != nil {
		t.Fatal(killErr)
	}
	if err := c.AwaitReady(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	l.judge(kills)
}

// killLeaders kills whichever node leads and starts it again two seconds later,
// until ctx ends; the moments of the kills come back.
func killLeaders(ctx context.Context, t *testing.T, c *cluster.Cluster) (kills []time.Time, err error) {
	timer := time.NewTimer(killEvery / 2)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return kills, nil
		case <-timer.C:
		}
		ready, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		// A second node must not die before the first has come back: a majority
		// that is dead serves nobody, which is not what is tested here.
		err := c.AwaitReady(ready)
		var leader int
		if err == nil {
			leader, err = c.Leader(ready)
		}
		cancel()
		if err != nil {
			return kills, err
		}
		victim := c.Nodes[leader]
		if err := victim.Kill9(); err != nil {
			return kills, err
		}
		kills = append(kills, time.Now())
		t.Logf("killed %s", victim.ID)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
		if err := victim.Start(); err != nil {
			return kills, err
		}
		timer.Reset(killEvery - 2*time.Second)
	}
}

// mixedLoad is the load and what it saw.
type mixedLoad struct {
	t      *testing.T
	c      *client.Client
	dir    string // of the warehouse
	ns     string
	tables []string
	began  time.Time

	mu       sync.Mutex
	history  []porcupine.Operation
	writes   []time.Time // when a write was acknowledged
	failed   []error
	requests int
	slowest  time.Duration
}

func newMixedLoad(t *testing.T, c *cluster.Cluster) *mixedLoad {
	l := &mixedLoad{t: t, c: c.Client(), dir: c.WarehouseDir(), ns: "load", began: time.Now()}
	do(t, l.c, http.StatusOK, client.NamespaceRequest(l.c, nil, l.ns))
	for i := range 4 {
		name := fmt.Sprintf("t%d", i)
		do(t, l.c, http.StatusOK, client.CreateTableRequest(l.c, l.ns, name))
		l.tables = append(l.tables, name)
	}
	return l
}

// run asks until ctx ends: half the worker's operations go to tables that all
// share, half to names that are created and dropped.
func (l *mixedLoad) run(ctx context.Context, worker int) {
	known := map[string]*client.Table{}
	for ctx.Err() == nil {
		// A request under way at the end is let finish: its outcome belongs to the history.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		switch name := l.tables[rand.IntN(len(l.tables))]; rand.IntN(5) {
		case 0, 1:
			l.append(own, worker, name, known)
		case 2:
			known[name] = l.load(own, worker, name)
		case 3:
			l.create(own, worker)
		default:
			l.dropOrLook(own, worker)
		}
		cancel()
	}
}

// event is the input of one operation, as the models read it.
type event struct {
	entity string // "table:…" or "name:…"
	kind   string
	parent int64
	id     int64
}

// outcome is its output.
type outcome struct {
	status  int
	current int64
}

// ask sends one request and records it; an answer that no healthy cluster gives
// is a failed request.
func (l *mixedLoad) ask(ctx context.Context, worker int, in event, r client.Request, allowed ...int) *client.Response {
	began := time.Now()
	res, err := l.c.Do(ctx, r)
	ended := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.slowest = max(l.slowest, ended.Sub(began))
	if err != nil {
		l.failed = append(l.failed, err)
		return nil
	}
	ok := false
	for _, status := range allowed {
		ok = ok || res.Status == status
	}
	if !ok {
		l.failed = append(l.failed, fmt.Errorf("at %s, after %s, %d nodes asked: %s %s (%s): %s", began.Sub(l.began).Round(time.Millisecond), ended.Sub(began).Round(time.Millisecond),
			res.Attempts, r.Method, r.Path, in.kind, res))
		return nil
	}
	out := outcome{status: res.Status}
	if in.kind == "load" {
		table, err := res.Table()
		if err != nil {
			l.failed = append(l.failed, err)
			return nil
		}
		out.current = table.Metadata.Current()
	}
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	if write && res.Status < 300 {
		l.writes = append(l.writes, ended)
	}
	l.history = append(l.history, porcupine.Operation{
		ClientId: worker, Input: in, Output: out,
		Call: began.Sub(l.began).Nanoseconds(), Return: ended.Sub(l.began).Nanoseconds(),
	})
	return res
}

func (l *mixedLoad) load(ctx context.Context, worker int, name string) *client.Table {
	res := l.ask(ctx, worker, event{entity: "table:" + name, kind: "load"}, get(l.c.TablePath(l.ns, name)), http.StatusOK)
	if res == nil {
		return nil
	}
	table, err := res.Table()
	if err != nil {
		return nil // recorded by ask
	}
	return table
}

// append adds a snapshot to the table as this worker last saw it, so that
// conflicts are as common as they are with engines.
func (l *mixedLoad) append(ctx context.Context, worker int, name string, known map[string]*client.Table) {
	table := known[name]
	delete(known, name)
	if table == nil {
		if table = l.load(ctx, worker, name); table == nil {
			return
		}
	}
	id := client.NewSnapshotID()
	requirements, updates := table.Append("main", id)
	// Old snapshots are let go, as maintenance does, so that documents stay small.
	if n := len(table.Metadata.Snapshots); n > 40 {
		var old []int64
		for _, s := range table.Metadata.Snapshots[:n-20] {
			old = append(old, s.ID)
		}
		updates = append(updates, client.Object{"action": "remove-snapshots", "snapshot-ids": old})
	}
	in := event{entity: "table:" + name, kind: "append", parent: table.Metadata.Current(), id: id}
	res := l.ask(ctx, worker, in, client.CommitRequest(l.c, l.ns, name, requirements, updates), http.StatusOK, http.StatusConflict)
	if res != nil && res.Status == http.StatusOK {
		if after, err := res.Table(); err == nil {
			known[name] = after
		}
	}
}

// names that are created and dropped are few, so that workers meet.
func (l *mixedLoad) name() string { return fmt.Sprintf("x%d", rand.IntN(6)) }

func (l *mixedLoad) create(ctx context.Context, worker int) {
	name := l.name()
	l.ask(ctx, worker, event{entity: "name:" + name, kind: "create"}, client.CreateTableRequest(l.c, l.ns, name), http.StatusOK, http.StatusConflict)
}

func (l *mixedLoad) dropOrLook(ctx context.Context, worker int) {
	name := l.name()
	r := client.Request{Method: http.MethodHead, Path: l.c.TablePath(l.ns, name)}
	in := event{entity: "name:" + name, kind: "look"}
	if rand.IntN(2) == 0 {
		r.Method, in.kind = http.MethodDelete, "drop"
	}
	l.ask(ctx, worker, in, r, http.StatusNoContent, http.StatusNotFound)
}

// judge is the verdict over the whole run.
func (l *mixedLoad) judge(kills []time.Time) {
	t := l.t
	for i, err := range l.failed {
		if i == 10 {
			t.Errorf("… %d failed requests in all", len(l.failed))
			break
		}
		t.Errorf("failed request: %v", err)
	}
	gaps := l.gaps(kills)
	t.Logf("%d requests, %d writes, slowest request %s; time without a write after each of %d kills: %v",
		l.requests, len(l.writes), l.slowest.Round(time.Millisecond), len(kills), gaps)
	if len(kills) < 2 {
		t.Fatalf("the leader was killed %d times only", len(kills))
	}
	slices.Sort(gaps)
	if usual, longest := gaps[len(gaps)/2], gaps[len(gaps)-1]; usual >= usualGap || longest >= longestGap {
		t.Errorf("writes paused too long after a kill: usually %s, at most %s", usual, longest)
	}
	l.judgeHistory()
	l.judgeFiles()
}

// gaps are the longest times between one acknowledged write and the next, after
// each kill until the next one.
func (l *mixedLoad) gaps(kills []time.Time) []time.Duration {
	gaps := make([]time.Duration, len(kills))
	for i := 1; i < len(l.writes); i++ {
		kill := -1 // the last one before this write
		for k := range kills {
			if kills[k].Before(l.writes[i]) {
				kill = k
			}
		}
		if kill >= 0 {
			gaps[kill] = max(gaps[kill], l.writes[i].Sub(l.writes[i-1]).Round(time.Millisecond))
		}
	}
	return gaps
}

// judgeHistory asks porcupine whether what clients saw can be put into one order.
func (l *mixedLoad) judgeHistory() {
	result, info := porcupine.CheckOperationsVerbose(catalogModel, l.history, 2*time.Minute)
	if result == porcupine.Ok {
		return
	}
	l.t.Errorf("the history of %d operations is not linearizable: %s; %s", len(l.history), result, draw(info))
}

// draw leaves a picture of the history for whoever looks into the failure.
func draw(info porcupine.LinearizationInfo) string {
	file, err := os.CreateTemp("", "floeberg-history-*.html")
	if err != nil {
		return err.Error()
	}
	if err := errors.Join(porcupine.Visualize(catalogModel, info, file), file.Close()); err != nil {
		return err.Error()
	}
	return "drawn in " + file.Name()
}

// judgeFiles looks for the file of every pointer that the catalog gives out.
func (l *mixedLoad) judgeFiles() {
	for _, name := range l.tables {
		table := load(l.t, l.c, l.ns, name)
		path := strings.TrimPrefix(table.MetadataLocation, "file://")
		if _, err := os.Stat(path); err != nil {
			l.t.Errorf("%s.%s points to %s: %v", l.ns, name, table.MetadataLocation, err)
		}
	}
}

// catalogModel is what one table's pointer and one name are to clients. An
// append lands exactly if the table is where the writer saw it: a conflict that
// is none is a violation too.
var catalogModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range history {
			entity := op.Input.(event).entity
			by[entity] = append(by[entity], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	// The state is the current snapshot, or 1 for a name that exists.
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(int64), input.(event), output.(outcome)
		switch in.kind {
		case "load":
			return out.current == now, now
		case "append":
			if out.status == http.StatusOK {
				return now == in.parent, in.id
			}
			return now != in.parent, now
		case "create":
			if out.status == http.StatusOK {
				return now == 0, int64(1)
			}
			return now == 1, now
		case "drop":
			if out.status == http.StatusNoContent {
				return now == 1, int64(0)
			}
			return now == 0, now
		default: // look
			return (out.status == http.StatusNoContent) == (now == 1), now
		}
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(event), output.(outcome)
		return fmt.Sprintf("%s %s(%d→%d) = %d, %d", in.entity, in.kind, in.parent%1e6, in.id%1e6, out.status, out.current%1e6)
	},
}
