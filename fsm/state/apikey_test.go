package state_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/state"
)

// The keys as they stand in states that exist.
func TestGoldenKeysOfAPIKeys(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]byte{
		"\x38":                  state.KeysChangedKey(),
		"\x38\x01key-1\x00\x01": state.KeyIDKey("key-1"),
		"\x39key-1\x00\x01":     state.KeyUseKey("key-1"),
	} {
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestKeyIDs(t *testing.T) {
	t.Parallel()
	all := state.KeyIDs()
	for _, id := range []string{"", "key-1", "a\x00b", "\xff\xff"} {
		key := state.KeyIDKey(id)
		if got, err := state.KeyID(key); err != nil || got != id {
			t.Errorf("got %q, %v, want %q", got, err, id)
		}
		if bytes.Compare(key, all.Start) < 0 || bytes.Compare(key, all.End) >= 0 {
			t.Errorf("%q is none of the ids", id)
		}
	}
	for _, key := range [][]byte{nil, state.KeysChangedKey(), state.KeyUseKey("key-1"), state.KeyIDKey("key-1")[:5], append(state.KeyIDKey("k"), 1)} {
		if id, err := state.KeyID(key); err == nil {
			t.Errorf("%x is taken for %q", key, id)
		}
	}
	if changed := state.KeysChangedKey(); bytes.Compare(changed, all.Start) >= 0 {
		t.Error("what changes with each key is one of them")
	}
}

func TestEndOfAnAPIKey(t *testing.T) {
	t.Parallel()
	kept := uint64(state.APIKeyKept / time.Millisecond)
	for name, tc := range map[string]struct {
		key         *state.APIKey
		ended, kept uint64
	}{
		"for ever":            {&state.APIKey{}, 0, 0},
		"expires":             {&state.APIKey{ExpiresMs: 100}, 100, 100 + kept},
		"revoked":             {&state.APIKey{RevokedMs: 50}, 50, 50 + kept},
		"revoked before":      {&state.APIKey{RevokedMs: 50, ExpiresMs: 100}, 50, 50 + kept},
		"a node's own":        {&state.APIKey{Bootstrap: true}, 0, 0},
		"a node's own, ended": {&state.APIKey{Bootstrap: true, RevokedMs: 50}, 50, 0},
	} {
		if got := tc.key.EndedMs(); got != tc.ended {
			t.Errorf("%s: ends at %d, want %d", name, got, tc.ended)
		}
		if got := tc.key.KeptUntilMs(); got != tc.kept {
			t.Errorf("%s: kept until %d, want %d", name, got, tc.kept)
		}
	}
	if got := (&state.APIKey{Id: "key-1"}).PrincipalID(); got != "key-1" {
		t.Errorf("got %q", got)
	}
	if got := (&state.APIKey{Id: "key-2", Principal: "key-1"}).PrincipalID(); got != "key-1" {
		t.Errorf("got %q", got)
	}
}
