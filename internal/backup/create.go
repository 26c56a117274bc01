package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/floeberg/floeberg/fsm"
)

// Source gives the state as a snapshot stream; *fsm.Machine is one.
type Source interface {
	WriteSnapshot(w io.Writer) (fsm.Header, error)
}

// About is what a manifest tells beside what is in the snapshot.
type About struct {
	// Node writes it, with this version of the program.
	Node, Version string
	// Members are the nodes of the cluster.
	Members []Member
}

// Phase is what is being done for a snapshot.
type Phase string

// The phases.
const (
	// PhaseWriting streams the state to the store.
	PhaseWriting Phase = "writing"
	// PhaseChecking reads it back.
	PhaseChecking Phase = "checking"
	// PhaseRestoring restores it into a scratch state.
	PhaseRestoring Phase = "restoring"
)

// Watch is told how far long work has come, in bytes of the object; total is 0
// where it is not known. Nil is nobody.
type Watch func(phase Phase, done, total int64)

func (w Watch) tell(phase Phase, done, total int64) {
	if w != nil {
		w(phase, done, total)
	}
}

// writeBuffer joins the small writes of a stream, so that each pause is worth one.
const writeBuffer = 64 << 10

// Create streams the state to the store, reads it back and compares it, and then
// writes the manifest. It holds a few megabytes at a time and rests between
// blocks. Where it fails, there is no such snapshot; what may be left of it goes
// with Prune.
func (v *Vault) Create(ctx context.Context, from Source, about About, watch Watch) (*Manifest, error) {
	m := &Manifest{
		Format: manifestFormat, ID: newID(v.opts.Now()), CreatedAt: v.opts.Now().UTC(),
		Node: about.Node, Version: about.Version, Members: about.Members, Compression: compressionZstd,
	}
	if v.opts.Keys != nil {
		m.Encryption = &Encryption{Method: methodAge, Recipients: v.opts.Keys.Recipients()}
	}
	m.Object = objectName(m.ID, m.Encryption != nil)
	if err := v.upload(ctx, m, from, watch); err != nil {
		return nil, err
	}
	if m.ClusterID != v.opts.ClusterID {
		return nil, v.discard(ctx, m, fmt.Errorf("%w: the state is of %q, these are of %s", ErrForeign, m.ClusterID, v.opts.ClusterID))
	}
	if err := v.Check(ctx, m, watch); err != nil {
		return nil, v.discard(ctx, m, fmt.Errorf("what was uploaded is not what is there: %w", err))
	}
	data, err := m.encode()
	if err != nil {
		return nil, err
	}
	if err := v.opts.Store.Put(ctx, v.manifestAt(m.ID), data); err != nil {
		// It may have landed all the same, so the object stays.
		return nil, err
	}
	v.remember(m)
	return m, nil
}

// upload writes the object and completes the manifest.
func (v *Vault) upload(ctx context.Context, m *Manifest, from Source, watch Watch) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, in := io.Pipe()
	type outcome struct {
		header fsm.Header
		err    error
	}
	written := make(chan outcome, 1)
	go func() {
		header, err := v.write(ctx, in, from)
		_ = in.CloseWithError(err) // nil is the end of the object; closing a pipe never fails
		written <- outcome{header, err}
	}()
	hash := sha256.New()
	body := &watchedReader{r: io.TeeReader(out, hash), tell: func(done int64) { watch.tell(PhaseWriting, done, 0) }}
	size, err := v.opts.Store.Upload(ctx, v.objectAt(m), body)
	cancel(err)
	_ = out.CloseWithError(errors.Join(err, context.Canceled)) // ends the writer where it still writes
	source := <-written
	switch {
	case source.err != nil && err == nil:
		return source.err
	case err != nil:
		return err
	}
	m.describe(source.header)
	m.Bytes, m.SHA256 = size, hex.EncodeToString(hash.Sum(nil))
	return nil
}

// write gives the state to w, encrypted where there are keys.
func (v *Vault) write(ctx context.Context, w io.Writer, from Source) (header fsm.Header, err error) {
	buffer := bufio.NewWriterSize(w, writeBuffer)
	stream := io.Writer(buffer)
	end := buffer.Flush
	if v.opts.Keys != nil {
		sealed, err := v.opts.Keys.Encrypt(buffer)
		if err != nil {
			return header, err
		}
		stream = sealed
		end = func() error {
			if err := sealed.Close(); err != nil {
				return err
			}
			return buffer.Flush()
		}
	}
	if header, err = from.WriteSnapshot(v.pacedWriter(ctx, stream)); err != nil {
		return header, err
	}
	return header, end()
}

// discard removes the object of a snapshot that is not to be, and adds to why
// where that fails too.
func (v *Vault) discard(ctx context.Context, m *Manifest, why error) error {
	if err := v.opts.Store.DeleteMany(ctx, []string{v.objectAt(m)}); err != nil {
		return fmt.Errorf("%w (its object stays for now: %w)", why, err)
	}
	return why
}
