package state_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/floeberg/floeberg/fsm/state"
)

// rows is a state.Reader over a map; a value's revision is its length.
type rows map[string][]byte

var errBroken = errors.New("broken disk")

func (r rows) Get(key []byte) (state.Value, bool, error) {
	data, ok := r[string(key)]
	if ok && data == nil {
		return state.Value{}, false, errBroken
	}
	return state.Value{Data: data, Revision: uint64(len(data))}, ok, nil
}

func (r rows) Scan(rng state.KeyRange, fn func([]byte, state.Value) bool) error {
	for _, key := range slices.Sorted(maps.Keys(r)) {
		if bytes.Compare([]byte(key), rng.Start) < 0 || bytes.Compare([]byte(key), rng.End) >= 0 {
			continue
		}
		if !fn([]byte(key), state.Value{Data: r[key]}) {
			return nil
		}
	}
	return nil
}

func (r rows) put(t *testing.T, key []byte, record proto.Message) {
	t.Helper()
	data, err := state.Encode(record)
	if err != nil {
		t.Fatal(err)
	}
	r[string(key)] = data
}

func TestTypedReads(t *testing.T) {
	t.Parallel()
	r := rows{}
	cluster := &state.Cluster{Id: "c", CreatedMs: 1}
	warehouse := &state.Warehouse{Name: "w", Root: "s3://b", AllowedRoots: []string{"s3://c"}}
	namespace := &state.Namespace{Path: []string{"a"}, Properties: map[string]string{"k": "v", "l": "w"}}
	table := &state.Table{Id: []byte("id"), MetadataLocation: "s3://b/m"}
	view := &state.ViewEntry{Id: []byte("id"), Metadata: []byte("{}")}
	apiKey := &state.APIKey{Id: "k", Groups: []string{"g"}}
	answer := &state.Answer{Outcome: &state.Answer_Done{Done: &state.Done{}}}
	r.put(t, state.ClusterKey(), cluster)
	r.put(t, state.WarehouseKey("w"), warehouse)
	r.put(t, state.NamespaceKey("w", []string{"a"}), namespace)
	r.put(t, state.TableKey("w", []string{"a"}, "t"), table)
	r.put(t, state.ViewKey("w", []string{"a"}, "v"), view)
	r.put(t, state.APIKeyKey([]byte("hash")), apiKey)
	r.put(t, state.AnswerKey("p", "key"), answer)

	released := 0
	v := state.NewView(r, 1, 2, func() { released++ })
	check := func(name string, want, got proto.Message, revision uint64, ok bool, err error) {
		t.Helper()
		data, encodeErr := state.Encode(want)
		if encodeErr != nil || err != nil || !ok || (revision != 0 && revision != uint64(len(data))) {
			t.Errorf("%s: revision %d, %v, %v", name, revision, ok, err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	gotCluster, ok, err := v.Cluster()
	check("cluster", cluster, gotCluster, 0, ok, err)
	gotWarehouse, revision, ok, err := v.Warehouse("w")
	check("warehouse", warehouse, gotWarehouse, revision, ok, err)
	gotNamespace, revision, ok, err := v.Namespace("w", []string{"a"})
	check("namespace", namespace, gotNamespace, revision, ok, err)
	gotTable, revision, ok, err := v.Table("w", []string{"a"}, "t")
	check("table", table, gotTable, revision, ok, err)
	gotView, revision, ok, err := v.View("w", []string{"a"}, "v")
	check("view", view, gotView, revision, ok, err)
	gotKey, revision, ok, err := v.APIKey([]byte("hash"))
	check("api key", apiKey, gotKey, revision, ok, err)
	gotAnswer, ok, err := v.Answer("p", "key")
	check("answer", answer, gotAnswer, 0, ok, err)

	if _, _, ok, err := v.Table("w", nil, "t"); ok || err != nil {
		t.Errorf("a table that is not there: %v, %v", ok, err)
	}
	for space, want := range map[state.Space]bool{state.SpaceTable: false, state.SpaceHead: true} {
		if empty, err := v.Empty(state.SpaceRange(space)); err != nil || empty != want {
			t.Errorf("keyspace %x empty: %v, %v", space, empty, err)
		}
	}
	v.Close()
	v.Close()
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}

func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	r := rows{
		string(state.WarehouseKey("bad")):    {0xFF},
		string(state.WarehouseKey("broken")): nil,
	}
	v := state.NewView(r, 0, 0, nil)
	defer v.Close()
	if _, _, ok, err := v.Warehouse("bad"); ok || err == nil {
		t.Errorf("bytes that are no record: %v, %v", ok, err)
	}
	if _, _, ok, err := v.Warehouse("broken"); ok || !errors.Is(err, errBroken) {
		t.Errorf("a failing disk: %v, %v", ok, err)
	}
}

// Records have one encoding, map fields included: all nodes, and a transaction
// that is sent again, say the same bytes.
func TestEncodeIsDeterministic(t *testing.T) {
	t.Parallel()
	record := &state.Namespace{Properties: map[string]string{}}
	for _, k := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		record.Properties[k] = k
	}
	want, err := state.Encode(record)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got, err := state.Encode(proto.Clone(record))
		if err != nil || !bytes.Equal(want, got) {
			t.Fatalf("%x, then %x, %v", want, got, err)
		}
	}
}
