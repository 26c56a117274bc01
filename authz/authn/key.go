package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeyPrefix begins every minted key, so that scanners for leaked secrets find it.
const KeyPrefix = "fb_"

// Limits of a key's length. Operators may bring their own first key; below the
// lower limit it could be guessed, above the upper one nobody needs it and
// hashing it would be work for whoever sends it.
const (
	MinKeyBytes = 16
	MaxKeyBytes = 512
)

// ErrBadKey is returned when text can't serve as an API key.
var ErrBadKey = errors.New("authn: not a possible API key")

// MintKey makes a new API key from 256 random bits.
func MintKey() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: it would end the program instead
	return KeyPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
}

// CheckKey tells why text can't serve as an API key; nil where it can. A key
// must survive a header as it is: visible ASCII, no spaces.
func CheckKey(key string) error {
	if len(key) < MinKeyBytes || len(key) > MaxKeyBytes {
		return fmt.Errorf("%w: %d characters, must be %d to %d", ErrBadKey, len(key), MinKeyBytes, MaxKeyBytes)
	}
	if IsToken(key) {
		return fmt.Errorf("%w: it has the form of a signed token", ErrBadKey)
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] > '~' {
			return fmt.Errorf("%w: character %d is not visible ASCII", ErrBadKey, i+1)
		}
	}
	return nil
}

// HashKey is under what a key is stored. A plain hash is enough: keys are long
// and random, so there is nothing to guess, and a slow hash would let anybody
// who sends wrong keys keep the node busy.
func HashKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// KeyID is the public name of a key: the same on whichever node it is made from
// the same key.
func KeyID(key string) string {
	h := sha256.New()
	h.Write([]byte("floeberg key id\x00"))
	h.Write(HashKey(key))
	return "key-" + hex.EncodeToString(h.Sum(nil)[:8])
}
