package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/internal/storage"
)

// Store is what an archive needs of an object store; a storage.Store is one.
type Store interface {
	Put(ctx context.Context, location string, body []byte) error
	Get(ctx context.Context, location string, maxBytes int64) ([]byte, error)
	DeleteMany(ctx context.Context, locations []string) error
	List(ctx context.Context, location string) iter.Seq2[storage.Object, error]
}

// Keys encrypt segments and open them again.
type Keys interface {
	// Encrypt returns a writer that encrypts into w; its Close writes the end.
	Encrypt(w io.Writer) (io.WriteCloser, error)
	// Decrypt returns a reader of what was encrypted.
	Decrypt(r io.Reader) (io.Reader, error)
}

// Options are what an archive is made of.
type Options struct {
	// Store holds it, in the cluster's folder. Required.
	Store  Store
	Folder string
	// ClusterID is whose log it is. Required.
	ClusterID string
	// Keys encrypt; nil does not.
	Keys Keys
}

// Archive is the log of one cluster in an object store. It is safe for
// concurrent use.
type Archive struct {
	opts Options
}

// Open gives the archive of a cluster. Nothing is read or written yet.
func Open(opts Options) (*Archive, error) {
	if opts.Store == nil || opts.Folder == "" || opts.ClusterID == "" {
		return nil, errors.New("archive: Store, Folder or ClusterID is missing")
	}
	return &Archive{opts: opts}, nil
}

func (a *Archive) folder() string { return storage.Join(a.opts.Folder, logFolder) }

func (a *Archive) at(s Segment) string { return storage.Join(a.folder(), s.name()) }

// List returns the segments that are there, by their first index, the longest
// first among those that begin together.
func (a *Archive) List(ctx context.Context) ([]Segment, error) {
	var out []Segment
	for object, err := range a.opts.Store.List(ctx, a.folder()) {
		if err != nil {
			return nil, err
		}
		if s, ok := parseName(object.Location); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Segment) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last), cmp.Compare(b.Term, a.Term))
	})
	return out, nil
}

// Write archives entries that follow one another and are committed. prevTerm is
// the term of the entry before the first; 0 where it is not known. Entries that are there
// already may be written again.
func (a *Archive) Write(ctx context.Context, prevTerm uint64, entries []fsm.Entry) (Segment, int, error) {
	h, data, err := encodeSegment(a.opts.ClusterID, prevTerm, entries)
	if err != nil {
		return Segment{}, 0, err
	}
	s := Segment{First: h.First, Last: h.Last, Term: h.LastTerm, Encrypted: a.opts.Keys != nil}
	if s.Encrypted {
		if data, err = a.encrypt(data); err != nil {
			return s, 0, err
		}
	}
	err = a.opts.Store.Put(ctx, a.at(s), data)
	if errors.Is(err, storage.ErrExists) {
		// An attempt that was given up, or another leader: with the same entries, since
		// what is committed never changes.
		err = nil
	}
	return s, len(data), err
}

func (a *Archive) encrypt(data []byte) ([]byte, error) {
	var out bytes.Buffer
	sealed, err := a.opts.Keys.Encrypt(&out)
	if err != nil {
		return nil, err
	}
	if _, err := sealed.Write(data); err != nil {
		return nil, fmt.Errorf("archive: encrypt: %w", err)
	}
	if err := sealed.Close(); err != nil {
		return nil, fmt.Errorf("archive: encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// Read returns what is in a segment, checked.
func (a *Archive) Read(ctx context.Context, s Segment) (Header, []fsm.Entry, error) {
	const frame = 1 << 20 // what encryption adds is far less
	data, err := a.opts.Store.Get(ctx, a.at(s), maxRawBytes+frame)
	if errors.Is(err, storage.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return Header{}, nil, err
	}
	if s.Encrypted {
		if data, err = a.decrypt(data); err != nil {
			return Header{}, nil, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	h, entries, err := decodeSegment(data)
	switch {
	case err != nil:
		return h, nil, fmt.Errorf("%w: %s", err, s.name())
	case h.ClusterID != a.opts.ClusterID:
		return h, nil, fmt.Errorf("%w: %s is of %s, it lies with those of %s", ErrForeign, s.name(), h.ClusterID, a.opts.ClusterID)
	case h.First != s.First || h.Last != s.Last || h.LastTerm != s.Term:
		return h, nil, fmt.Errorf("%w: %s holds entries %d to %d", ErrDamaged, s.name(), h.First, h.Last)
	}
	return h, entries, nil
}

// decrypt tells a missing or wrong key, which the keys name, from damage.
func (a *Archive) decrypt(data []byte) ([]byte, error) {
	if a.opts.Keys == nil {
		return nil, errors.New("it is encrypted, and there is no key to open it with")
	}
	plain, err := a.opts.Keys.Decrypt(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return out, nil
}

// Prune deletes the segments that no kept snapshot needs: those that hold nothing
// after the index of the oldest. It returns how many there were.
func (a *Archive) Prune(ctx context.Context, oldest uint64) (int, error) {
	segments, err := a.List(ctx)
	if err != nil {
		return 0, err
	}
	var old []string
	for _, s := range segments {
		if s.Last <= oldest {
			old = append(old, a.at(s))
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	return len(old), a.opts.Store.DeleteMany(ctx, old)
}
