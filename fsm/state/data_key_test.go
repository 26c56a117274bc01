package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/floeberg/floeberg/fsm/fsmtest"
	"github.com/floeberg/floeberg/fsm/state"
)

// The keys as they stand in states that exist.
func TestGoldenDataKeyKeys(t *testing.T) {
	t.Parallel()
	id := []byte("0123456789abcdef")
	for want, got := range map[string][]byte{
		"\x3c\x000123456789abcdef":  state.DataKeyKey(id),
		"\x3c\x010123456789abcdef":  state.DataKeySealsKey(id),
		"\x3c\x02warehouse\x00\x01": state.SealedKindKey("warehouse"),
	} {
		if string(got) != want {
			t.Errorf("got %q, golden %q", got, want)
		}
	}
	if !within(state.DataKeySealsKey(id), state.DataKeysThatSeal()) {
		t.Error("what tells of a key that it seals is out of its range")
	}
	if within(state.DataKeyKey(id), state.DataKeysThatSeal()) || within(state.SealedKindKey("\x00"), state.DataKeysThatSeal()) {
		t.Error("something else is taken for it")
	}
}

func TestDataKeys(t *testing.T) {
	t.Parallel()
	log := fsmtest.NewLog(t)
	first, second := []byte("0123456789abcdef"), []byte("1123456789abcdef")
	read := func() *state.DataKeys {
		t.Helper()
		v, err := log.State()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		keys, err := v.DataKeys()
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if diff := cmp.Diff(&state.DataKeys{}, read()); diff != "" {
		t.Errorf("(-none +got)\n%s", diff)
	}
	want := &state.DataKeys{Seals: second, Kinds: []string{"a", "warehouse"}, Keys: []*state.DataKey{
		{Id: first, Wrapped: []byte("w"), ClusterKey: "local:1", CreatedMs: 1}, {Id: second, Wrapped: []byte("x"), ClusterKey: "local:2", CreatedMs: 2},
	}}
	for _, rec := range want.Keys {
		log.Put(t, state.DataKeyKey(rec.Id), rec)
	}
	log.PutBytes(t, state.DataKeySealsKey(second), nil)
	for _, kind := range want.Kinds {
		log.PutBytes(t, state.SealedKindKey(kind), nil)
	}
	got := read()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if rec, ok := got.Find(second); !ok || rec.GetClusterKey() != "local:2" {
		t.Errorf("found %v, %v", rec, ok)
	}
	if rec, ok := got.Find([]byte("other")); ok {
		t.Errorf("found %v", rec)
	}
	log.PutBytes(t, append(state.SealedKindKey("warehouse"), 'x'), nil)
	v, err := log.State()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if keys, err := v.DataKeys(); err == nil {
		t.Errorf("a malformed key is read as %v", keys)
	}
}
