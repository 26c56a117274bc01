package secret

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func testKey(t testing.TB) (id keyID, sealed func(purpose, plain string) []byte, open func(purpose string, sealed []byte) (string, error)) {
	t.Helper()
	key, err := chacha20poly1305.NewX(bytes.Repeat([]byte{7}, keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	id = keyID{1, 2, 3}
	sealed = func(purpose, plain string) []byte { return sealWith(id, key, purpose, []byte(plain)) }
	open = func(purpose string, raw []byte) (string, error) {
		if _, err := sealedBy(raw); err != nil {
			return "", err
		}
		plain, err := openWith(key, purpose, raw)
		return string(plain), err
	}
	return id, sealed, open
}

func TestSealed(t *testing.T) {
	t.Parallel()
	id, seal, open := testKey(t)
	sealed := seal("note/a", "the secret")
	if got, err := sealedBy(sealed); err != nil || got != id {
		t.Errorf("sealed by %s, %v", got, err)
	}
	if got, err := open("note/a", sealed); err != nil || got != "the secret" {
		t.Errorf("got %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("it can be read")
	}
	if bytes.Equal(sealed, seal("note/a", "the secret")) {
		t.Error("what is sealed twice is equal: it tells that two secrets are")
	}
	if got, err := open("note/a", seal("note/a", "")); err != nil || got != "" {
		t.Errorf("of nothing: %q, %v", got, err)
	}
	_, err := open("note/b", sealed)
	is(t, "for another purpose", err, ErrDamaged)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x40
		_, err := open("note/a", changed)
		is(t, "changed", err, ErrDamaged)
		_, err = open("note/a", sealed[:i])
		is(t, "cut", err, ErrDamaged)
	}
	_, err = open("note/a", append(bytes.Clone(sealed), 0))
	is(t, "longer", err, ErrDamaged)
}

// The form as it stands in logs and backups that exist.
func TestGoldenSealed(t *testing.T) {
	t.Parallel()
	_, _, open := testKey(t)
	key, err := chacha20poly1305.NewX(bytes.Repeat([]byte{7}, keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	id := keyID{1, 2, 3}
	golden := append([]byte{1}, id[:]...)
	nonce := bytes.Repeat([]byte{9}, 24)
	covered := append([]byte("floeberg sealed secret\x00\x01"), id[:]...)
	covered = append(covered, "note/a"...)
	golden = append(append(golden, nonce...), key.Seal(nil, nonce, []byte("the secret"), covered)...)
	if got, err := open("note/a", golden); err != nil || got != "the secret" {
		t.Errorf("got %q, %v", got, err)
	}
}

// FuzzSealed: whatever is in the state, it was sealed for the purpose, or is damaged.
func FuzzSealed(f *testing.F) {
	_, seal, open := testKey(f)
	f.Add("note/a", seal("note/a", "the secret"))
	f.Add("note/b", seal("note/a", ""))
	f.Add("", []byte{})
	f.Add("note/a", []byte{sealedVersion})
	f.Add("note/a", make([]byte, sealedBytes))
	f.Fuzz(func(t *testing.T, purpose string, raw []byte) {
		plain, err := open(purpose, raw)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if err == nil && len(plain) != len(raw)-sealedBytes {
			t.Fatalf("%d bytes of %d", len(plain), len(raw))
		}
	})
}
