package authn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/authz/authn"
)

func TestMintedKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		key := authn.MintKey()
		if !strings.HasPrefix(key, authn.KeyPrefix) || len(key) != len(authn.KeyPrefix)+43 {
			t.Fatalf("%q is no key", key)
		}
		if err := authn.CheckKey(key); err != nil {
			t.Fatal(err)
		}
		id := authn.KeyID(key)
		if seen[key] || seen[id] {
			t.Fatalf("%q or %q came twice", key, id)
		}
		seen[key], seen[id] = true, true
		if id != authn.KeyID(key) {
			t.Fatal("a key has two names")
		}
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for key, good := range map[string]bool{
		"":                       false,
		"short":                  false,
		strings.Repeat("k", 15):  false,
		strings.Repeat("k", 16):  true,
		strings.Repeat("k", 512): true,
		strings.Repeat("k", 513): false,
		"with a space in it, so": false,
		"ends-with-a-newline.\n": false,
		"umlaut-is-not-ascii-ü":  false,
		"~!@#$%^&*()_+-=[]{};:/": true,
	} {
		err := authn.CheckKey(key)
		if (err == nil) != good || err != nil && !errors.Is(err, authn.ErrBadKey) {
			t.Errorf("%q: %v", key, err)
		}
		if err != nil && len(key) > 10 && strings.Contains(err.Error(), key) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}
