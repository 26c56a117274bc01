package state_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/fsm/state"
)

// anyNames draws names of any bytes, with those that the encoding uses often.
// Each test makes its own: a generator remembers what it is called, unguarded,
// while it draws, so parallel tests can't share one.
func anyNames() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 2, 'a', '/', '.', 0x1F, 0xFF}), 0, 4, -1),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes")) }),
	)
}

func anyPaths() *rapid.Generator[[]string] { return rapid.SliceOfN(anyNames(), 0, 4) }

func within(key []byte, r state.KeyRange) bool {
	return bytes.Compare(r.Start, key) <= 0 && bytes.Compare(key, r.End) < 0
}

func TestKeysComeBack(t *testing.T) {
	t.Parallel()
	names, paths := anyNames(), anyPaths()
	rapid.Check(t, func(t *rapid.T) {
		warehouse, path, name := names.Draw(t, "warehouse"), paths.Draw(t, "path"), names.Draw(t, "name")
		if path == nil {
			path = []string{}
		}
		w, err := state.WarehouseName(state.WarehouseKey(warehouse))
		if err != nil || w != warehouse {
			t.Fatalf("warehouse: %q, %v", w, err)
		}
		w, p, err := state.NamespacePath(state.NamespaceKey(warehouse, path))
		if err != nil || w != warehouse || !slices.Equal(p, path) {
			t.Fatalf("namespace: %q %q, %v", w, p, err)
		}
		w, p, n, err := state.TableName(state.TableKey(warehouse, path, name))
		if err != nil || w != warehouse || !slices.Equal(p, path) || n != name {
			t.Fatalf("table: %q %q %q, %v", w, p, n, err)
		}
		w, p, n, err = state.ViewName(state.ViewKey(warehouse, path, name))
		if err != nil || w != warehouse || !slices.Equal(p, path) || n != name {
			t.Fatalf("view: %q %q %q, %v", w, p, n, err)
		}
		list, ordinal := rapid.Uint8().Draw(t, "list"), rapid.Uint64().Draw(t, "ordinal")
		l, o, err := state.PartOf(state.PartKey(make([]byte, 16), list, ordinal))
		if err != nil || l != list || o != ordinal {
			t.Fatalf("part: %d %d, %v", l, o, err)
		}
	})
}

// Siblings sort as their names do: a page of a listing is a range.
func TestSiblingsSortByName(t *testing.T) {
	t.Parallel()
	names, paths := anyNames(), anyPaths()
	rapid.Check(t, func(t *rapid.T) {
		path, a, b := paths.Draw(t, "path"), names.Draw(t, "a"), names.Draw(t, "b")
		want := bytes.Compare([]byte(a), []byte(b))
		if got := bytes.Compare(state.TableKey("w", path, a), state.TableKey("w", path, b)); got != want {
			t.Fatalf("tables %q and %q: %d instead of %d", a, b, got, want)
		}
		if got := bytes.Compare(state.NamespaceKey("w", append(slices.Clone(path), a)), state.NamespaceKey("w", append(slices.Clone(path), b))); got != want {
			t.Fatalf("namespaces %q and %q: %d instead of %d", a, b, got, want)
		}
	})
}

// A range of names holds the keys of those names and of no others.
func TestRangesOfNames(t *testing.T) {
	t.Parallel()
	names, paths := anyNames(), anyPaths()
	rapid.Check(t, func(t *rapid.T) {
		path, name := paths.Draw(t, "path"), names.Draw(t, "name")
		r := state.NameRange{From: names.Draw(t, "from"), To: names.Draw(t, "to")}
		switch rapid.IntRange(0, 2).Draw(t, "of") {
		case 1:
			r = state.OneName(r.From)
			if !r.One() {
				t.Fatalf("%q is not one name", r)
			}
		case 2:
			r = state.NamesWith(r.From)
			// Where a prefix is of bytes that have no next one, the range goes on to the end.
			if has := r.From <= name && name < r.To; r.To != "" && has != strings.HasPrefix(name, r.From) {
				t.Fatalf("%q begins with %q: %v", name, r.From, has)
			}
		}
		all := state.TablesOf("w", path)
		key := state.TableKey("w", path, name)
		want := r.From <= name && (r.To == "" || name < r.To)
		if got := within(key, state.KeysIn(all, r)); got != want {
			t.Fatalf("%q in %q: %v", name, r, got)
		}
		if got, err := state.NameIn(all, key); err != nil || got != name {
			t.Fatalf("%q is %q, %v", name, got, err)
		}
		if !bytes.Equal(state.KeyIn(all, name), key) {
			t.Fatalf("%q has two keys", name)
		}
	})
	all := state.TablesOf("w", []string{"a"})
	for _, key := range [][]byte{nil, all.Start, state.ViewKey("w", []string{"a"}, "t"), append(state.TableKey("w", []string{"a"}, "t"), "junk"...)} {
		if name, err := state.NameIn(all, key); !errors.Is(err, state.ErrBadKey) {
			t.Errorf("%x is the key of %q, %v", key, name, err)
		}
	}
}

// A range holds what it says and nothing of a neighbour, whatever the names are.
func TestRangesHoldTheirOwn(t *testing.T) {
	t.Parallel()
	names, paths := anyNames(), anyPaths()
	rapid.Check(t, func(t *rapid.T) {
		warehouse, parent := names.Draw(t, "warehouse"), paths.Draw(t, "parent")
		otherWarehouse, path, name := names.Draw(t, "other"), paths.Draw(t, "path"), names.Draw(t, "name")
		if rapid.Bool().Draw(t, "same warehouse") {
			otherWarehouse = warehouse
		}
		if rapid.Bool().Draw(t, "below") {
			path = append(slices.Clone(parent), path...)
		}
		isChild := otherWarehouse == warehouse && len(path) == len(parent)+1 && slices.Equal(path[:len(parent)], parent)
		if got := within(state.NamespaceKey(otherWarehouse, path), state.ChildNamespaces(warehouse, parent)); got != isChild {
			t.Fatalf("namespace %q of %q among the children of %q of %q: %v", path, otherWarehouse, parent, warehouse, got)
		}
		inIt := otherWarehouse == warehouse && slices.Equal(path, parent)
		if got := within(state.TableKey(otherWarehouse, path, name), state.TablesOf(warehouse, parent)); got != inIt {
			t.Fatalf("table in %q of %q among those of %q of %q: %v", path, otherWarehouse, parent, warehouse, got)
		}
		if got := within(state.ViewKey(otherWarehouse, path, name), state.ViewsOf(warehouse, parent)); got != inIt {
			t.Fatalf("view in %q of %q among those of %q of %q: %v", path, otherWarehouse, parent, warehouse, got)
		}
		if within(state.ViewKey(warehouse, parent, name), state.TablesOf(warehouse, parent)) {
			t.Fatal("a view among the tables")
		}
	})
}

func TestPartsOfATable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xFE, 0xFF}), 16, 16)
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		key := state.PartKey(b, rapid.Uint8().Draw(t, "list"), rapid.Uint64().Draw(t, "ordinal"))
		if got := within(key, state.PartsOf(a)); got != bytes.Equal(a, b) {
			t.Fatalf("part of %x among those of %x: %v", b, a, got)
		}
	})
	id := make([]byte, 16)
	ordered := [][]byte{
		state.PartKey(id, 0, 0), state.PartKey(id, 0, 1), state.PartKey(id, 0, 256), state.PartKey(id, 0, 1<<63),
		state.PartKey(id, 1, 0), state.PartKey(id, 255, 1<<64-1),
	}
	if !slices.IsSortedFunc(ordered, bytes.Compare) {
		t.Error("parts are out of order")
	}
}

func TestLocationsBelow(t *testing.T) {
	t.Parallel()
	below := state.LocationsBelow("s3://b/sales")
	for location, want := range map[string]bool{
		"s3://b/sales":         true,
		"s3://b/sales/t":       true,
		"s3://b/sales/t/u":     true,
		"s3://b/sales\x00":     false,
		"s3://b/sales2":        false,
		"s3://b/sales-archive": false,
		"s3://b/sale":          false,
		"s3://b":               false,
	} {
		if got := within(state.LocationKey(location), below); got != want {
			t.Errorf("%q: %v", location, got)
		}
	}
}

func TestMalformedKeys(t *testing.T) {
	t.Parallel()
	whole := state.TableKey("w", []string{"a"}, "t")
	for i := range whole {
		if _, _, _, err := state.TableName(whole[:i]); !errors.Is(err, state.ErrBadKey) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	space := []byte{byte(state.SpaceTable)}
	for name, key := range map[string][]byte{
		"of another kind": state.ViewKey("w", nil, "t"),
		"too deep":        append(bytes.Clone(whole), whole[1:]...),
		"no name":         append(append(space, 'w', 0, 1), 0, 0),
		"bad escape":      append(space, 'w', 0, 7),
		"half an escape":  append(space, 'w', 0),
	} {
		if _, _, _, err := state.TableName(key); !errors.Is(err, state.ErrBadKey) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := state.NamespacePath(key); !errors.Is(err, state.ErrBadKey) {
			t.Errorf("%s as a namespace: %v", name, err)
		}
	}
	for _, key := range [][]byte{nil, {byte(state.SpacePart)}, state.HeadKey(make([]byte, 16))} {
		if _, _, err := state.PartOf(key); !errors.Is(err, state.ErrBadKey) {
			t.Errorf("part %x: %v", key, err)
		}
	}
}

func TestPurgeRanges(t *testing.T) {
	t.Parallel()
	at, below := state.PurgesAt("s3://b/sales"), state.PurgesBelow("s3://b/sales")
	for location, want := range map[string][2]bool{
		"s3://b/sales":         {true, true},
		"s3://b/sales/t":       {false, true},
		"s3://b/sales-archive": {false, false},
		"s3://b/sale":          {false, false},
		"s3://b":               {false, false},
	} {
		for _, id := range [][]byte{make([]byte, 16), bytes.Repeat([]byte{0xFF}, 16)} {
			key := state.PurgeKey(location, id)
			if got := [2]bool{within(key, at), within(key, below)}; got != want {
				t.Errorf("%s: at and below are %v, want %v", location, got, want)
			}
			if within(state.PurgesEndedKey(), state.PurgesBelow(location)) || within(state.PurgesEndedKey(), state.PurgesAt(location)) {
				t.Errorf("%s: the mark of the last end is taken for a purge", location)
			}
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add(state.TableKey("w", []string{"a", "\x00"}, "t"))
	f.Add([]byte{byte(state.SpaceNamespace), 0, 1, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, key []byte) {
		if w, path, name, err := state.TableName(key); err == nil && !bytes.Equal(state.TableKey(w, path, name), key) {
			t.Errorf("table %x", key)
		}
		if w, path, err := state.NamespacePath(key); err == nil && !bytes.Equal(state.NamespaceKey(w, path), key) {
			t.Errorf("namespace %x", key)
		}
	})
}

// The keys as they stand in states that exist.
func TestGoldenKeys(t *testing.T) {
	t.Parallel()
	id := []byte("0123456789abcdef")
	want := map[string]string{
		"cluster":   "\x10",
		"warehouse": "\x11w\x00\x01",
		"namespace": "\x12w\x00\x01\x00\x02a\x00\x01b\x00\xffc\x00\x01",
		"table":     "\x13w\x00\x01\x00\x02a\x00\x01t\x00\x01",
		"view":      "\x14w\x00\x01\x00\x01v\x00\x01",
		"head":      "\x150123456789abcdef",
		"part":      "\x160123456789abcdef\x02\x00\x00\x00\x00\x00\x00\x01\x00",
		"location":  "\x17s3://b/t/",
		"api key":   "\x18hash",
		"answer":    "\x19someone\x00\x01key\x00\x01",
		"task":      "\x1a0123456789abcdef",
		"purge":     "\x1bs3://b/t/\x000123456789abcdef",
		"changes":   "\x32",
		"in one":    "\x12w\x00\x01",
	}
	got := map[string]string{
		"cluster":   string(state.ClusterKey()),
		"warehouse": string(state.WarehouseKey("w")),
		"namespace": string(state.NamespaceKey("w", []string{"a", "b\x00c"})),
		"table":     string(state.TableKey("w", []string{"a"}, "t")),
		"view":      string(state.ViewKey("w", nil, "v")),
		"head":      string(state.HeadKey(id)),
		"part":      string(state.PartKey(id, 2, 256)),
		"location":  string(state.LocationKey("s3://b/t")),
		"api key":   string(state.APIKeyKey([]byte("hash"))),
		"answer":    string(state.AnswerKey("someone", "key")),
		"task":      string(state.TaskKey(id)),
		"purge":     string(state.PurgeKey("s3://b/t", id)),
		"changes":   string(state.WarehousesChangedKey()),
		"in one":    string(state.NamespacesOf("w").Start),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-golden +now)\n%s", diff)
	}
}

func TestUploadKeys(t *testing.T) {
	t.Parallel()
	id := []byte{0x20, 0x00, 0xFF}
	got, ok := state.UploadID(state.UploadKey(id))
	if !ok || string(got) != string(id) {
		t.Errorf("got %x, %v", got, ok)
	}
	for _, key := range [][]byte{nil, {byte(state.SpaceUpload)}, state.UploadLeaseKey(id), state.HeadKey(id)} {
		if got, ok := state.UploadID(key); ok {
			t.Errorf("%x is taken for an upload of %x", key, got)
		}
	}
}
