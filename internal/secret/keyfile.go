package secret

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// keyBytes is the length of a cluster key that the node holds itself.
	keyBytes = 32
	// maxKeyFile is more than any file of a key has.
	maxKeyFile = 4 << 10
)

// localName names a key that the node holds itself, by a short hash. Keys are neither
// shown nor logged.
func localName(key []byte) string {
	sum := sha256.Sum256(append([]byte("floeberg cluster key\x00"), key...))
	return "local:" + hex.EncodeToString(sum[:8])
}

// NewKey makes a cluster key: the text of a file that is read as one, and its name.
func NewKey() (file, name string) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key) + "\n", localName(key)
}

// readKeyFile reads a key from a file that nobody else may read.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is no file", ErrBadKey, path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%w: others may read %s (%04o): chmod 0600 it, and make another key if they may have", ErrBadKey, path, info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	key, err := parseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadKey, path, err)
	}
	return key, nil
}

// readKeyVariable reads a key from the environment.
func readKeyVariable(name string) ([]byte, error) {
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return nil, fmt.Errorf("%w: the variable %s is not set in this node's environment", ErrBadKey, name)
	}
	key, err := parseKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: the variable %s: %w", ErrBadKey, name, err)
	}
	return key, nil
}

// parseKey never repeats what it reads in an error: it may be most of a secret.
func parseKey(raw []byte) ([]byte, error) {
	text := string(bytes.TrimSpace(raw))
	if len(text) == hex.EncodedLen(keyBytes) {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	for _, form := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := form.DecodeString(strings.TrimRight(text, "=")); err == nil && len(key) == keyBytes {
			return key, nil
		}
	}
	return nil, errors.New("expected 32 bytes in base64 or hex, as 'floeberg secret keygen' writes them")
}
