package archive_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/storage"
)

// bases are snapshots that a test says there are.
type bases struct {
	mu             sync.Mutex
	oldest, newest archive.Position
	ok             bool
	requests       []string
}

func (b *bases) Bases(context.Context) (oldest, newest archive.Position, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.oldest, b.newest, b.ok, nil
}

func (b *bases) Request(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, reason)
}

func (b *bases) have(oldest, newest archive.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.oldest, b.newest, b.ok = oldest, newest, true
}

func (b *bases) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// flaky is a store that can be told to fail.
type flaky struct {
	archive.Store
	fails atomic.Bool
}

func (f *flaky) Put(ctx context.Context, location string, body []byte) error {
	if f.fails.Load() {
		return storage.ErrUnavailable
	}
	return f.Store.Put(ctx, location, body)
}

// running keeps the archivers of the nodes that run.
type running struct {
	t       *testing.T
	c       *clustertest.Cluster
	archive *archive.Archive
	bases   *bases

	mu  sync.Mutex
	all map[int]*archive.Archiver
}

func (r *running) start(i int) {
	a, err := archive.StartArchiver(archive.ArchiverOptions{
		Archive: func() (*archive.Archive, error) { return r.archive, nil },
		Log:     r.c.Node(i), Bases: r.bases, LogCut: cluster.ErrLogCut,
		Interval: 10 * time.Millisecond, PruneInterval: 20 * time.Millisecond,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[i] = a
}

func (r *running) stop(i int) {
	r.mu.Lock()
	a := r.all[i]
	delete(r.all, i)
	r.mu.Unlock()
	if a == nil {
		return
	}
	if err := a.Stop(context.Background()); err != nil {
		r.t.Error(err)
	}
}

func run(t *testing.T, c *clustertest.Cluster, to *archive.Archive) *running {
	r := &running{t: t, c: c, archive: to, bases: &bases{}, all: map[int]*archive.Archiver{}}
	for i := range c.Len() {
		r.start(i)
	}
	t.Cleanup(func() {
		for i := range c.Len() {
			r.stop(i)
		}
	})
	return r
}

func (r *running) write(i int, value string) uint64 {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	result, err := r.c.Node(i).Propose(ctx, &command.Transaction{
		Writes: []*command.Write{command.PutValue(state.WarehouseKey("k"), []byte(value))},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return result.Index
}

func (r *running) archived(index uint64) {
	r.t.Helper()
	r.c.Await(fmt.Sprint("entry ", index, " archived"), func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		why := "nobody archives"
		for _, a := range r.all {
			s := a.Status()
			if s.Active && s.Archived >= index {
				return ""
			}
			if s.Active {
				why = fmt.Sprintf("%+v", s)
			}
		}
		return why
	})
}

// Whoever leads archives; what is there in the end is the whole log, each entry as
// it was committed, however often leaders were killed and made to hand over.
func TestLeadersChange(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	c := clustertest.Start(t, clustertest.Options{})
	r := run(t, c, p.Archive)
	r.write(0, "first")
	c.Await("a first snapshot asked for", func() string {
		if len(r.bases.asked()) == 0 {
			return "nobody asks"
		}
		return ""
	})
	r.bases.have(archive.Position{}, archive.Position{})
	const begun = 0
	for round := range 5 {
		leader := c.Leader()
		for i := range 20 {
			r.write((leader+i)%3, fmt.Sprint(round, i))
		}
		if round%2 == 0 {
			r.stop(leader)
			c.KillNode(leader)
			r.write((leader+1)%3, "without it")
			c.StartNode(leader)
			r.start(leader)
			c.WaitReady()
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if err := c.Node(leader).Transfer(ctx, clustertest.ID((leader+1)%3)); err != nil {
				t.Logf("no transfer: %v", err)
			}
			cancel()
		}
	}
	last := r.write(0, "last")
	r.archived(last)
	want, err := c.Node(c.Leader()).Committed(begun+1, 10_000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.after(t, begun, 0)
	if len(got) > len(want) {
		got = got[:len(want)]
	}
	want = want[:len(got)]
	if len(got) == 0 || got[len(got)-1].Index < last {
		t.Fatalf("%d entries are archived, of up to %d", len(got), last)
	}
	same(t, "the log", want, got, err)

	// What is archived gives the state of an index.
	m, err := fsm.Open(fsm.Options{Dir: t.TempDir(), Halt: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	whole, err := c.Node(c.Leader()).Committed(1, 10_000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Replay(whole[:begun]); err != nil {
		t.Fatal(err)
	}
	if err := m.Replay(got); err != nil {
		t.Fatal(err)
	}
	own, at := m.Checksum()
	c.Await("the state of the last entry", func() string {
		// The cluster may have gone on by itself meanwhile.
		if sum, _, ok := c.Machine(c.Leader()).ChecksumAt(at); !ok || own != sum {
			return fmt.Sprintf("%x (%v) at %d, replayed %x", sum, ok, at, own)
		}
		return ""
	})

	// Segments go as the oldest snapshot moves on.
	r.bases.have(archive.Position{Index: last}, archive.Position{Index: last})
	c.Await("old segments gone", func() string {
		list, err := p.List(t.Context())
		if err != nil || len(list) > 0 && list[0].Last <= last {
			return fmt.Sprint(len(list), " segments, ", err)
		}
		return ""
	})
}

// A store that fails holds up nothing and is tried again; what was cut off the
// log meanwhile is a gap that is seen, and a snapshot closes it.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	store := &flaky{Store: fileStore(t, p)}
	to := over(t, store, "file://"+parent(p), nil)
	c := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) {
		o.GossipListen, o.TrailingLogs = "", 5
	}})
	r := run(t, c, to)
	r.bases.have(archive.Position{}, archive.Position{})
	r.archived(r.write(0, "before"))

	store.fails.Store(true)
	var last uint64
	for i := range 30 {
		last = r.write(0, fmt.Sprint(i))
	}
	status := func() archive.Status {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.all[0].Status()
	}
	c.Await("the failure in the status", func() string {
		if s := status(); s.Failures == 0 || !errors.Is(s.LastError, storage.ErrUnavailable) || s.Pending == 0 {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	store.fails.Store(false)
	r.archived(last)
	c.Await("no failure any more", func() string {
		if s := status(); s.Failures != 0 || s.Gap != nil {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})

	store.fails.Store(true)
	from := last + 1
	for i := range 30 {
		last = r.write(0, fmt.Sprint("again ", i))
	}
	if err := c.Node(0).Snapshot(); err != nil {
		t.Fatal(err)
	}
	// What an attempt had read before the log was cut, it may still write: this one
	// begins after that.
	if err := r.all[0].Flush(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("with a store that fails: %v", err)
	}
	store.fails.Store(false)
	r.archived(last)
	c.Await("the gap and a request for a snapshot", func() string {
		if s := status(); s.Gap == nil || len(r.bases.asked()) == 0 {
			return fmt.Sprintf("%+v, %q", s, r.bases.asked())
		}
		return ""
	})
	gap := *status().Gap
	if gap.From > from || gap.To < from || gap.To >= last {
		t.Errorf("gap %+v, written were %d to %d", gap, from, last)
	}
	if _, err := p.after(t, 0, 0); err != nil && !errors.Is(err, archive.ErrGap) {
		t.Error(err)
	}
	// A node that begins to archive now sees it too.
	r.stop(0)
	r.start(0)
	c.Await("the same gap", func() string {
		if s := status(); s.Gap == nil || cmp.Diff(gap, *s.Gap) != "" {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	r.bases.have(archive.Position{}, archive.Position{Index: last})
	c.Await("the gap closed", func() string {
		if s := status(); s.Gap != nil {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
}
