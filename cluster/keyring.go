package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
)

// keyIDBytes is how much of a key's hash is its id: enough to tell a cluster's
// keys apart.
const keyIDBytes = 6

// GossipKeyID is the name of a gossip key: a short hash. Keys themselves are
// neither shown nor logged.
func GossipKeyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:keyIDBytes])
}

// keyring is the keys that this node's gossip is encrypted with, kept in a file:
// a node that was restarted goes on with the keys that the others have. Its
// methods work on nil, for a node without encryption, where they can.
type keyring struct {
	path string // "" keeps no file
	ring *memberlist.Keyring

	mu   sync.Mutex
	keys [][]byte // the first one encrypts
}

// openKeyring reads the keys that are kept; the seed is the first key of a node
// that has none. Nil is no encryption.
func openKeyring(path string, seed []byte, logger *slog.Logger) (*keyring, error) {
	keys, err := readKeyring(path)
	if err != nil {
		return nil, err
	}
	kept := len(keys) > 0
	if !kept && len(seed) > 0 {
		keys = [][]byte{seed}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	if len(seed) > 0 && !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, seed) }) {
		logger.Warn("the gossip key that was given is not used: this node has a keyring, in which it is not",
			"given", GossipKeyID(seed), "used", GossipKeyID(keys[0]), "keyring", path)
	}
	k := &keyring{path: path, keys: keys}
	if k.ring, err = memberlist.NewKeyring(keys, keys[0]); err != nil {
		return nil, fmt.Errorf("cluster: gossip keys: %w", err)
	}
	if !kept {
		if err := k.write(keys); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func readKeyring(path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var keys [][]byte
	if err == nil {
		// Not with the reader's words below: they may quote the file.
		if json.Unmarshal(raw, &keys) != nil || len(keys) == 0 || slices.ContainsFunc(keys, func(k []byte) bool { return memberlist.ValidateKey(k) != nil }) {
			err = errors.New("it is not a list of keys; put it back, or take it away to begin with the key that is given")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: gossip keyring %s: %w", path, err)
	}
	return keys, nil
}

// write keeps the keys, whole or not at all.
func (k *keyring) write(keys [][]byte) error {
	if k.path == "" {
		return nil
	}
	raw, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	if err := replaceFile(k.path, append(raw, '\n')); err != nil {
		return fmt.Errorf("cluster: gossip keyring: %w", err)
	}
	return nil
}

// ids names the keys; the first one encrypts.
func (k *keyring) ids() []string {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]string, len(k.keys))
	for i, key := range k.keys {
		out[i] = GossipKeyID(key)
	}
	return out
}

var errNotEncrypted = errors.New("gossip is not encrypted: start every node with a gossip key first")

// install takes a key, to decrypt with.
func (k *keyring) install(key []byte) error {
	if err := memberlist.ValidateKey(key); err != nil {
		return err
	}
	return k.change(func(keys [][]byte) ([][]byte, error) {
		if slices.ContainsFunc(keys, func(other []byte) bool { return bytes.Equal(other, key) }) {
			return keys, nil
		}
		return append(keys, bytes.Clone(key)), nil
	}, func() error { return k.ring.AddKey(key) })
}

// use encrypts with a key that is there.
func (k *keyring) use(id string) error {
	var key []byte
	return k.change(func(keys [][]byte) ([][]byte, error) {
		i := indexOfKey(keys, id)
		if i < 0 {
			return nil, fmt.Errorf("there is no key %s: install it first", id)
		}
		key = keys[i]
		return slices.Concat([][]byte{key}, keys[:i], keys[i+1:]), nil
	}, func() error { return k.ring.UseKey(key) })
}

// remove forgets a key that does not encrypt; one that is not there is no error.
func (k *keyring) remove(id string) error {
	var had [][]byte
	at := -1
	return k.change(func(keys [][]byte) ([][]byte, error) {
		if at = indexOfKey(keys, id); at == 0 {
			return nil, fmt.Errorf("the key %s encrypts: use another one first", id)
		}
		had = keys
		if at < 0 {
			return keys, nil
		}
		return slices.Concat(keys[:at], keys[at+1:]), nil
	}, func() error {
		if at < 0 {
			return nil
		}
		// memberlist takes a key out of the very list that its receivers go through,
		// unless it is the last one. To use a key puts it first, in a new list: so the
		// others that stand behind go before it.
		for i := len(had) - 1; i > at; i-- {
			if err := k.ring.UseKey(had[i]); err != nil {
				return err
			}
		}
		return errors.Join(k.ring.UseKey(had[0]), k.ring.RemoveKey(had[at]))
	})
}

// change makes a change on disk and then in memory: what is used is always kept.
func (k *keyring) change(next func([][]byte) ([][]byte, error), apply func() error) error {
	if k == nil {
		return errNotEncrypted
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, err := next(slices.Clone(k.keys))
	if err != nil {
		return err
	}
	if err := k.write(keys); err != nil {
		return err
	}
	k.keys = keys
	return apply()
}

func indexOfKey(keys [][]byte, id string) int {
	return slices.IndexFunc(keys, func(key []byte) bool { return GossipKeyID(key) == id })
}

// ParseGossipKey reads a key as it is written: base64 of 16, 24 or 32 bytes.
func ParseGossipKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || memberlist.ValidateKey(key) != nil {
		return nil, errors.New("expected base64 of 16, 24 or 32 bytes")
	}
	return key, nil
}

// keyFault says what is wrong with this node's keys where others were reached and
// not understood, or "". memberlist tells the reasons apart by their words alone;
// a test notices when those change.
func keyFault(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "installed keys could decrypt"):
		return "the other nodes gossip with a key that this node does not have: take its keyring away, and start it with the --gossip-key that they use"
	case strings.Contains(text, "encryption is not configured"):
		return "the other nodes encrypt gossip and this one does not: start it with the --gossip-key that they use"
	case strings.Contains(text, "remote state is not encrypted"):
		return "this node encrypts gossip and the others do not: start all of them with the same --gossip-key"
	}
	return ""
}
