package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/internal/storage"
)

// weather is a store whose calls go to hooks where they are set.
type weather struct {
	Store
	once         sync.Once
	put          func(ctx context.Context, location string, body []byte) error
	remove       func(ctx context.Context, location string) error
	ensureFolder func(location string)
	exists       func() (bool, error)
	get          func(ctx context.Context) ([]byte, error)
}

func (w *weather) Get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	if w.get != nil {
		return w.get(ctx)
	}
	return w.Store.Get(ctx, location, maxBytes)
}

func (w *weather) Exists(ctx context.Context, location string) (bool, error) {
	if w.exists != nil {
		return w.exists()
	}
	return w.Store.Exists(ctx, location)
}

func (w *weather) Put(ctx context.Context, location string, body []byte) error {
	if w.put != nil {
		return w.put(ctx, location, body)
	}
	return w.Store.Put(ctx, location, body)
}

func (w *weather) Delete(ctx context.Context, location string) error {
	if w.remove != nil {
		return w.remove(ctx, location)
	}
	return w.Store.Delete(ctx, location)
}

func (w *weather) EnsureFolder(ctx context.Context, location string) error {
	if w.ensureFolder != nil {
		w.ensureFolder(location)
	}
	return w.Store.EnsureFolder(ctx, location)
}

func under(w *weather) func(*Options) {
	return func(o *Options) {
		below := o.Stores
		o.Stores = func(ctx context.Context, warehouse string) (Store, error) {
			store, err := below(ctx, warehouse)
			w.once.Do(func() { w.Store = store })
			return w, err
		}
	}
}

// soon fails the test where f takes longer than anything that needs no object
// store can take.
func soon(t *testing.T, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: still waiting after 10 s", what)
	}
}

func TestDeadStoreDelaysOnlyWhatNeedsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := ident("ns", "t")
	mustNamespace(t, s.node(), "ns")
	mustTable(t, s.node(), "ns", "t")
	writing, back := make(chan struct{}, 1), make(chan struct{})
	w := &weather{}
	w.put = func(ctx context.Context, location string, body []byte) error {
		writing <- struct{}{}
		<-back
		return w.Store.Put(ctx, location, body)
	}
	c := s.node(under(w))
	stuck := make(chan error, 1)
	go func() {
		_, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", "v"))
		stuck <- err
	}()
	<-writing
	soon(t, "load", func() error {
		_, err := c.LoadTable(t.Context(), "", id, LoadOptions{})
		return err
	})
	soon(t, "create namespace", func() error {
		_, err := c.CreateNamespace(t.Context(), Change{}, "", Namespace{"other"}, nil)
		return err
	})
	soon(t, "list", func() error {
		list, err := c.ListTables(t.Context(), Read{}, "", Namespace{"ns"}, Page{})
		if err == nil {
			entries(t, list)
		}
		return err
	})
	soon(t, "drop of the table that a commit is stuck on", func() error {
		_, err := c.DropTable(t.Context(), Change{}, "", id, false)
		return err
	})
	close(back)
	wantKind(t, <-stuck, KindNoSuchTable)
	c.janitorIdle(t)
	if files := s.files(); len(files) != 1 {
		t.Errorf("the file of the commit that came too late stays: %v", files)
	}
}

func TestOldFilesDoNotDelayTheCommit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mustNamespace(t, s.node(), "ns")
	id := ident("ns", "t")
	w := &weather{remove: func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	c := s.node(under(w))
	if _, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{
		Identifier: id, Schema: json.RawMessage(testSchema),
		Properties: map[string]string{"write.metadata.previous-versions-max": "1", "write.metadata.delete-after-commit.enabled": "true"},
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		soon(t, "commit", func() error {
			_, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", fmt.Sprint(i)))
			return err
		})
	}
}

func TestCloseDoesNotWaitForADeadStore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	var kept []string
	w := &weather{remove: func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	c, err := New(Options{
		Log: s.log, Stores: oneStore(w), NewUUID: func() string { return "" },
		Observer: Observer{OrphanKept: func(location string) {
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, location)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("f%02d", i))
	}
	c.deleteOrphans("default", want...)
	soon(t, "close", func() error { c.Close(); return nil })
	// A request that outlived the stop.
	c.deleteOrphans("default", "late")
	slices.Sort(kept)
	if want = append(want, "late"); !slices.Equal(kept, want) {
		t.Errorf("told of %v", kept)
	}
}

func TestFailedWriteIsCleanedUp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mustNamespace(t, s.node(), "ns")
	var failure error
	w := &weather{}
	w.put = func(ctx context.Context, location string, body []byte) error {
		if err := w.Store.Put(ctx, location, body); err != nil {
			return err
		}
		return failure
	}
	c := s.node(under(w))
	for want, err := range map[int]error{
		// It was written, and nobody was told so.
		0: storage.ErrUnavailable,
		// It is somebody else's.
		1: storage.ErrExists,
	} {
		failure = err
		before := len(s.files())
		_, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)})
		wantKind(t, err, KindUnavailable)
		c.janitorIdle(t)
		if got := len(s.files()) - before; got != want {
			t.Errorf("after %v %d files are left, want %d", failure, got, want)
		}
		_, err = c.TableExists(t.Context(), Read{}, "", ident("ns", "t"))
		wantKind(t, err, KindNoSuchTable)
	}
}

func TestStagedCreatePreparesOnePlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mustNamespace(t, s.node(), "ns")
	folders := make(map[string]bool)
	w := &weather{ensureFolder: func(location string) { folders[location] = true }}
	if _, err := s.node(under(w)).CreateTable(t.Context(), Change{}, "", CreateTable{
		Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema), Stage: true,
	}); err != nil {
		t.Fatal(err)
	}
	if len(folders) != 1 {
		t.Errorf("one table was prepared in %v", folders)
	}
}

func TestSizeIsJudgedByThePresent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.node()
	mustNamespace(t, a, "ns")
	mustTable(t, a, "ns", "t")
	id := ident("ns", "t")
	if _, err := a.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "big", strings.Repeat("x", 20_000))); err != nil {
		t.Fatal(err)
	}
	behind := s.node(func(o *Options) { o.MaxMetadataBytes = 10_000 })
	_, err := behind.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", "v"))
	wantKind(t, err, KindTooLarge)
	s.log.fallBehind()
	if _, err := a.CommitTable(t.Context(), Change{}, "", commit(t, id, `[]`, `[{"action":"remove-properties","removals":["big"]}]`)); err != nil {
		t.Fatal(err)
	}
	if _, err := behind.CommitTable(t.Context(), Change{}, "", setProperty(t, id, "k", "v")); err != nil {
		t.Errorf("refused for what is not there any more: %v", err)
	}
}

func TestPartTooLargeForTheLog(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes a document of 33 MB")
	}
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	_, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "t"), "big", strings.Repeat("x", command.MaxValueBytes)))
	wantKind(t, err, KindTooLarge)
	c.janitorIdle(t)
	if files := s.files(); len(files) != 1 {
		t.Errorf("its file stays: %v", files)
	}
}

func TestReplayOfWhatIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	req := CreateTable{Identifier: ident("ns", "t"), Schema: json.RawMessage(testSchema)}
	made, err := c.CreateTable(t.Context(), keyed("k", "create"), "", req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DropTable(t.Context(), Change{}, "", req.Identifier, false); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(pathOf(made.MetadataLocation)); err != nil {
		t.Fatal(err)
	}
	// It did happen: "not found" would have clients delete what they wrote.
	_, err = c.CreateTable(t.Context(), keyed("k", "create"), "", req)
	wantKind(t, err, KindCommitUnknown)
}
