package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/iceberg/manifest/manifesttest"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/internal/tasks"
)

// sharedLog is one log in front of one real state machine, for several nodes.
type sharedLog struct {
	machine  *fsm.Machine
	frozenMs atomic.Uint64 // where this machine's clock stands still; 0 is that it goes
	aheadMs  atomic.Uint64 // how far replicated time is ahead of this machine's

	mu    sync.Mutex
	index uint64
}

func (l *sharedLog) NowMs() uint64 {
	now := l.frozenMs.Load()
	if now == 0 {
		now = uint64(time.Now().UnixMilli())
	}
	return now + l.aheadMs.Load()
}

// freeze stops replicated time but for what skip adds.
func (l *sharedLog) freeze() { l.frozenMs.Store(uint64(time.Now().UnixMilli())) }

func (l *sharedLog) skip(d time.Duration) { l.aheadMs.Add(uint64(d.Milliseconds())) }

func (l *sharedLog) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	if err := ctx.Err(); err != nil {
		return command.Result{}, err
	}
	id := uuid.New()
	tx.Id, tx.DeadlineMs = id[:], l.NowMs()+60_000
	data, err := command.Encode(&command.Entry{Commands: []*command.Command{{
		TimeMs: l.NowMs(), Kind: &command.Command_Transaction{Transaction: tx},
	}}}, command.FirstVersion)
	if err != nil {
		return command.Result{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	answers := l.machine.ApplyBatch([]*raft.Log{{Index: l.index, Term: 1, Type: raft.LogCommand, Data: data}})
	results, ok := answers[0].([]command.Result)
	if !ok || len(results) != 1 {
		return command.Result{}, fmt.Errorf("unexpected answer %v", answers)
	}
	return results[0], nil
}

func (l *sharedLog) View() (*state.View, error) { return l.machine.View() }

func (l *sharedLog) WaitApplied(ctx context.Context, index uint64) error {
	return l.machine.WaitApplied(ctx, index)
}

func (l *sharedLog) entries() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index
}

// catalogLog is the same log as the catalog wants it.
type catalogLog struct{ *sharedLog }

func (l catalogLog) View(context.Context, catalog.Read) (*state.View, error) { return l.machine.View() }

// errDead is what a node gets that was killed.
var errDead = errors.New("this node is dead")

// node is one node's way to log and store. Once it is killed nothing that its
// runner still does reaches either.
type node struct {
	*sharedLog
	storage.Store
	name string
	dead atomic.Bool
	// deleting, if set, is called ahead of each call that deletes.
	deleting func(n *node, locations []string) error
}

func (n *node) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	if n.dead.Load() {
		return command.Result{}, errDead
	}
	return n.sharedLog.Propose(ctx, tx)
}

func (n *node) Get(ctx context.Context, location string, most int64) ([]byte, error) {
	if n.dead.Load() {
		return nil, errDead
	}
	return n.Store.Get(ctx, location, most)
}

func (n *node) DeleteMany(ctx context.Context, locations []string) error {
	if n.deleting != nil {
		if err := n.deleting(n, locations); err != nil {
			return err
		}
	}
	if n.dead.Load() {
		return errDead
	}
	return n.Store.DeleteMany(ctx, locations)
}

// site is a warehouse on a local folder.
type site struct {
	t     *testing.T
	log   *sharedLog
	dir   string
	root  string
	store storage.Store
	cat   *catalog.Catalog
}

func newSite(t *testing.T) *site {
	t.Helper()
	machine, err := fsm.Open(fsm.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, log: &sharedLog{machine: machine}, dir: filepath.Join(t.TempDir(), "wh")}
	s.root = "file://" + s.dir
	if s.store, err = storage.Open(s.root, storage.Config{}); err != nil {
		t.Fatal(err)
	}
	data, err := state.Encode(&state.Warehouse{Name: "default", Root: s.root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.log.Propose(t.Context(), &command.Transaction{Writes: []*command.Write{command.PutValue(state.WarehouseKey("default"), data)}}); err != nil {
		t.Fatal(err)
	}
	s.cat, err = catalog.New(catalog.Options{Log: catalogLog{s.log}, Stores: func(context.Context, string) (catalog.Store, error) { return s.store, nil }, NewUUID: uuid.NewString, DefaultWarehouse: "default"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cat.Close()
		if err := errors.Join(s.store.Close(), machine.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.cat.CreateNamespace(t.Context(), catalog.Change{}, "", []string{"ns"}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// only is the store of every warehouse.
func only(store tasks.Store) tasks.StoreOf {
	return func(context.Context, string) (tasks.Store, error) { return store, nil }
}

// start starts a node's runner; the test stops it unless it was stopped.
func (s *site) start(n *node, adjust ...func(*tasks.Options)) *tasks.Runner {
	s.t.Helper()
	n.sharedLog, n.Store = s.log, s.store
	opts := tasks.Options{
		Log: n, Stores: only(n), Node: n.name, Poll: 5 * time.Millisecond, Renew: 20 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, a := range adjust {
		a(&opts)
	}
	r, err := tasks.New(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
	return r
}

// path is where a file at a location is.
func path(location string) string { return strings.TrimPrefix(location, "file://") }

// write makes a file, as an engine does.
func (s *site) write(location string, body []byte) string {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path(location)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path(location), body, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return location
}

// files lists all files of the warehouse.
func (s *site) files() []string {
	s.t.Helper()
	var found []string
	err := filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, "file://"+p)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

const schema = `{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","required":true,"type":"long"},{"id":2,"name":"data","required":false,"type":"string"}]}`

// create makes a table at a place of its own below the namespace's location.
func (s *site) create(name string, properties map[string]string) (location string) {
	s.t.Helper()
	location = s.root + "/ns/" + name
	_, err := s.cat.CreateTable(s.t.Context(), catalog.Change{}, "", catalog.CreateTable{
		Identifier: ident(name), Location: location, Schema: json.RawMessage(schema), Properties: properties,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return location
}

func ident(name string) catalog.Identifier {
	return catalog.Identifier{Namespace: catalog.Namespace{"ns"}, Name: name}
}

func (s *site) commit(name, updates string) {
	s.t.Helper()
	ups, err := iceberg.ParseUpdates([]byte(updates))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.cat.CommitTable(s.t.Context(), catalog.Change{}, "", catalog.CommitTable{Identifier: ident(name), Updates: ups}); err != nil {
		s.t.Fatal(err)
	}
}

// addSnapshot commits a snapshot onto the one before.
func (s *site) addSnapshot(name string, id int64, list string) {
	s.t.Helper()
	parent := ""
	if id > 1 {
		parent = fmt.Sprintf(`"parent-snapshot-id":%d,`, id-1)
	}
	s.commit(name, fmt.Sprintf(`[{"action":"add-snapshot","snapshot":{"snapshot-id":%d,%s"sequence-number":%d,"timestamp-ms":%d,"manifest-list":%q,"summary":{"operation":"append"},"schema-id":0}},
		{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":%d}]`,
		id, parent, id, s.log.NowMs(), list, id))
}

// fill gives a table a history: each snapshot adds a manifest of so many files to
// those before it, every third one of delete files; and statistics of both kinds.
func (s *site) fill(name, location string, snapshots, files int) {
	s.t.Helper()
	var listed []manifesttest.File
	mark := uuid.NewString()
	for snapshot := int64(1); snapshot <= int64(snapshots); snapshot++ {
		deletes := snapshot%3 == 0
		var entries []manifesttest.Entry
		for i := range files {
			file := s.write(fmt.Sprintf("%s/data/p=%d%%2F/%d-%s.parquet", location, i%3, snapshot, uuid.NewString()), nil)
			entries = append(entries, manifesttest.Entry{Path: file, Deletes: deletes})
			if i == 0 && snapshot > 1 {
				// Named by an earlier manifest as well, as after a merge.
				entries = append(entries, manifesttest.Entry{Path: file, Deletes: deletes})
			}
		}
		body := manifesttest.Manifest(snapshot, entries)
		m := s.write(fmt.Sprintf("%s/metadata/%d-m0-%s.avro", location, snapshot, mark), body)
		listed = append(listed, manifesttest.File{Path: m, Length: int64(len(body)), Deletes: deletes})
		s.addSnapshot(name, snapshot, s.write(fmt.Sprintf("%s/metadata/snap-%d-%s.avro", location, snapshot, mark), manifesttest.List(snapshot, listed)))
	}
	s.commit(name, fmt.Sprintf(`[{"action":"set-statistics","statistics":{"snapshot-id":1,"statistics-path":%q,"file-size-in-bytes":1,"file-footer-size-in-bytes":1,"blob-metadata":[]}},
		{"action":"set-partition-statistics","partition-statistics":{"snapshot-id":1,"statistics-path":%q,"file-size-in-bytes":1}}]`,
		s.write(location+"/metadata/"+mark+".stats", nil), s.write(location+"/metadata/partition-"+mark+".parquet", nil)))
}

func (s *site) drop(name string) {
	s.t.Helper()
	if _, err := s.cat.DropTable(s.t.Context(), catalog.Change{Principal: "somebody"}, "", ident(name), true); err != nil {
		s.t.Fatal(err)
	}
}

// task is the only task there is, or the newest.
func (s *site) task() catalog.TaskInfo {
	s.t.Helper()
	list, err := s.cat.ListTasks(s.t.Context(), catalog.Read{}, "", catalog.Page{})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(list.Tasks) == 0 {
		s.t.Fatal("there is no task")
	}
	return list.Tasks[len(list.Tasks)-1]
}

// await waits until the newest task is as it should be.
func (s *site) await(what string, holds func(catalog.TaskInfo) bool) catalog.TaskInfo {
	s.t.Helper()
	var last catalog.TaskInfo
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if last = s.task(); holds(last) {
			return last
		}
	}
	s.t.Fatalf("waited for a task %s, and saw %+v", what, last)
	return last
}

func (s *site) awaitDone() catalog.TaskInfo {
	s.t.Helper()
	return s.await("to be done", func(i catalog.TaskInfo) bool { return i.Status == catalog.TaskDone })
}

// wantFiles compares the warehouse with what should be in it.
func (s *site) wantFiles(want []string) {
	s.t.Helper()
	want = slices.Clone(want)
	slices.Sort(want)
	if diff := cmp.Diff(want, s.files()); diff != "" {
		s.t.Fatalf("files (-want +there):\n%s", diff)
	}
}
