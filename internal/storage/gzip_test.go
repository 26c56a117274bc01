package storage_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	stdgzip "compress/gzip"

	"github.com/floeberg/floeberg/internal/storage"
)

func TestCompressRoundTrip(t *testing.T) {
	t.Parallel()
	for _, body := range [][]byte{nil, []byte("{}"), bytes.Repeat([]byte(`{"snapshot-id":1},`), 100_000)} {
		packed, err := storage.Compress(body)
		if err != nil {
			t.Fatal(err)
		}
		if !storage.IsCompressed(packed) || storage.IsCompressed(body) {
			t.Fatalf("IsCompressed of packed = %v, of plain = %v", storage.IsCompressed(packed), storage.IsCompressed(body))
		}
		if got, err := storage.Decompress(packed, int64(len(body))); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("Decompress = %d bytes, %v, want %d", len(got), err, len(body))
		}
		// Other programs read these files.
		r, err := stdgzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("the standard library reads %d bytes, %v", len(got), err)
		}
	}
}

func TestDecompressIsBounded(t *testing.T) {
	t.Parallel()
	bomb, err := storage.Compress(make([]byte, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{-1, 0, 1, 64<<20 - 1} {
		if _, err := storage.Decompress(bomb, limit); !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("Decompress with %d allowed: %v, want ErrTooLarge", limit, err)
		}
	}
}

func TestDecompressRefusesDamage(t *testing.T) {
	t.Parallel()
	packed, err := storage.Compress([]byte(`{"format-version":2}`))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-5] ^= 1
	for name, body := range map[string][]byte{
		"empty":    nil,
		"plain":    []byte(`{"format-version":2}`),
		"cut":      packed[:len(packed)-3],
		"header":   packed[:5],
		"checksum": flipped,
		"trailing": append(bytes.Clone(packed), "rubbish"...),
	} {
		if got, err := storage.Decompress(body, 1<<20); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s: Decompress = %q, %v, want ErrCorrupt", name, got, err)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	seed, err := storage.Compress([]byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 1 << 16
		got, err := storage.Decompress(body, limit)
		switch {
		case err == nil && len(got) > limit:
			t.Fatalf("%d bytes, %d allowed", len(got), limit)
		case err != nil && !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrTooLarge):
			t.Fatalf("unclassified: %v", err)
		}
	})
}
