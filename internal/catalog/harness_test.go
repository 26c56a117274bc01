package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/storage"
)

// sharedLog is one log in front of one real state machine. Several catalogs on
// it are several nodes; hooks stand for what weather does to a proposal.
type sharedLog struct {
	t       testing.TB
	machine *fsm.Machine

	mu    sync.Mutex
	index uint64
	// before is called, if set, ahead of each proposal; its error is the proposal's.
	before func(*command.Transaction) error
	// after is called, if set, behind each applied proposal; its error hides the result.
	after func(*command.Transaction, command.Result) error
	// aheadMs is how far replicated time is ahead of this machine's.
	aheadMs atomic.Uint64
	// past, if set, is what reads that ask for no proof see.
	past func() (*state.View, error)
}

func newSharedLog(t testing.TB) *sharedLog {
	t.Helper()
	machine, err := fsm.Open(fsm.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("open state machine: %v", err)
	}
	t.Cleanup(func() {
		if err := machine.Close(); err != nil {
			t.Errorf("close state machine: %v", err)
		}
	})
	return &sharedLog{t: t, machine: machine}
}

func (l *sharedLog) hooks() (func(*command.Transaction) error, func(*command.Transaction, command.Result) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.before, l.after
}

func (l *sharedLog) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	id := uuid.New()
	tx.Id = id[:]
	tx.DeadlineMs = l.NowMs() + 60_000
	before, after := l.hooks()
	if before != nil {
		if err := before(tx); err != nil {
			return command.Result{}, err
		}
	}
	entry := &command.Entry{Commands: []*command.Command{{
		TimeMs: l.NowMs(), Kind: &command.Command_Transaction{Transaction: tx},
	}}}
	data, err := command.Encode(entry, command.FirstVersion)
	if err != nil {
		return command.Result{}, err
	}
	l.mu.Lock()
	l.index++
	answers := l.machine.ApplyBatch([]*raft.Log{{Index: l.index, Term: 1, Type: raft.LogCommand, Data: data}})
	l.mu.Unlock()
	results, ok := answers[0].([]command.Result)
	if !ok || len(results) != 1 {
		return command.Result{}, fmt.Errorf("unexpected answer %v", answers)
	}
	if after != nil {
		if err := after(tx, results[0]); err != nil {
			return command.Result{}, err
		}
	}
	return results[0], ctx.Err()
}

func (l *sharedLog) View(_ context.Context, read Read) (*state.View, error) {
	l.mu.Lock()
	past := l.past
	l.mu.Unlock()
	if past != nil && read.Consistency != Linearizable {
		return past()
	}
	return l.machine.View()
}

func (l *sharedLog) WaitApplied(ctx context.Context, index uint64) error {
	return l.machine.WaitApplied(ctx, index)
}

func (l *sharedLog) NowMs() uint64 { return uint64(time.Now().UnixMilli()) + l.aheadMs.Load() }

// ahead has hook called ahead of the next proposal, and of no other.
func (l *sharedLog) ahead(hook func(*command.Transaction)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = func(tx *command.Transaction) error {
		l.mu.Lock()
		l.before = nil
		l.mu.Unlock()
		hook(tx)
		return nil
	}
}

// fallBehind has all reads that ask for no proof see the state of this moment.
func (l *sharedLog) fallBehind() {
	l.t.Helper()
	old, err := l.machine.View()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(old.Close)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past = func() (*state.View, error) { return state.NewView(old.Reader, old.Index, old.TimeMs, nil), nil }
}

// key makes an API key's record anew and returns the guard that rests on it.
func (l *sharedLog) key(hash string) Guard {
	l.t.Helper()
	key := state.APIKeyKey([]byte(hash))
	res, err := l.Propose(l.t.Context(), &command.Transaction{Writes: []*command.Write{command.PutValue(key, nil)}})
	if err != nil {
		l.t.Fatal(err)
	}
	return Guard{Key: key, Revision: res.Revision}
}

// site is a warehouse on a local folder and nodes over it.
type site struct {
	t    testing.TB
	log  *sharedLog
	root string // canonical location
	dir  string // the same as a path
	st   storage.Store
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "wh")
	root := "file://" + dir
	st, err := storage.Open(root, storage.Config{})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	s := &site{t: t, log: newSharedLog(t), root: root, dir: dir, st: st}
	data, err := state.Encode(&state.Warehouse{Name: "default", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.log.Propose(t.Context(), &command.Transaction{Writes: []*command.Write{command.PutValue(state.WarehouseKey("default"), data)}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// oneStore is the store of every warehouse.
func oneStore(store Store) StoreOf {
	return func(context.Context, string) (Store, error) { return store, nil }
}

func (s *site) node(adjust ...func(*Options)) *Catalog {
	s.t.Helper()
	opts := Options{Log: s.log, Stores: oneStore(s.st), NewUUID: uuid.NewString, DefaultWarehouse: "default"}
	for _, a := range adjust {
		a(&opts)
	}
	c, err := New(opts)
	if err != nil {
		s.t.Fatalf("new catalog: %v", err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// files lists the metadata files of the warehouse.
func (s *site) files() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "*", "*", "metadata", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

const testSchema = `{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","required":true,"type":"long"},{"id":2,"name":"data","required":false,"type":"string"}]}`

func ident(parts ...string) Identifier {
	return Identifier{Namespace: parts[:len(parts)-1], Name: parts[len(parts)-1]}
}

func mustNamespace(t testing.TB, c *Catalog, path ...string) {
	t.Helper()
	if _, err := c.CreateNamespace(t.Context(), Change{}, "", path, nil); err != nil {
		t.Fatalf("create namespace %v: %v", path, err)
	}
}

func mustTable(t testing.TB, c *Catalog, parts ...string) *Table {
	t.Helper()
	made, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{Identifier: ident(parts...), Schema: json.RawMessage(testSchema)})
	if err != nil {
		t.Fatalf("create table %v: %v", parts, err)
	}
	return made
}

func mustLoad(t testing.TB, c *Catalog, parts ...string) *Table {
	t.Helper()
	got, err := c.LoadTable(t.Context(), "", ident(parts...), LoadOptions{})
	if err != nil {
		t.Fatalf("load table %v: %v", parts, err)
	}
	return got
}

// entries reads a listing to its end.
func entries[T any](t rapid.TB, list *List[T]) (all []T, next string) {
	t.Helper()
	defer list.Close()
	next, err := list.Each(context.Background(), func(entry T) error {
		all = append(all, entry)
		return nil
	})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return all, next
}

func wantKind(t testing.TB, err error, kind Kind) {
	t.Helper()
	if KindOf(err) != kind {
		t.Fatalf("got error %v of kind %q, want kind %q", err, KindOf(err), kind)
	}
}

func commit(t testing.TB, id Identifier, requirements, updates string) CommitTable {
	t.Helper()
	reqs, err := iceberg.ParseRequirements(json.RawMessage(requirements))
	if err != nil {
		t.Fatalf("requirements: %v", err)
	}
	ups, err := iceberg.ParseUpdates(json.RawMessage(updates))
	if err != nil {
		t.Fatalf("updates: %v", err)
	}
	return CommitTable{Identifier: id, Requirements: reqs, Updates: ups}
}

func setProperty(t testing.TB, id Identifier, key, value string) CommitTable {
	t.Helper()
	return commit(t, id, `[]`, fmt.Sprintf(`[{"action":"set-properties","updates":{%q:%q}}]`, key, value))
}

// appendSnapshot is an append as clients send it: onto parent, 0 for none.
func (s *site) appendSnapshot(id Identifier, snapshot, parent, sequence int64) CommitTable {
	s.t.Helper()
	expected, parentField := "null", ""
	if parent != 0 {
		expected = fmt.Sprint(parent)
		parentField = fmt.Sprintf(`"parent-snapshot-id":%d,`, parent)
	}
	return commit(s.t, id,
		fmt.Sprintf(`[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":%s}]`, expected),
		fmt.Sprintf(`[{"action":"add-snapshot","snapshot":{"snapshot-id":%d,%s"sequence-number":%d,"timestamp-ms":%d,"manifest-list":"%s/%d.avro","summary":{"operation":"append"},"schema-id":0}},
			{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":%d}]`,
			snapshot, parentField, sequence, time.Now().UnixMilli(), s.root, snapshot, snapshot))
}

func keyed(key, request string) Change {
	sum := sha256.Sum256([]byte(request))
	return Change{Principal: "p", Key: key, Fingerprint: sum[:]}
}

func properties(t testing.TB, doc []byte) map[string]string {
	t.Helper()
	var m struct {
		Properties map[string]string `json:"properties"`
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("metadata is not JSON: %v", err)
	}
	return m.Properties
}

func snapshots(t testing.TB, doc []byte) int {
	t.Helper()
	var m struct {
		Snapshots []json.RawMessage `json:"snapshots"`
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("metadata is not JSON: %v", err)
	}
	return len(m.Snapshots)
}

func pathOf(location string) string { return strings.TrimPrefix(location, "file://") }
