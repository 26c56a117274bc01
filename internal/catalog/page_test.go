package catalog

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

func TestPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "a")
	mustNamespace(t, c, "b")
	for i := range 25 {
		mustTable(t, c, "a", fmt.Sprintf("t%02d", i))
	}
	seen := make(map[string]int)
	page := Page{Paged: true, Size: 7}
	for rounds := 0; ; rounds++ {
		list, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, page)
		if err != nil {
			t.Fatal(err)
		}
		ids, next := entries(t, list)
		if len(ids) > 7 {
			t.Fatalf("a page has %d entries", len(ids))
		}
		for _, id := range ids {
			seen[id.Name]++
		}
		if next == "" {
			break
		}
		if rounds > 10 {
			t.Fatal("the listing does not end")
		}
		page.Token = next
		// What comes and goes must not disturb what stays.
		gone := fmt.Sprintf("new%d", rounds)
		mustTable(t, c, "a", gone)
		if _, err := c.DropTable(t.Context(), Change{}, "", ident("a", gone), false); err != nil {
			t.Fatal(err)
		}
		_, err = c.ListTables(t.Context(), Read{}, "", Namespace{"b"}, page)
		wantKind(t, err, KindInvalid)
	}
	for i := range 25 {
		if n := seen[fmt.Sprintf("t%02d", i)]; n != 1 {
			t.Errorf("t%02d was listed %d times", i, n)
		}
	}
	for _, token := range []string{"x", "????", "AAAAAAAAAAAA"} {
		_, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, Page{Paged: true, Token: token})
		wantKind(t, err, KindInvalid)
	}
	whole, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, Page{Size: 3})
	if err != nil {
		t.Fatal(err)
	}
	if ids, next := entries(t, whole); len(ids) != 25 || next != "" {
		t.Errorf("without a token the listing is %d entries, next %q", len(ids), next)
	}
	_, err = c.ListTables(t.Context(), Read{}, "", Namespace{"none"}, Page{})
	wantKind(t, err, KindNoSuchNamespace)
	_, err = c.ListNamespaces(t.Context(), Read{}, "", Namespace{"none"}, Page{})
	wantKind(t, err, KindNoSuchNamespace)
	_, err = c.ListNamespaces(t.Context(), Read{}, "nowhere", nil, Page{})
	wantKind(t, err, KindNoSuchWarehouse)
}

// fill puts entries into the state as they are stored, many in one transaction.
func (s *site) fill(t rapid.TB, keys ...[]byte) {
	t.Helper()
	for batch := range slices.Chunk(keys, 1000) {
		tx := &command.Transaction{}
		for _, key := range batch {
			tx.Writes = append(tx.Writes, command.PutValue(key, nil))
		}
		if _, err := s.log.Propose(s.t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) remove(t rapid.TB, key []byte) {
	t.Helper()
	if _, err := s.log.Propose(s.t.Context(), &command.Transaction{Writes: []*command.Write{command.DeleteKey(key)}}); err != nil {
		t.Fatal(err)
	}
}

// kinds are what can be listed: how one is stored, and a page of their names.
var kinds = map[string]struct {
	key  func(parent, name string) []byte
	list func(t rapid.TB, c *Catalog, parent string, page Page) (names []string, next string)
}{
	"tables": {
		key: func(parent, name string) []byte { return state.TableKey("default", []string{parent}, name) },
		list: func(t rapid.TB, c *Catalog, parent string, page Page) (names []string, next string) {
			list, err := c.ListTables(context.Background(), Read{}, "", Namespace{parent}, page)
			if err != nil {
				t.Fatal(err)
			}
			ids, next := entries(t, list)
			for _, id := range ids {
				if len(id.Namespace) != 1 || id.Namespace[0] != parent {
					t.Fatalf("%v is not in %q", id, parent)
				}
				names = append(names, id.Name)
			}
			return names, next
		},
	},
	"namespaces": {
		key: func(parent, name string) []byte { return state.NamespaceKey("default", []string{parent, name}) },
		list: func(t rapid.TB, c *Catalog, parent string, page Page) (names []string, next string) {
			list, err := c.ListNamespaces(context.Background(), Read{}, "", Namespace{parent}, page)
			if err != nil {
				t.Fatal(err)
			}
			paths, next := entries(t, list)
			for _, path := range paths {
				if len(path) != 2 || path[0] != parent {
					t.Fatalf("%v is not in %q", path, parent)
				}
				names = append(names, path[1])
			}
			return names, next
		},
	},
}

// Whatever comes and goes between two pages, what stays is seen exactly once, and
// in byte order.
func TestPagesWhileEntriesComeAndGo(t *testing.T) {
	t.Parallel()
	for kind, k := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.node()
			parents := 0
			rapid.Check(t, func(t *rapid.T) {
				parents++
				parent := fmt.Sprintf("p%d", parents)
				mustNamespace(s.t, c, parent)
				// Neighbours in the order of keys, whose entries must not show.
				for _, other := range []string{parent + "\x01", parent[:len(parent)-1] + "\x00"} {
					s.fill(t, k.key(other, "x"), state.TableKey("default", []string{parent, "deeper"}, "x"), state.ViewKey("default", []string{parent}, "x"))
				}
				// Short names of few letters: there are many prefixes of each other.
				name := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\x1f/\u00e9\U0001f600")), 1, 4, -1)
				there := map[string]bool{}
				stayed := map[string]bool{}
				for _, n := range rapid.SliceOfN(name, 0, 40).Draw(t, "names") {
					there[n], stayed[n] = true, true
					s.fill(t, k.key(parent, n))
				}
				page := Page{Paged: true, Size: rapid.IntRange(1, 7).Draw(t, "page size")}
				may := func(string) bool { return true }
				switch rapid.IntRange(0, 3).Draw(t, "filter") {
				case 1:
					may = func(n string) bool { return !strings.Contains(n, "b") }
					page.Filter = FilterFunc(may)
				case 2:
					of := rapid.SliceOfN(name, 0, 8).Draw(t, "may be seen")
					slices.Sort(of)
					of = slices.Compact(of)
					may = func(n string) bool { return slices.Contains(of, n) }
					page.Filter = filter{may: may, ranges: only(of...)}
				case 3:
					prefix := name.Draw(t, "prefix")
					may = func(n string) bool { return strings.HasPrefix(n, prefix) && !strings.HasSuffix(n, "b") || n == "\x00" }
					page.Filter = filter{may: may, ranges: []state.NameRange{state.OneName("\x00"), state.NamesWith(prefix)}}
					if strings.HasPrefix("\x00", prefix) || prefix < "\x00" {
						page.Filter = filter{may: may, ranges: []state.NameRange{state.NamesWith(prefix)}}
					}
				}
				seen := map[string]int{}
				var order []string
				for rounds := 0; ; rounds++ {
					if rounds > 400 {
						t.Fatal("the listing does not end")
					}
					names, next := k.list(t, c, parent, page)
					if len(names) > page.Size || next != "" && len(names) != page.Size {
						t.Fatalf("a page of %d has %d entries and next %q", page.Size, len(names), next)
					}
					for _, n := range names {
						if !there[n] || !may(n) {
							t.Fatalf("%q is listed and not there, or not to be seen", n)
						}
						seen[n]++
					}
					if order = append(order, names...); next == "" {
						break
					}
					// The token tells of nothing but what was seen.
					if raw, err := base64.RawURLEncoding.DecodeString(next); err != nil || !bytes.HasSuffix(raw, k.key(parent, names[len(names)-1])) {
						t.Fatalf("after %q the token is %q", names, raw)
					}
					page.Token = next
					for range rapid.IntRange(0, 3).Draw(t, "changes") {
						n := name.Draw(t, "changed")
						if there[n] {
							s.remove(t, k.key(parent, n))
						} else {
							s.fill(t, k.key(parent, n))
						}
						there[n] = !there[n]
						delete(stayed, n)
					}
				}
				for n := range stayed {
					if may(n) && seen[n] != 1 {
						t.Fatalf("%q stayed and was seen %d times", n, seen[n])
					}
				}
				if !slices.IsSorted(order) || len(slices.Compact(slices.Clone(order))) != len(order) {
					t.Fatalf("seen as %q", order)
				}
				whole, next := k.list(t, c, parent, Page{Filter: page.Filter})
				want := slices.DeleteFunc(slices.Sorted(maps.Keys(maps.Collect(alive(there)))), func(n string) bool { return !may(n) })
				if next != "" || !slices.Equal(whole, want) {
					t.Fatalf("the whole is %q, want %q", whole, want)
				}
			})
		})
	}
}

// filter is what of a listing is seen.
type filter struct {
	may    func(name string) bool
	ranges []state.NameRange
}

func (f filter) Allows(name string) bool   { return f.may(name) }
func (f filter) Ranges() []state.NameRange { return f.ranges }

// only are the ranges of some names.
func only(names ...string) (out []state.NameRange) {
	for _, name := range names {
		out = append(out, state.OneName(name))
	}
	return out
}

// Where few of very many entries are seen, the page is full of them all the same,
// and the last one says that it is the last.
func TestAPageIsCutOfWhatIsSeen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "a")
	var keys [][]byte
	for i := range scanChunk + 2000 {
		keys = append(keys, state.TableKey("default", []string{"a"}, fmt.Sprintf("t%06d", i)))
	}
	s.fill(t, keys...)
	want := []string{"t000000", "t000999", "t004999", "t005000", "t005001", "t006000"}
	may := func(n string) bool { return slices.Contains(want, n) }
	for _, f := range []Filter{
		FilterFunc(may), filter{may, only(append([]string{"gone"}, want...)...)},
		filter{may, []state.NameRange{state.OneName("gone"), state.NamesWith("t000"), {From: "t0049", To: "t005001"}, {From: "t005001"}}},
	} {
		var got []string
		page := Page{Paged: true, Size: 3, Filter: f}
		for pages := 1; ; pages++ {
			list, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, page)
			if err != nil {
				t.Fatal(err)
			}
			ids, next := entries(t, list)
			if len(ids) != 3 || (next == "") != (pages == 2) {
				t.Fatalf("page %d has %d entries, next %q", pages, len(ids), next)
			}
			for _, id := range ids {
				got = append(got, id.Name)
			}
			if page.Token = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// A page of very many entries of which nearly none is seen ends before it is full,
// but never without an entry, and only where there is another one.
func TestAPageThatLooksAtMuchEndsEarly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "a")
	var keys [][]byte
	for i := range 7 * scanChunk {
		keys = append(keys, state.TableKey("default", []string{"a"}, fmt.Sprintf("t%06d", i)))
	}
	s.fill(t, keys...)
	name := func(i int) string { return fmt.Sprintf("t%06d", i) }
	want := []string{name(1), name(2), name(5 * scanChunk), name(5*scanChunk + 1), name(6 * scanChunk)}
	looked := 0
	page := Page{Paged: true, Size: 100, Filter: FilterFunc(func(n string) bool {
		looked++
		return slices.Contains(want, n)
	})}
	for pages, wanted := range [][]string{want[:2], want[2:3], want[3:]} {
		looked = 0
		list, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, page)
		if err != nil {
			t.Fatal(err)
		}
		list.most = 2 * scanChunk
		ids, next := entries(t, list)
		var got []string
		for _, id := range ids {
			got = append(got, id.Name)
		}
		if !slices.Equal(got, wanted) || (next == "") != (pages == 2) || looked > 6*scanChunk {
			t.Fatalf("page %d is %q, next %q, want %q; it looked at %d", pages, got, next, wanted, looked)
		}
		page.Token = next
	}
	// Without pages all of it is the answer.
	list, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, Page{Filter: page.Filter})
	if err != nil {
		t.Fatal(err)
	}
	list.most = 1
	if ids, next := entries(t, list); len(ids) != len(want) || next != "" {
		t.Errorf("without pages: %d entries, next %q", len(ids), next)
	}
}

// Nobody goes on to look for a client that has left.
func TestAListingStopsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "a")
	var keys [][]byte
	for i := range 2 * scanChunk {
		keys = append(keys, state.TableKey("default", []string{"a"}, fmt.Sprintf("t%06d", i)))
	}
	s.fill(t, keys...)
	ctx, leave := context.WithCancel(t.Context())
	looked := 0
	list, err := c.ListTables(ctx, Read{}, "", Namespace{"a"}, Page{Filter: FilterFunc(func(string) bool {
		looked++
		leave()
		return false
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	if _, err := list.Each(ctx, func(Identifier) error { return nil }); !errors.Is(err, context.Canceled) || looked != scanChunk {
		t.Errorf("%v after %d entries", err, looked)
	}
}

func alive(there map[string]bool) func(yield func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		for n, is := range there {
			if is && !yield(n, true) {
				return
			}
		}
	}
}

// A listing shows one state, however long it takes to read.
func TestAListingIsOfOneState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "a")
	const n = 2*listChunk + 10
	var keys [][]byte
	for i := range n {
		keys = append(keys, state.TableKey("default", []string{"a"}, fmt.Sprintf("t%05d", i)))
	}
	s.fill(t, keys...)
	list, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, Page{})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	seen := 0
	next, err := list.Each(t.Context(), func(Identifier) error {
		if seen++; seen == 1 {
			for _, key := range keys[n/2:] {
				s.remove(t, key)
			}
			s.fill(t, state.TableKey("default", []string{"a"}, "u"))
		}
		return nil
	})
	if err != nil || next != "" || seen != n {
		t.Errorf("%d entries of %d, next %q, error %v", seen, n, next, err)
	}
	broken := errors.New("broken")
	again, err := c.ListTables(t.Context(), Read{}, "", Namespace{"a"}, Page{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Each(t.Context(), func(Identifier) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// FuzzPageToken reads any token: it is refused, or leads into its own listing.
func FuzzPageToken(f *testing.F) {
	all := state.TablesOf("default", []string{"a"})
	f.Add(pageToken(all, state.TableKey("default", []string{"a"}, "t")))
	f.Add(pageToken(state.TablesOf("default", []string{"b"}), state.TableKey("default", []string{"b"}, "t")))
	f.Add(pageToken(all, all.End))
	f.Add("")
	f.Add(strings.Repeat("A", 1000))
	f.Fuzz(func(t *testing.T, token string) {
		start, err := pageStart(all, token)
		if err != nil {
			if KindOf(err) != KindInvalid || start != nil {
				t.Fatalf("%q: %v", token, err)
			}
			return
		}
		if bytes.Compare(start, all.Start) < 0 || bytes.Compare(start, all.End) > 0 {
			t.Fatalf("%q leads to %x", token, start)
		}
		if raw, err := base64.RawURLEncoding.DecodeString(token); token != "" && (err != nil || pageToken(all, raw[tokenScopeBytes:]) == "") {
			t.Fatalf("%q is no token of ours", token)
		}
	})
}

// BenchmarkPages reads 10,000 tables in pages of 1,000.
func BenchmarkPages(b *testing.B) {
	s := newSite(b)
	c := s.node()
	mustNamespace(b, c, "a")
	var keys [][]byte
	for i := range 10_000 {
		keys = append(keys, state.TableKey("default", []string{"a"}, fmt.Sprintf("table_%05d", i)))
	}
	s.fill(b, keys...)
	page := Page{Paged: true, Size: 1000}
	for b.Loop() {
		list, err := c.ListTables(b.Context(), Read{}, "", Namespace{"a"}, page)
		if err != nil {
			b.Fatal(err)
		}
		_, page.Token = entries(b, list)
	}
}
