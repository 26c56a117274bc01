package secret

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// keeper wraps data keys: the node itself with a key that it holds, or a service that
// gives its key away to nobody.
type keeper interface {
	// encrypt wraps a data key.
	encrypt(ctx context.Context, plain []byte) ([]byte, error)
	// decrypt unwraps it.
	decrypt(ctx context.Context, wrapped []byte) ([]byte, error)
}

// localKeeper is a key that the node holds. What it wraps is a version, a random nonce
// and the data key with its tag (XChaCha20-Poly1305).
type localKeeper struct{ key cipher.AEAD }

const (
	wrappedVersion = 1
	// wrappedFor sets what is authenticated here apart from all else under the same key.
	wrappedFor = "floeberg data key\x00\x01"
)

func newLocalKeeper(key []byte) (localKeeper, error) {
	aead, err := chacha20poly1305.NewX(key)
	return localKeeper{aead}, err
}

func (k localKeeper) encrypt(_ context.Context, plain []byte) ([]byte, error) {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	out[0] = wrappedVersion
	_, _ = rand.Read(out[1:]) // never fails
	return k.key.Seal(out, out[1:], plain, []byte(wrappedFor)), nil
}

func (k localKeeper) decrypt(_ context.Context, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 1+chacha20poly1305.NonceSizeX || wrapped[0] != wrappedVersion {
		return nil, errors.New("it is wrapped in a way that this program does not know")
	}
	nonce, sealed := wrapped[1:1+chacha20poly1305.NonceSizeX], wrapped[1+chacha20poly1305.NonceSizeX:]
	plain, err := k.key.Open(nil, nonce, sealed, []byte(wrappedFor))
	if err != nil {
		return nil, errors.New("it was wrapped by another key, or changed since")
	}
	return plain, nil
}
