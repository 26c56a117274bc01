package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/floeberg/floeberg/fsm/state"
)

// What is sealed is a version, the id of the data key, a random nonce, and the secret
// with its tag (XChaCha20-Poly1305: its nonces are long enough to be random ones). The
// tag covers version, id and purpose too. These bytes are in logs and backups of any
// age: another form gets another version.
const (
	sealedVersion = 1
	headerBytes   = 1 + state.DataKeyIDBytes
	sealedBytes   = headerBytes + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead // of nothing
)

// sealedFor sets what is authenticated here apart from all else under the same key.
const sealedFor = "floeberg sealed secret\x00"

// keyID names a data key.
type keyID [state.DataKeyIDBytes]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

// readID reads the id of a data key.
func readID(raw []byte) (id keyID, err error) {
	if len(raw) != len(id) {
		return id, fmt.Errorf("%w: a data key's id has %d bytes and not %d", ErrDamaged, len(raw), len(id))
	}
	return keyID(raw), nil
}

// sealedBy reads which data key sealed a secret.
func sealedBy(sealed []byte) (keyID, error) {
	switch {
	case len(sealed) == 0:
		return keyID{}, fmt.Errorf("%w: it is empty", ErrDamaged)
	case sealed[0] != sealedVersion:
		return keyID{}, fmt.Errorf("%w: it is of version %d, which this program does not know", ErrDamaged, sealed[0])
	case len(sealed) < sealedBytes:
		return keyID{}, fmt.Errorf("%w: it is cut short, at %d bytes", ErrDamaged, len(sealed))
	}
	return keyID(sealed[1:headerBytes]), nil
}

// sealWith seals a secret.
func sealWith(id keyID, key cipher.AEAD, purpose string, plain []byte) []byte {
	out := make([]byte, headerBytes+chacha20poly1305.NonceSizeX, sealedBytes+len(plain))
	out[0] = sealedVersion
	copy(out[1:], id[:])
	nonce := out[headerBytes:]
	// Read never fails; it ends the process where there is no randomness.
	_, _ = rand.Read(nonce)
	return key.Seal(out, nonce, plain, bound(out[:headerBytes], purpose))
}

// openWith opens what a data key sealed; see sealedBy.
func openWith(key cipher.AEAD, purpose string, sealed []byte) ([]byte, error) {
	nonce := sealed[headerBytes : headerBytes+chacha20poly1305.NonceSizeX]
	plain, err := key.Open(nil, nonce, sealed[headerBytes+len(nonce):], bound(sealed[:headerBytes], purpose))
	if err != nil {
		return nil, fmt.Errorf("%w: it was not sealed for %s, or was changed since", ErrDamaged, purpose)
	}
	return plain, nil
}

// bound is what the tag covers beside the secret.
func bound(header []byte, purpose string) []byte {
	out := make([]byte, 0, len(sealedFor)+len(header)+len(purpose))
	out = append(out, sealedFor...)
	out = append(out, header...)
	return append(out, purpose...)
}
