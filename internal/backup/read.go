package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/internal/storage"
)

// Read opens a snapshot: the stream that the state machine restores, decrypted.
// The object's size and hash are compared on the way, and where they differ the
// stream ends with ErrDamaged and not with io.EOF. Nothing that was read is to be
// believed before io.EOF. The context must last as long as the reader is used.
func (v *Vault) Read(ctx context.Context, m *Manifest) (io.ReadCloser, error) {
	stored, err := v.open(ctx, m)
	if err != nil {
		return nil, err
	}
	plain := io.Reader(stored)
	if m.Encryption != nil {
		if plain, err = v.opts.Keys.Decrypt(stored); err != nil {
			return nil, stored.explain(fmt.Errorf("%s: %w", m.ID, err))
		}
	}
	return &snapshotReader{stored: stored, plain: plain}, nil
}

// open opens the object as it is stored.
func (v *Vault) open(ctx context.Context, m *Manifest) (*storedReader, error) {
	body, size, err := v.opts.Store.Download(ctx, v.objectAt(m))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, fmt.Errorf("%w: the object %s is gone", ErrDamaged, m.Object)
	case err != nil:
		return nil, err
	case size != m.Bytes:
		return nil, fmt.Errorf("%w: the object %s has %d bytes instead of %d", ErrDamaged, m.Object, size, m.Bytes)
	}
	return &storedReader{r: body, m: m, hash: sha256.New()}, nil
}

// storedReader reads an object and compares its hash at the end.
type storedReader struct {
	r    io.Reader
	m    *Manifest
	hash hash.Hash
	read int64
	// failed is what the store said; it matters more than what others make of it.
	failed error
}

// Read implements io.Reader.
func (s *storedReader) Read(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	n, err := s.r.Read(p)
	_, _ = s.hash.Write(p[:n]) // A hash never fails.
	s.read += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		return n, s.atEnd()
	case err != nil:
		s.failed = err
	}
	return n, err
}

func (s *storedReader) atEnd() error {
	if sum := hex.EncodeToString(s.hash.Sum(nil)); s.read != s.m.Bytes || sum != s.m.SHA256 {
		s.failed = fmt.Errorf("%w: the object %s has %d bytes with SHA-256 %s, its manifest says %d bytes with %s",
			ErrDamaged, s.m.Object, s.read, sum, s.m.Bytes, s.m.SHA256)
		return s.failed
	}
	return io.EOF
}

// explain gives the reason for what went wrong with the object's content: the
// store's own, else whether the object is the one that was written.
func (s *storedReader) explain(err error) error {
	if s.failed != nil {
		return s.failed
	}
	if errors.Is(err, ErrKey) {
		return err
	}
	if _, e := io.Copy(io.Discard, s); e != nil {
		return e
	}
	return err
}

// snapshotReader is the stream inside an object.
type snapshotReader struct {
	stored *storedReader
	plain  io.Reader
}

// Read implements io.Reader.
func (r *snapshotReader) Read(p []byte) (int, error) {
	n, err := r.plain.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		// Whatever encrypted it, the object's own end must have been reached.
		if _, e := io.Copy(io.Discard, r.stored); e != nil {
			return n, e
		}
		return n, io.EOF
	case err != nil:
		return n, r.stored.explain(err)
	}
	return n, nil
}

// Close implements io.Closer.
func (r *snapshotReader) Close() error { return nil }

// Check reads a snapshot back and compares all that can be compared without
// restoring it: the object's hash and, where there is a key for it, every row, the
// state's checksum and the header.
func (v *Vault) Check(ctx context.Context, m *Manifest, watch Watch) error {
	if m.Encryption != nil && !v.opts.Keys.CanDecrypt() {
		stored, err := v.open(ctx, m)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, v.pacedReader(ctx, stored, m, PhaseChecking, watch))
		return err
	}
	stream, err := v.Read(ctx, m)
	if err != nil {
		return err
	}
	header, err := fsm.VerifySnapshot(v.pacedReader(ctx, stream, m, PhaseChecking, watch))
	if err != nil {
		return explainContent(m, err)
	}
	return m.check(header)
}

// explainContent gives what the state machine says of a stream its class.
func explainContent(m *Manifest, err error) error {
	switch {
	case errors.Is(err, fsm.ErrBadSnapshot):
		return fmt.Errorf("%w: %s: %w", ErrDamaged, m.ID, err)
	case errors.Is(err, fsm.ErrNewerFormat):
		return fmt.Errorf("%w: %s: %w", ErrNewerFormat, m.ID, err)
	}
	return fmt.Errorf("%s: %w", m.ID, err)
}
