package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/storage"
)

// tables makes a namespace with tables.
func (s *site) tables(t testing.TB, c *Catalog, names ...string) {
	t.Helper()
	mustNamespace(t, c, "ns")
	for _, name := range names {
		mustTable(t, c, "ns", name)
	}
}

// wantFiles fails the test unless this many metadata files are left.
func (s *site) wantFiles(t *testing.T, want int, nodes ...*Catalog) {
	t.Helper()
	for _, n := range nodes {
		n.janitorIdle(t)
	}
	if files := s.files(); len(files) != want {
		t.Errorf("%d files, want %d: %v", len(files), want, files)
	}
}

const createUpdates = `[{"action":"add-schema","schema":` + testSchema + `},{"action":"set-current-schema","schema-id":-1},
	{"action":"add-spec","spec":{"spec-id":0,"fields":[]}},{"action":"set-default-spec","spec-id":-1},
	{"action":"add-sort-order","sort-order":{"order-id":0,"fields":[]}},{"action":"set-default-sort-order","sort-order-id":-1}%s]`

// createAt is the commit of a staged create; "" leaves the place to the catalog.
func createAt(t testing.TB, id Identifier, location string) CommitTable {
	t.Helper()
	if location != "" {
		location = fmt.Sprintf(`,{"action":"set-location","location":%q}`, location)
	}
	return commit(t, id, `[{"type":"assert-create"}]`, fmt.Sprintf(createUpdates, location))
}

func property(t testing.TB, c *Catalog, key string, parts ...string) string {
	t.Helper()
	return properties(t, mustLoad(t, c, parts...).Metadata)[key]
}

func TestTransactionChangesAllTables(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "a", "b")
	var kinds []string
	s.log.ahead(func(tx *command.Transaction) {
		for _, e := range tx.Events {
			event := &state.Event{}
			if err := proto.Unmarshal(e.Payload, event); err != nil {
				t.Error(err)
			}
			kinds = append(kinds, event.Kind+" "+event.Name+" "+event.Principal)
			if event.MetadataLocation == "" {
				t.Errorf("the event of %s does not say where its metadata is", event.Name)
			}
		}
	})
	index, err := a.CommitTransaction(t.Context(), Change{Principal: "p"}, "", []CommitTable{
		s.appendSnapshot(ident("ns", "a"), 1, 0, 1), setProperty(t, ident("ns", "b"), "k", "v"), createAt(t, ident("ns", "c"), ""),
	})
	if err != nil || index == 0 {
		t.Fatalf("index %d, %v", index, err)
	}
	if want := []string{"table.commit a p", "table.commit b p", "table.create c p"}; !slices.Equal(kinds, want) {
		t.Errorf("events %q, want %q", kinds, want)
	}
	if n := snapshots(t, mustLoad(t, b, "ns", "a").Metadata); n != 1 {
		t.Errorf("%d snapshots", n)
	}
	if got := property(t, b, "k", "ns", "b"); got != "v" {
		t.Errorf("property is %q", got)
	}
	mustLoad(t, b, "ns", "c")
	s.wantFiles(t, 5, a)
}

func TestRefusedTransactionLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node(func(o *Options) { o.MaxMetadataBytes = 20_000 })
	s.tables(t, c, "a", "b")
	first := setProperty(t, ident("ns", "a"), "k", "v")
	for name, tc := range map[string]struct {
		second CommitTable
		kind   Kind
		says   string
	}{
		"requirement": {commit(t, ident("ns", "b"), `[{"type":"assert-current-schema-id","current-schema-id":7}]`, `[]`), KindCommitFailed, "ns.b: Requirement failed: current schema changed"},
		"twice":       {setProperty(t, ident("ns", "a"), "k2", "v"), KindInvalid, "ns.a is in it twice"},
		"missing":     {setProperty(t, ident("ns", "x"), "k", "v"), KindNoSuchTable, "Table does not exist: ns.x"},
		"namespace":   {createAt(t, ident("no", "x"), ""), KindNoSuchNamespace, "Namespace does not exist: no"},
		"there":       {createAt(t, ident("ns", "b"), ""), KindCommitFailed, "ns.b: Requirement failed: table already exists"},
		"outside":     {createAt(t, ident("ns", "x"), "file:///elsewhere/x"), KindForbiddenLocation, "ns.x"},
		"too large":   {setProperty(t, ident("ns", "b"), "big", strings.Repeat("x", 20_000)), KindTooLarge, "ns.b"},
		"no name":     {setProperty(t, ident("ns", ""), "k", "v"), KindInvalid, "name"},
	} {
		_, err := c.CommitTransaction(t.Context(), Change{}, "", []CommitTable{first, tc.second})
		if KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v of kind %q, want %q of kind %q", name, err, KindOf(err), tc.says, tc.kind)
		}
		if got := property(t, c, "k", "ns", "a"); got != "" {
			t.Errorf("%s: the other table was changed", name)
		}
		s.wantFiles(t, 2, c)
	}
	_, err := c.CommitTransaction(t.Context(), Change{}, "", make([]CommitTable, maxTransactionTables+1))
	wantKind(t, err, KindTooLarge)
}

func TestEmptyTransaction(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	for _, ch := range []Change{{}, keyed("k", "empty"), keyed("k", "empty")} {
		if _, err := c.CommitTransaction(t.Context(), ch, "", nil); err != nil {
			t.Error(err)
		}
	}
	_, err := c.CommitTransaction(t.Context(), Change{}, "nowhere", nil)
	wantKind(t, err, KindNoSuchWarehouse)
}

// The state knows of none of them yet.
func TestPlacesOfOneTransactionDoNotMeet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "old")
	place := s.root + "/ns/x/t"
	move := commit(t, ident("ns", "old"), `[]`, fmt.Sprintf(`[{"action":"set-location","location":%q}]`, place+"/in"))
	for name, second := range map[string]CommitTable{
		"equal": createAt(t, ident("ns", "b"), place), "spelling": createAt(t, ident("ns", "b"), place+"/"),
		"below": createAt(t, ident("ns", "b"), place+"/deep/er"), "around": createAt(t, ident("ns", "b"), s.root+"/ns/x"),
		"moved": move,
	} {
		for _, order := range [][]CommitTable{{createAt(t, ident("ns", "a"), place), second}, {second, createAt(t, ident("ns", "a"), place)}} {
			_, err := c.CommitTransaction(t.Context(), Change{}, "", order)
			if KindOf(err) != KindInvalid || !strings.Contains(err.Error(), "another table of the same request") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	s.wantFiles(t, 1, c)
	if _, err := c.CommitTransaction(t.Context(), Change{}, "", []CommitTable{createAt(t, ident("ns", "a"), place), createAt(t, ident("ns", "b"), place+"2")}); err != nil {
		t.Errorf("siblings: %v", err)
	}
}

func TestOvertakenTransaction(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.node(), s.node()
	s.tables(t, a, "a", "b")
	transaction := []CommitTable{setProperty(t, ident("ns", "a"), "k", "v"), s.appendSnapshot(ident("ns", "b"), 1, 0, 1)}

	// What does not contradict it lands beside it.
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "b"), "other", "v")); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.CommitTransaction(t.Context(), Change{}, "", transaction); err != nil {
		t.Fatal(err)
	}
	if property(t, b, "k", "ns", "a") != "v" || property(t, b, "other", "ns", "b") != "v" {
		t.Error("a change is lost")
	}
	s.wantFiles(t, 5, a, b)

	// What does, wins, and the loser leaves no file.
	transaction = []CommitTable{setProperty(t, ident("ns", "a"), "k", "lost"), s.appendSnapshot(ident("ns", "b"), 2, 1, 2)}
	s.log.ahead(func(*command.Transaction) {
		if _, err := b.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(ident("ns", "b"), 3, 1, 2)); err != nil {
			t.Error(err)
		}
	})
	_, err := a.CommitTransaction(t.Context(), Change{}, "", transaction)
	wantKind(t, err, KindCommitFailed)
	if got := property(t, b, "k", "ns", "a"); got != "v" {
		t.Errorf("half of it landed: %q", got)
	}
	s.wantFiles(t, 6, a, b)
}

func TestStoreFailsWithinATransaction(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.tables(t, s.node(), "t0", "t1", "t2")
	var transaction []CommitTable
	for i := range 3 {
		transaction = append(transaction, setProperty(t, ident("ns", fmt.Sprint("t", i)), "k", "v"))
	}
	for failing := range 3 {
		written := 0
		w := &weather{}
		w.put = func(ctx context.Context, location string, body []byte) error {
			if written++; written > failing {
				return storage.ErrDenied
			}
			return w.Store.Put(ctx, location, body)
		}
		c := s.node(under(w))
		_, err := c.CommitTransaction(t.Context(), Change{}, "", transaction)
		wantKind(t, err, KindUnavailable)
		s.wantFiles(t, 3, c)
		for i := range 3 {
			if got := property(t, c, "k", "ns", fmt.Sprint("t", i)); got != "" {
				t.Errorf("write %d fails, and table %d was changed", failing, i)
			}
		}
	}
}

func TestUnknownOutcomeOfATransaction(t *testing.T) {
	t.Parallel()
	for _, landed := range []bool{true, false} {
		t.Run(fmt.Sprint("landed ", landed), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.node()
			s.tables(t, c, "a", "b")
			transaction := []CommitTable{s.appendSnapshot(ident("ns", "a"), 1, 0, 1), setProperty(t, ident("ns", "b"), "k", "v")}
			s.log.mu.Lock()
			if landed {
				s.log.after = func(*command.Transaction, command.Result) error { return ErrOutcomeUnknown }
			} else {
				s.log.before = func(*command.Transaction) error { return ErrOutcomeUnknown }
			}
			s.log.mu.Unlock()
			_, err := c.CommitTransaction(t.Context(), Change{}, "", transaction)
			wantKind(t, err, KindCommitUnknown)
			s.log.mu.Lock()
			s.log.before, s.log.after = nil, nil
			s.log.mu.Unlock()
			s.wantFiles(t, 4, c)

			// The same again finds out.
			if _, err := s.node().CommitTransaction(t.Context(), Change{}, "", transaction); err != nil {
				t.Fatalf("repeat: %v", err)
			}
			if n := snapshots(t, mustLoad(t, c, "ns", "a").Metadata); n != 1 || property(t, c, "k", "ns", "b") != "v" {
				t.Errorf("%d snapshots", n)
			}
			want := 6
			if landed {
				want = 4
			}
			s.wantFiles(t, want, c)
		})
	}
}

// Neither "no", which has clients delete what table a refers to, nor "yes".
func TestHalfOfATransactionIsThere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "a", "b")
	first := s.appendSnapshot(ident("ns", "a"), 1, 0, 1)
	if _, err := c.CommitTable(t.Context(), Change{}, "", first); err != nil {
		t.Fatal(err)
	}
	for _, second := range []CommitTable{setProperty(t, ident("ns", "b"), "k", "v"), setProperty(t, ident("ns", "gone"), "k", "v")} {
		for range 2 {
			_, err := c.CommitTransaction(t.Context(), keyed("k"+second.Name, "half"), "", []CommitTable{first, second})
			wantKind(t, err, KindCommitUnknown)
			if !strings.Contains(err.Error(), "ns.a") {
				t.Errorf("it does not say which table: %v", err)
			}
		}
	}
	s.wantFiles(t, 3, c)
	if answered, err := s.answered("p", "kb"); err != nil || answered {
		t.Errorf("what is not known was kept as an answer: %v", err)
	}
}

func (s *site) answered(principal, key string) (bool, error) {
	v, err := s.log.machine.View()
	if err != nil {
		return false, err
	}
	defer v.Close()
	_, ok, err := v.Answer(principal, key)
	return ok, err
}

func TestReplayOfATransaction(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "a", "b")
	transaction := []CommitTable{setProperty(t, ident("ns", "a"), "k", "1"), setProperty(t, ident("ns", "b"), "k", "1")}
	if _, err := c.CommitTransaction(t.Context(), keyed("k", "tx"), "", transaction); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CommitTable(t.Context(), Change{}, "", setProperty(t, ident("ns", "a"), "k", "2")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.node().CommitTransaction(t.Context(), keyed("k", "tx"), "", transaction); err != nil {
		t.Fatal(err)
	}
	if got := property(t, c, "k", "ns", "a"); got != "2" {
		t.Errorf("the repeat was carried out: %q", got)
	}
}

func TestTransactionTooLargeForTheLog(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes documents of 50 MB")
	}
	s := newSite(t)
	c := s.node()
	s.tables(t, c, "a", "b")
	big := strings.Repeat("x", maxTransactionBytes/2)
	_, err := c.CommitTransaction(t.Context(), Change{}, "", []CommitTable{setProperty(t, ident("ns", "a"), "k", big), setProperty(t, ident("ns", "b"), "k", big)})
	wantKind(t, err, KindTooLarge)
	s.wantFiles(t, 2, c)
}

// Two nodes run transactions over the same tables in opposite orders: none waits
// for ever, and each is in all of its tables or in none.
func TestTransactionsInOppositeOrders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []*Catalog{s.node(), s.node()}
	names := []string{"t0", "t1", "t2"}
	s.tables(t, nodes[0], names...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const streams, each = 4, 10
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	applied := make([][]bool, streams)
	var wg sync.WaitGroup
	for stream := range streams {
		applied[stream] = make([]bool, each)
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(stream)))
			for i := range each {
				mark := fmt.Sprintf("k%d-%d", stream, i)
				var transaction []CommitTable
				for _, name := range names {
					transaction = append(transaction, setProperty(t, ident("ns", name), mark, "v"))
				}
				doomed := random.IntN(3) == 0
				if doomed {
					transaction[random.IntN(len(names))].Requirements = commit(t, Identifier{}, `[{"type":"assert-default-spec-id","default-spec-id":9}]`, `[]`).Requirements
				}
				if stream%2 == 1 {
					slices.Reverse(transaction)
				}
				_, err := nodes[stream/2].CommitTransaction(ctx, Change{}, "", transaction)
				applied[stream][i] = err == nil
				if doomed != (err != nil) || err != nil && KindOf(err) != KindCommitFailed {
					t.Errorf("%s, doomed %v: %v", mark, doomed, err)
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("they waited for each other")
	}
	landed := 0
	for _, name := range names {
		got := properties(t, mustLoad(t, nodes[0], "ns", name).Metadata)
		for stream := range streams {
			for i := range each {
				if _, is := got[fmt.Sprintf("k%d-%d", stream, i)]; is != applied[stream][i] {
					t.Errorf("transaction %d of stream %d: applied %v, in table %s %v", i, stream, applied[stream][i], name, is)
				} else if is {
					landed++
				}
			}
		}
	}
	s.wantFiles(t, len(names)+landed, nodes...)
}
