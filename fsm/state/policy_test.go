package state_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/fsm/state"
)

func TestPolicyKeys(t *testing.T) {
	t.Parallel()
	names := anyNames()
	rapid.Check(t, func(t *rapid.T) {
		scope, other := names.Draw(t, "scope"), names.Draw(t, "other")
		if rapid.Bool().Draw(t, "same scope") {
			other = scope
		}
		got, err := state.PolicyScope(state.PolicySetKey(scope))
		if err != nil || got != scope {
			t.Fatalf("got %q, %v, want %q", got, err, scope)
		}
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		if in := within(state.PolicyVersionKey(other, a), state.PolicyVersionsOf(scope)); in != (other == scope) {
			t.Fatalf("version %d of %q among those of %q: %v", a, other, scope, in)
		}
		if ordered := bytes.Compare(state.PolicyVersionKey(scope, a), state.PolicyVersionKey(scope, b)) < 0; ordered != (a < b) {
			t.Fatalf("versions %d and %d are out of order", a, b)
		}
	})
	whole := state.PolicySetKey("w")
	for _, key := range [][]byte{nil, whole[:1], whole[:2], append(bytes.Clone(whole), 0), state.WarehouseKey("w"), state.PolicyVersionKey("w", 1)} {
		if _, err := state.PolicyScope(key); !errors.Is(err, state.ErrBadKey) {
			t.Errorf("%x: %v", key, err)
		}
	}
}

// The keys as they stand in states that exist.
func TestGoldenPolicyKeys(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]byte{
		"\x30\x00\x01":  state.PolicySetKey(""),
		"\x30w\x00\x01": state.PolicySetKey("w"),
		"\x31\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01":  state.PolicyVersionKey("", 1),
		"\x31w\x00\x01\x00\x00\x00\x00\x00\x00\x01\x00": state.PolicyVersionKey("w", 256),
	} {
		if string(got) != want {
			t.Errorf("got %q, golden %q", got, want)
		}
	}
}
