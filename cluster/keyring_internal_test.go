package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testKey(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 32) }

func keyIDs(keys ...int) (out []string) {
	for _, i := range keys {
		out = append(out, GossipKeyID(testKey(i)))
	}
	return out
}

// checkRing holds what is in memberlist's ring and in the file against what the
// keyring says of itself.
func checkRing(t *testing.T, k *keyring, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, k.ids()); diff != "" {
		t.Error(diff)
	}
	var inRing []string
	for _, key := range k.ring.GetKeys() {
		inRing = append(inRing, GossipKeyID(key))
	}
	if diff := cmp.Diff(want, inRing); diff != "" {
		t.Errorf("in the ring: %s", diff)
	}
	again, err := openKeyring(k.path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.ids()); diff != "" {
		t.Errorf("in the file: %s", diff)
	}
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gossip.keyring")
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	k, err := openKeyring(path, testKey(0), logger)
	if err != nil {
		t.Fatal(err)
	}
	checkRing(t, k, keyIDs(0))
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	for i := 1; i < 4; i++ {
		for range 2 { // what is so already is no error
			if err := k.install(testKey(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	checkRing(t, k, keyIDs(0, 1, 2, 3))

	// Receivers go through the ring while keys are taken out of it.
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			keys := k.ring.GetKeys()
			if len(keys) > 4 || len(keys) < 3 {
				t.Errorf("%d keys", len(keys))
			}
			for _, key := range keys {
				if len(key) != 32 {
					t.Errorf("a key of %d bytes", len(key))
				}
			}
		}
	})
	for range 2 {
		if err := k.remove(keyIDs(1)[0]); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	checkRing(t, k, keyIDs(0, 2, 3))
	for range 2 {
		if err := k.use(keyIDs(3)[0]); err != nil {
			t.Fatal(err)
		}
	}
	checkRing(t, k, keyIDs(3, 0, 2))
	for what, err := range map[string]error{
		"use another one first": k.remove(keyIDs(3)[0]),
		"install it first":      k.use(keyIDs(7)[0]),
		"key size":              k.install([]byte("short")),
		"not encrypted":         (*keyring)(nil).install(testKey(1)),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
	checkRing(t, k, keyIDs(3, 0, 2))

	// The seed counts no more, and is told of only where it is none of them.
	if _, err := openKeyring(path, testKey(2), logger); err != nil || log.String() != "" {
		t.Errorf("%v, %s", err, log.String())
	}
	again, err := openKeyring(path, testKey(9), logger)
	if err != nil {
		t.Fatal(err)
	}
	checkRing(t, again, keyIDs(3, 0, 2))
	if !strings.Contains(log.String(), GossipKeyID(testKey(9))) || strings.Contains(log.String(), string(testKey(9))) {
		t.Error(log.String())
	}

	for _, junk := range []string{"", "[]", `["c2hvcnQ="]`, `{"a":1}`, fmt.Sprintf("[%q", testKey(3))} {
		if err := os.WriteFile(path, []byte(junk), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openKeyring(path, testKey(0), logger)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "ddd") {
			t.Errorf("%q: got %v", junk, err)
		}
	}
}
