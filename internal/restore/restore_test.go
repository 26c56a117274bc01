package restore_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/restore"
	"github.com/floeberg/floeberg/internal/storage"
)

// All nodes of a new cluster end with the tables of the lost one, and with what is
// their own; the list of missing files is right.
func TestRestoreIntoAnEmptyCluster(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, nil)
	o.tables(0, 40)
	m := o.snapshot()
	for _, gone := range []string{"t3.json", "t17.json"} {
		if err := os.Remove(filepath.Join(o.warehouse, gone)); err != nil {
			t.Fatal(err)
		}
	}
	c := clustertest.Start(t, clustertest.Options{})
	identity(c, 0)
	own := c.Node(0).ClusterID()
	write(t, c.Node(0),
		put(t, state.APIKeyKey([]byte("new key")), &state.APIKey{Id: "new"}),
		put(t, state.DataKeyKey(newDataKey), &state.DataKey{Id: newDataKey}), command.PutValue(state.DataKeySealsKey(newDataKey), nil),
		put(t, state.WarehouseKey("default"), &state.Warehouse{Name: "default", Root: "file:///elsewhere"}),
		put(t, state.WarehouseKey("mine"), &state.Warehouse{Name: "mine", Root: "file:///mine"}))

	through := c.Follower()
	r := o.restorer(c, through, o.place())
	q := restore.Request{ID: "op-1", ClusterID: o.clusterID(), Principal: "me"}
	begun, err := r.Start(within(t, 20*time.Second), q)
	if err != nil || begun.Status != restore.Copying {
		t.Fatalf("%+v, %v", begun, err)
	}
	got := ended(t, c, r, "op-1")
	var missing []string
	for _, f := range got.Missing {
		missing = append(missing, f.GetName())
	}
	if got.Status != restore.Done || got.Checksum != m.StateChecksum || got.Index != m.Index || got.Tables != 40 || got.Checked != 40 ||
		got.MissingCount != 2 || cmp.Diff([]string{"t17", "t3"}, missing) != "" || got.Unchecked != 0 {
		t.Errorf("%+v", got)
	}
	for i := range c.Len() {
		l := log{c.Node(i), c.Machine(i)}
		v, err := l.Current(within(t, 20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if rec, _, ok, err := v.Table("default", []string{"ns"}, "t39"); err != nil || !ok || rec.GetMetadataLocation() == "" {
			t.Errorf("node %d: no table: %v, %v", i, ok, err)
		}
		if rec, ok, err := v.Cluster(); err != nil || !ok || rec.GetId() != own || c.Node(i).ClusterID() != own {
			t.Errorf("node %d: the cluster is %v, it was %s", i, rec, own)
		}
		for _, key := range []string{"old key", "new key"} {
			if _, _, ok, err := v.APIKey([]byte(key)); err != nil || !ok {
				t.Errorf("node %d: the %s is not there: %v", i, key, err)
			}
		}
		if entry, _, ok, err := v.KeyEntry("new"); err != nil || !ok || string(entry.GetHash()) != "new key" {
			t.Errorf("node %d: the new key is not found by its id: %v, %v", i, entry, err)
		}
		// Secrets of both can be opened, and what comes is sealed as the lost one did.
		if keys, err := v.DataKeys(); err != nil || len(keys.Keys) != 2 || string(keys.Seals) != string(oldDataKey) {
			t.Errorf("node %d: data keys %v, %v", i, keys, err)
		}
		for name, root := range map[string]string{"default": "file://" + o.warehouse, "mine": "file:///mine"} {
			if rec, _, ok, err := v.Warehouse(name); err != nil || !ok || rec.GetRoot() != root {
				t.Errorf("node %d: warehouse %s: %v, %v", i, name, rec, err)
			}
		}
		if none, err := v.Empty(state.RestorePieces()); err != nil || !none {
			t.Errorf("node %d: pieces are left: %v", i, err)
		}
		v.Close()
	}
	c.Await("equal checksums", func() string {
		sum, index := c.Machine(0).Checksum()
		for i := range c.Len() {
			if s, at := c.Machine(i).Checksum(); s != sum || at != index {
				return fmt.Sprintf("%x at %d and %x at %d", sum, index, s, at)
			}
		}
		return ""
	})

	// Asking again is answered; another one is refused, since there is something to lose.
	again, err := o.restorer(c, c.Leader(), o.place()).Start(within(t, 20*time.Second), q)
	if err != nil || again.Status != restore.Done || again.Checksum != m.StateChecksum {
		t.Errorf("again: %+v, %v", again, err)
	}
	_, err = r.Start(within(t, 20*time.Second), restore.Request{ID: "op-2", ClusterID: o.clusterID()})
	is(t, "into what is not empty", err, restore.ErrNotEmpty)
	_, err = r.Get(within(t, 20*time.Second), "op-2")
	is(t, "what was refused", err, restore.ErrNoRestore)
}

// The state of each index and of each moment is that which the lost cluster had.
func TestEveryPoint(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	o := newOrigin(t, keys)
	o.tables(0, 3)
	first := o.snapshot()
	o.tables(3, 10)
	second := o.snapshot()
	o.tables(10, 18)
	last := o.c.Node(0).CommitIndex()
	// Cut as two leaders would.
	o.log(first.Index-1, first.Index+4)
	o.log(first.Index+3, second.Index+2)
	o.log(second.Index+3, last)
	sums := o.sums()
	at := func(q restore.Request) (fsm.Header, error) {
		q.ID, q.ClusterID = "op", o.clusterID()
		var out bytes.Buffer
		h, err := restore.Write(t.Context(), o.place(), "new", q, filepath.Join(t.TempDir(), "replay"), &out)
		if err == nil {
			_, err = fsm.VerifySnapshot(&out)
		}
		return h, err
	}
	times := map[uint64]uint64{} // of each index
	for n := first.Index; n <= last; n++ {
		h, err := at(restore.Request{ToIndex: n})
		if err != nil || h.Checksum != sums[n] || h.Index > n {
			t.Errorf("index %d: %d, %v", n, h.Index, err)
		}
		times[n] = h.TimeMs
	}
	for n := first.Index; n <= last; n++ {
		want := n
		for times[want+1] == times[n] {
			want++
		}
		h, err := at(restore.Request{ToTime: time.UnixMilli(int64(times[n]))})
		if err != nil || h.Checksum != sums[want] {
			t.Errorf("time of index %d: index %d, %v", n, h.Index, err)
		}
	}
	if h, err := at(restore.Request{ToIndex: second.Index + 1, Snapshot: first.ID}); err != nil || h.Checksum != sums[second.Index+1] {
		t.Errorf("from the older snapshot: %v", err)
	}
	if h, err := at(restore.Request{ToEnd: true}); err != nil || h.Checksum != sums[last] {
		t.Errorf("to the end: %v", err)
	}
	if h, err := at(restore.Request{}); err != nil || hex.EncodeToString(h.Checksum[:]) != second.StateChecksum {
		t.Errorf("the newest snapshot: %v", err)
	}

	for what, q := range map[string]restore.Request{
		"before": {ToIndex: first.Index - 1}, "after": {ToIndex: last + 1},
		"time before": {ToTime: first.Time.Add(-time.Millisecond)}, "time after": {ToTime: time.UnixMilli(int64(times[last]) + 1)},
		"before the named one": {ToIndex: first.Index + 1, Snapshot: second.ID},
	} {
		_, err := at(q)
		is(t, what, err, restore.ErrOutOfRange)
		if text := fmt.Sprintf("index %d (%s) to %d (", first.Index, first.Time.Format("2006-01-02T15:04:05.000Z"), last); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error does not say what there is: %v", what, err)
		}
	}
}

// Where entries are missing, what lies before and what lies after a newer snapshot can be had.
func TestGapsAndDamage(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, nil)
	first := o.snapshot()
	o.tables(0, 10)
	middle := o.c.Node(0).CommitIndex()
	o.tables(10, 12)
	second := o.snapshot()
	o.tables(12, 14)
	last := o.c.Node(0).CommitIndex()
	o.log(first.Index+1, middle-2)
	o.log(middle, last)
	at := func(q restore.Request) (fsm.Header, error) {
		q.ID, q.ClusterID = "op", o.clusterID()
		return restore.Write(t.Context(), o.place(), "new", q, filepath.Join(t.TempDir(), "replay"), io.Discard)
	}
	sums := o.sums()
	for _, n := range []uint64{first.Index, middle - 2, second.Index, last} {
		if h, err := at(restore.Request{ToIndex: n}); err != nil || h.Checksum != sums[n] {
			t.Errorf("index %d: %v", n, err)
		}
	}
	_, err := at(restore.Request{ToIndex: middle})
	is(t, "behind the gap", err, restore.ErrOutOfRange)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("to %d (", middle-2)) || !strings.Contains(err.Error(), fmt.Sprintf(", and index %d (", second.Index)) {
		t.Errorf("the ranges: %v", err)
	}
	_, err = at(restore.Request{ToEnd: true, Snapshot: first.ID})
	is(t, "over the gap", err, archive.ErrGap)

	flip(t, filepath.Join(o.dir, o.clusterID(), "log"), ".segment", 0)
	_, err = at(restore.Request{ToIndex: middle - 3})
	is(t, "a damaged segment", err, archive.ErrDamaged)
	flip(t, filepath.Join(o.dir, o.clusterID(), "snapshots"), second.Object, 0)
	_, err = at(restore.Request{})
	is(t, "a damaged snapshot", err, backup.ErrDamaged)
	if h, err := at(restore.Request{Snapshot: first.ID}); err != nil || h.Checksum != sums[first.Index] {
		t.Errorf("the one that is whole: %v", err)
	}
}

// flip damages the first file of a folder whose name ends so.
func flip(t *testing.T, dir, suffix string, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if n--; n >= 0 {
			continue
		}
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 0x10
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no %s in %s", suffix, dir)
}

func newKeys(t *testing.T) *backup.Keys {
	t.Helper()
	text, _, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := backup.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, newKeys(t))
	m := o.snapshot()
	c := single(t)
	place := o.place()
	try := func(q restore.Request, place *restore.Place) error {
		q.ID = "op"
		_, err := o.restorer(c, 0, place).Start(within(t, 20*time.Second), q)
		return err
	}
	err := try(restore.Request{}, place)
	is(t, "another cluster's", err, restore.ErrForeign)
	if err == nil || !strings.Contains(err.Error(), o.clusterID()) {
		t.Errorf("whose it is, is not said: %v", err)
	}
	own, err := backup.Open(backup.Options{Store: o.store, Root: o.root, ClusterID: c.Node(0).ClusterID(), Hurry: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Create(t.Context(), c.Machine(0), backup.About{Node: "n"}, nil); err != nil {
		t.Fatal(err)
	}
	is(t, "its own empty one beside another cluster's", try(restore.Request{}, place), restore.ErrForeign)
	is(t, "a cluster that is not there", try(restore.Request{ClusterID: "nobody"}, place), backup.ErrNoSnapshot)
	is(t, "a snapshot that is not there", try(restore.Request{ClusterID: o.clusterID(), Snapshot: "none"}, place), backup.ErrNoSnapshot)
	is(t, "no store", try(restore.Request{From: "file:///nowhere", ClusterID: o.clusterID()}, place), backup.ErrNoStore)
	is(t, "no id", func() error {
		_, err := o.restorer(c, 0, place).Start(within(t, 20*time.Second), restore.Request{})
		return err
	}(), restore.ErrBadRequest)
	is(t, "two points", try(restore.Request{ToIndex: 1, ToEnd: true}, place), restore.ErrBadRequest)

	locked := *place
	locked.Keys = nil
	is(t, "without a key", try(restore.Request{ClusterID: o.clusterID()}, &locked), backup.ErrKey)
	wrong := *place
	wrong.Keys = newKeys(t)
	if err := try(restore.Request{ClusterID: o.clusterID()}, &wrong); err != nil {
		t.Errorf("with another key it is only found out later: %v", err)
	}
	r := o.restorer(c, 0, place)
	if got := ended(t, c, r, "op"); got.Status != restore.Failed || !strings.Contains(got.Error, "encrypted for other keys") {
		t.Errorf("with another key: %+v", got)
	}

	manifest := filepath.Join(o.dir, o.clusterID(), "snapshots", m.ID+".json")
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, bytes.Replace(text, []byte(`"format": 1`), []byte(`"format": 99`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if o.vault, err = backup.Open(backup.Options{Store: o.store, Root: o.root, ClusterID: o.clusterID()}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Start(within(t, 20*time.Second), restore.Request{ID: "newer", ClusterID: o.clusterID(), Snapshot: m.ID})
	is(t, "a newer format", err, backup.ErrNewerFormat)
	if err := os.WriteFile(manifest, text, 0o600); err != nil {
		t.Fatal(err)
	}

	// Nothing of all that is left, and it can be done right then.
	if _, err := r.Start(within(t, 20*time.Second), restore.Request{ID: "right", ClusterID: o.clusterID()}); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, c, r, "right"); got.Status != restore.Done || got.Checksum != m.StateChecksum {
		t.Errorf("%+v", got)
	}
}

// slow is a store whose downloads stop in the middle until they may go on.
type slow struct {
	storage.Store
	begun chan struct{}
	goOn  chan struct{}
	once  *sync.Once
}

func (s slow) Download(ctx context.Context, location string) (io.Reader, int64, error) {
	body, size, err := s.Store.Download(ctx, location)
	if err != nil {
		return nil, 0, err
	}
	return io.MultiReader(io.LimitReader(body, 100), waiting{ctx, s}, body), size, nil
}

type waiting struct {
	ctx context.Context
	s   slow
}

func (w waiting) Read([]byte) (int, error) {
	w.s.once.Do(func() { close(w.s.begun) })
	select {
	case <-w.s.goOn:
		return 0, io.EOF
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}

// A node that stops in the middle leaves the cluster as it was; asked for again under
// the same id, another node does it. What is made meanwhile is not lost.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, nil)
	o.tables(0, 5)
	m := o.snapshot()
	c := clustertest.Start(t, clustertest.Options{})
	identity(c, 0)
	s := slow{o.store, make(chan struct{}), make(chan struct{}), &sync.Once{}}
	place := o.place()
	place.Store = s
	first, second := o.restorer(c, 0, place), o.restorer(c, 1, o.place())
	q := restore.Request{ID: "op", ClusterID: o.clusterID()}
	if _, err := first.Start(within(t, 20*time.Second), q); err != nil {
		t.Fatal(err)
	}
	<-s.begun
	// While it is worked on, asking again begins nothing, and another one is refused.
	if got, err := second.Start(within(t, 20*time.Second), q); err != nil || got.Status != restore.Copying || got.Node != clustertest.ID(0) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := second.Start(within(t, 20*time.Second), restore.Request{ID: "other", ClusterID: o.clusterID()})
	is(t, "two at once", err, restore.ErrUnderWay)

	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := second.Get(within(t, 20*time.Second), ""); err != nil || got.Status != restore.Interrupted {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := second.Start(within(t, 20*time.Second), q); err != nil || got.Node != clustertest.ID(1) {
		t.Errorf("%+v, %v", got, err)
	}
	if got := ended(t, c, second, "op"); got.Status != restore.Done || got.Checksum != m.StateChecksum || got.Node != clustertest.ID(1) {
		t.Errorf("%+v", got)
	}
}

// late is a log in which one step is carried out only after whoever took it has given
// up: with the next one.
type late struct {
	log
	mu    sync.Mutex
	armed chan struct{} // closed to hold the next step up
	held  chan struct{} // closed when one is
	tx    *command.Transaction
}

func (l *late) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.tx; before != nil {
		l.tx = nil
		if r, err := l.log.Propose(ctx, before); err != nil || r.Outcome != command.Applied {
			return r, errors.Join(err, errors.New("the step that was held up was not carried out"))
		}
		return l.log.Propose(ctx, tx)
	}
	select {
	case <-l.armed:
	default:
		return l.log.Propose(ctx, tx)
	}
	select {
	case <-l.held:
		return l.log.Propose(ctx, tx)
	default:
	}
	close(l.held)
	l.tx = tx
	return command.Result{}, context.Canceled
}

// A node that stops gives the restore back, though nothing is known of its last beat
// and that comes in between.
func TestStopsAmongBeats(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, nil)
	o.tables(0, 5)
	m := o.snapshot()
	c := single(t)
	s := slow{o.store, make(chan struct{}), make(chan struct{}), &sync.Once{}}
	place := o.place()
	place.Store = s
	l := &late{log: log{c.Node(0), c.Machine(0)}, armed: make(chan struct{}), held: make(chan struct{})}
	first, second := o.restorerOver(l, c, 0, place), o.restorer(c, 0, o.place())
	q := restore.Request{ID: "op", ClusterID: o.clusterID()}
	if _, err := first.Start(within(t, 20*time.Second), q); err != nil {
		t.Fatal(err)
	}
	<-s.begun
	close(l.armed)
	<-l.held
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := second.Get(within(t, 20*time.Second), ""); err != nil || got.Status != restore.Interrupted {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := second.Start(within(t, 20*time.Second), q); err != nil {
		t.Error(err)
	}
	if got := ended(t, c, second, "op"); got.Status != restore.Done || got.Checksum != m.StateChecksum {
		t.Errorf("%+v", got)
	}
}

// A table that somebody makes while the snapshot is read is not lost: the restore is.
func TestMadeMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, nil)
	o.snapshot()
	c := single(t)
	s := slow{o.store, make(chan struct{}), make(chan struct{}), &sync.Once{}}
	place := o.place()
	place.Store = s
	r := o.restorer(c, 0, place)
	if _, err := r.Start(within(t, 20*time.Second), restore.Request{ID: "op", ClusterID: o.clusterID()}); err != nil {
		t.Fatal(err)
	}
	<-s.begun
	write(t, c.Node(0), command.PutValue(state.NamespaceKey("default", []string{"mine"}), []byte{}))
	close(s.goOn)
	if got := ended(t, c, r, "op"); got.Status != restore.Failed || !strings.Contains(got.Error, "not empty") {
		t.Errorf("%+v", got)
	}
	v, err := c.Machine(0).View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, _, ok, err := v.Namespace("default", []string{"mine"}); err != nil || !ok {
		t.Errorf("the namespace is lost: %v", err)
	}
	if none, err := v.Empty(state.RestorePieces()); err != nil || !none {
		t.Errorf("pieces are left: %v", err)
	}
}
