package backup_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/backup"
)

// crew is the keepers of some nodes over one state and one store.
type crew struct {
	*site
	keepers map[string]*backup.Keeper
	offset  atomic.Int64 // of their clock from the real one
	scratch string

	mu     sync.Mutex
	leader string
	gone   map[string]bool

	uploaded, failed atomic.Int64
	room             atomic.Int64
}

func newCrew(t testing.TB, nodes ...string) *crew {
	t.Helper()
	c := &crew{site: newSite(t), keepers: map[string]*backup.Keeper{}, gone: map[string]bool{}, scratch: t.TempDir()}
	c.room.Store(1 << 40)
	for _, node := range nodes {
		c.start(node)
	}
	return c
}

func (c *crew) start(node string) {
	c.t.Helper()
	k, err := backup.StartKeeper(backup.KeeperOptions{
		Store: c.store, Root: c.root,
		ClusterID: func() string { return clusterID },
		Source:    c.log.Machine(),
		Revision: func() (uint64, error) {
			f, err := c.log.Machine().Metrics()
			return f.Revision, err
		},
		About:     func() backup.About { return backup.About{Node: node, Version: "1"} },
		Leading:   func() bool { return c.LeaderID() == node },
		Peers:     c,
		Now:       func() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) },
		Interval:  time.Hour,
		Retention: backup.Retention{Keep: 5},
		Scratch:   c.scratch,
		Room:      func() (int64, error) { return c.room.Load(), nil },
		Logger:    slog.New(slog.DiscardHandler),
		Observer: backup.Observer{
			Uploaded:     func(time.Duration, int64) { c.uploaded.Add(1) },
			UploadFailed: func() { c.failed.Add(1) },
		},
		LookEvery: time.Millisecond, RetryAfter: time.Millisecond,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.keepers[node] = k
	c.t.Cleanup(func() {
		if err := k.Stop(context.Background()); err != nil {
			c.t.Error(err)
		}
	})
}

// LeaderID implements backup.Peers.
func (c *crew) LeaderID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

// Ask implements backup.Peers.
func (c *crew) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	c.mu.Lock()
	gone := c.gone[node]
	c.mu.Unlock()
	k := c.keepers[node]
	switch {
	case k == nil:
		return nil, backup.ErrNoNode
	case gone:
		return nil, errors.New("no answer")
	}
	return k.Answer(ctx, question)
}

func (c *crew) elect(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = node
}

func (c *crew) lose(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[node] = true
}

func (c *crew) pass(d time.Duration) { c.offset.Add(int64(d)) }

// list is the snapshots in the store, the newest first.
func (c *crew) list() []*backup.Manifest {
	c.t.Helper()
	l, err := c.vault().List(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return l.Snapshots
}

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// looks lets keepers look at what is to be done for a while.
func looks() { time.Sleep(30 * time.Millisecond) }

func TestLeaderWritesEachInterval(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a", "b")
	looks()
	if n := len(c.list()); n != 0 {
		t.Fatalf("%d snapshots without a leader", n)
	}
	c.elect("a")
	await(t, "the first snapshot", func() bool { return len(c.list()) == 1 })
	c.grow(1)
	looks()
	// A successor goes by what is there, and not by when it came to office.
	c.elect("b")
	looks()
	if n := len(c.list()); n != 1 {
		t.Fatalf("%d snapshots within the interval", n)
	}
	c.pass(time.Hour)
	await(t, "the second snapshot", func() bool { return len(c.list()) == 2 })
	newest := c.list()[0]
	if newest.Node != "b" {
		t.Errorf("%s wrote it, b leads", newest.Node)
	}
	// Where nothing has changed there is nothing to write, and nothing gets old.
	c.pass(48 * time.Hour)
	looks()
	if n := len(c.list()); n != 2 {
		t.Fatalf("%d snapshots, and nothing has changed", n)
	}
	// It is in the store a moment before its writer knows that all is well.
	var s backup.Status
	await(t, "the status", func() bool {
		s = c.keepers["b"].Status()
		return s.Newest != nil && s.Newest.ID == newest.ID
	})
	if s.AgeSeconds == nil || *s.AgeSeconds != 0 || len(s.Warnings) != 0 {
		t.Errorf("status %+v", s)
	}
	c.grow(1)
	await(t, "the third snapshot", func() bool { return len(c.list()) == 3 })
	await(t, "all of them to be told", func() bool { return c.uploaded.Load() == 3 })
	if c.failed.Load() != 0 {
		t.Errorf("%d failed", c.failed.Load())
	}
}

func TestStoreAwayAndBack(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a", "b")
	c.elect("a")
	await(t, "the first snapshot", func() bool { return len(c.list()) == 1 })
	first := c.list()[0]
	await(t, "the status", func() bool { return c.keepers["a"].Status().AgeSeconds != nil })
	c.store.set(func(f *faultyStore) { f.down = true })
	c.grow(1)
	c.pass(2 * time.Hour)
	await(t, "three failures", func() bool { return c.failed.Load() >= 3 })
	s := c.keepers["a"].Status()
	if s.Failures == 0 || s.LastError == nil || *s.AgeSeconds < 7000 || s.Newest.ID != first.ID {
		t.Errorf("status %+v", s)
	}
	warned := strings.Join(s.Warnings, "; ")
	for _, want := range []string{"snapshots can't be written", "the test says so", "h0m"} {
		if !strings.Contains(warned, want) {
			t.Errorf("warnings %q say nothing of %q", warned, want)
		}
	}
	if hints := strings.Join(s.Hints, "; "); hints == "" || strings.Contains(hints, c.root) || strings.Contains(hints, "the test says") {
		t.Errorf("hints %q", hints)
	}
	// Whichever node is asked, it tells what the leader knows.
	if got := c.keepers["b"].ClusterStatus(t.Context()); got.Failures == 0 || len(got.Warnings) == 0 {
		t.Errorf("from another node: %+v", got)
	}
	// A job of an operator's fails with what the store says.
	op, err := c.keepers["b"].Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if end := c.end("b", op.ID); end.Status != backup.StatusFailed || end.Error == nil || !strings.Contains(*end.Error, "the test says so") {
		t.Errorf("ended as %+v", end)
	}

	c.store.set(func(f *faultyStore) { f.down = false })
	await(t, "the second snapshot", func() bool { return len(c.list()) == 2 })
	await(t, "an end of warnings", func() bool { return len(c.keepers["a"].Status().Warnings) == 0 })
	if s := c.keepers["a"].Status(); s.Failures != 0 || s.LastError != nil {
		t.Errorf("status %+v", s)
	}
	for _, name := range c.files() {
		if strings.HasPrefix(name, ".") {
			t.Errorf("a leftover: %s", name)
		}
	}
}

// end waits for the end of an operation, as seen by a node.
func (c *crew) end(node, id string) *backup.Operation {
	c.t.Helper()
	var op *backup.Operation
	await(c.t, "the end of "+id, func() bool {
		var err error
		if op, err = c.keepers[node].Operation(c.t.Context(), id); err != nil {
			c.t.Fatal(err)
		}
		return op.FinishedAt != nil
	})
	return op
}

func TestOperations(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a", "b")
	if _, err := c.keepers["b"].Create(t.Context(), ""); !errors.Is(err, backup.ErrNotNow) {
		t.Fatalf("without a leader: %v", err)
	}
	c.elect("a")
	await(t, "the first snapshot", func() bool { return len(c.list()) == 1 })
	c.grow(3)
	op, err := c.keepers["b"].Create(t.Context(), "key1")
	if err != nil {
		t.Fatal(err)
	}
	made := c.end("b", op.ID)
	if made.Status != backup.StatusDone || made.Manifest == nil || made.Manifest.Node != "a" || made.Backup != c.list()[0].ID {
		t.Fatalf("ended as %+v", made)
	}
	again, err := c.keepers["b"].Create(t.Context(), "key1")
	if err != nil || again.ID != op.ID || len(c.list()) != 2 {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	if _, err := c.keepers["a"].Verify(t.Context(), backup.NewestID, "key1"); !errors.Is(err, backup.ErrKeyReused) {
		t.Errorf("its key for something else: %v", err)
	}

	op, err = c.keepers["b"].Verify(t.Context(), backup.NewestID, "")
	if err != nil {
		t.Fatal(err)
	}
	tried := c.end("a", op.ID)
	if tried.Status != backup.StatusDone || tried.Node != "b" || tried.Backup != made.Backup || tried.StateChecksum != made.Manifest.StateChecksum {
		t.Errorf("ended as %+v", tried)
	}
	c.room.Store(100 << 20)
	if op, err = c.keepers["b"].Verify(t.Context(), made.Backup, ""); err != nil {
		t.Fatal(err)
	}
	if tried = c.end("b", op.ID); tried.Status != backup.StatusFailed || tried.Error == nil || !strings.Contains(*tried.Error, "100 MB free") {
		t.Errorf("without room: %+v", tried)
	}
	c.room.Store(1 << 40)
	c.damage(made.Manifest.Object, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	if op, err = c.keepers["b"].Verify(t.Context(), made.Backup, ""); err != nil {
		t.Fatal(err)
	}
	if tried = c.end("b", op.ID); tried.Status != backup.StatusFailed || tried.Error == nil {
		t.Errorf("of a flipped byte: %+v", tried)
	}
	if _, err := c.keepers["b"].Verify(t.Context(), "nothing", ""); !errors.Is(err, backup.ErrNoSnapshot) {
		t.Errorf("of nothing: %v", err)
	}

	for id, want := range map[string]error{"": backup.ErrNoOperation, "x": backup.ErrNoOperation, "x@a": backup.ErrNoOperation, "x@nobody": backup.ErrNoOperation} {
		if _, err := c.keepers["b"].Operation(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("operation %q: %v, want %v", id, err, want)
		}
	}
	c.lose("a")
	if _, err := c.keepers["b"].Operation(t.Context(), made.ID); !errors.Is(err, backup.ErrNotNow) {
		t.Errorf("of a node that is gone: %v", err)
	}
	if s := c.keepers["b"].ClusterStatus(t.Context()); s.Store == "" {
		t.Errorf("status %+v", s)
	}
}

// Requests that come while one is under way share the next one, which holds what
// all of them have seen acknowledged.
func TestRequestsShareTheNext(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a")
	hold := make(chan struct{})
	c.store.set(func(f *faultyStore) { f.during = func() { <-hold } })
	c.elect("a")
	await(t, "the first upload", func() bool { return c.keepers["a"].Status().Writing })
	c.grow(1)
	ids := map[string]bool{}
	for range 5 {
		op, err := c.keepers["a"].Create(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		ids[op.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d operations for five requests that wait", len(ids))
	}
	c.store.set(func(f *faultyStore) { f.during = nil })
	close(hold)
	for id := range ids {
		end := c.end("a", id)
		if _, index := c.log.Machine().Checksum(); end.Manifest == nil || end.Manifest.Index != index {
			t.Errorf("ended as %+v, the state is at %d", end, index)
		}
	}
}

// A node that is stopped in an upload ends at once and leaves no snapshot.
func TestStopInAnUpload(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a")
	begun := make(chan struct{})
	c.store.set(func(f *faultyStore) { f.during = sync.OnceFunc(func() { close(begun) }) })
	c.elect("a")
	<-begun
	if err := c.keepers["a"].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := c.list()
	for _, name := range c.files() {
		if len(whole) == 0 || !strings.HasPrefix(name, whole[0].ID) {
			t.Errorf("left in the store: %s", name)
		}
	}
	if c.failed.Load() != 0 {
		t.Error("it was counted as a failure")
	}
	if _, err := c.keepers["a"].Create(t.Context(), ""); !errors.Is(err, backup.ErrNotNow) {
		t.Errorf("Create after the stop: %v", err)
	}
}

// A failure of a node that leads no more is over when another has written one.
func TestFailureEndsWithAnothersSuccess(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a")
	c.store.set(func(f *faultyStore) { f.noManifest = true })
	c.elect("a")
	await(t, "a failure", func() bool { return c.failed.Load() > 0 })
	c.elect("")
	c.store.set(func(f *faultyStore) { f.noManifest = false })
	m := c.create(c.vault())
	// It looks again when it leads again, at the latest.
	c.elect("a")
	await(t, "an end of warnings", func() bool { return len(c.keepers["a"].Status().Warnings) == 0 })
	if !slices.ContainsFunc(c.list(), func(o *backup.Manifest) bool { return o.ID == m.ID }) {
		t.Error("it is gone")
	}
}

func TestQuestionsOfOtherPrograms(t *testing.T) {
	t.Parallel()
	c := newCrew(t, "a")
	for _, question := range []string{"", "{", `{"do":"fly"}`, `[]`} {
		if answer, err := c.keepers["a"].Answer(t.Context(), []byte(question)); err == nil {
			t.Errorf("%q was answered with %s", question, answer)
		}
	}
	answer, err := c.keepers["a"].Answer(t.Context(), []byte(`{"do":"status","new":1}`))
	if err != nil || !strings.Contains(string(answer), `"store"`) {
		t.Errorf("%s %v", answer, err)
	}
}

func TestKeeperOptions(t *testing.T) {
	t.Parallel()
	if _, err := backup.StartKeeper(backup.KeeperOptions{}); err == nil {
		t.Error("a keeper of nothing was started")
	}
	for _, o := range []backup.Options{{}, {Root: "file:///x", ClusterID: "x"}, {Store: &faultyStore{}, Root: "file:///x"}, {Store: &faultyStore{}, ClusterID: "x"}} {
		if _, err := backup.Open(o); err == nil {
			t.Errorf("%+v was opened", o)
		}
	}
}

// Long work rests: what was made with pauses is the same.
func TestPaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.vault(func(o *backup.Options) { o.Hurry = false })
	var phases []backup.Phase
	m, err := v.Create(t.Context(), s.log.Machine(), about, func(phase backup.Phase, done, total int64) {
		if len(phases) == 0 || phases[len(phases)-1] != phase {
			phases = append(phases, phase)
		}
		if total > 0 && done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]backup.Phase{backup.PhaseWriting, backup.PhaseChecking}, phases); diff != "" {
		t.Errorf("phases (-want +got)\n%s", diff)
	}
	if _, err := v.Verify(t.Context(), m, t.TempDir(), nil); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Create(ctx, s.log.Machine(), about, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
