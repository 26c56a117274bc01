package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
)

// Compress returns body as a gzip file, as metadata files are kept when a
// table's write.metadata.compression-codec is gzip.
func Compress(body []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(body)/8 + 64)
	w, err := gzip.NewWriterLevel(&out, gzip.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

// Decompress returns the content of a gzip file. It stops with ErrTooLarge as
// soon as there are more than maxBytes, so that a small file can't fill the
// memory, and with ErrCorrupt when the file is damaged or cut.
func Decompress(body []byte, maxBytes int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	content, err := readAtMost(r, -1, maxBytes)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return content, nil
}

// IsCompressed reports whether body is a gzip file by its first bytes. Names
// are no proof: metadata files are registered under all kinds of names.
func IsCompressed(body []byte) bool {
	return len(body) > 2 && body[0] == 0x1f && body[1] == 0x8b && body[2] == 8
}

// readAtMost reads r to its end, and fails with ErrTooLarge beyond maxBytes.
// size is how much is expected, -1 where that is not known.
func readAtMost(r io.Reader, size, maxBytes int64) ([]byte, error) {
	maxBytes = min(max(maxBytes, 0), math.MaxInt64-1)
	if size > maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, size, maxBytes)
	}
	var out bytes.Buffer
	if size >= 0 {
		out.Grow(int(size) + bytes.MinRead)
	}
	// One byte more than allowed tells a full object from one that is too large.
	n, err := out.ReadFrom(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case n > maxBytes:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxBytes)
	}
	return out.Bytes(), nil
}
