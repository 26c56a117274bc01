package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
)

// Store reads and writes whole objects at absolute locations, such as
// s3://bucket/key, gs://bucket/key or file:///folder/name. Any spelling that Canonical accepts
// will do, except one that ends in a slash. It is safe for concurrent use.
//
// Errors are those of this package; a context that ended is found in them too.
type Store interface {
	// Put writes an object and returns when it is durable. It never replaces an
	// object (ErrExists): atomically on files and on object stores that know
	// conditional writes, otherwise by looking first. Where an attempt may have
	// written it without being told so, an object with the same content counts
	// as written.
	//
	// After ErrUnavailable the object may exist, now or a moment later: write
	// under a new name, and delete nothing that something may point to. The body
	// must stay unchanged even after the call returned, for the same reason.
	Put(ctx context.Context, location string, body []byte) error

	// Get returns the object, ErrNotFound, or ErrTooLarge when it has more than
	// maxBytes.
	Get(ctx context.Context, location string, maxBytes int64) ([]byte, error)

	// Upload writes an object while it is read from body, which is not known in
	// full yet, and returns its size when it is durable. It holds a few megabytes of it at a
	// time, and nothing is visible before all of it is there. Like Put it never
	// replaces an object, and after ErrUnavailable the object may exist: use another
	// name. What body returns as an error ends the upload, without an object.
	//
	// A process that is killed in an upload leaves what it has sent: on files under
	// a temporary name that List yields, on object stores unseen, until AbortUploads
	// or the bucket's rule for incomplete uploads removes it.
	Upload(ctx context.Context, location string, body io.Reader) (size int64, err error)

	// AbortUploads ends the uploads below location that began before a moment, by
	// the store's clock, and were never finished, and returns how many. It does
	// nothing on files, and on object stores that do so by themselves.
	AbortUploads(ctx context.Context, location string, before time.Time) (int, error)

	// Download returns a reader of the object and its size, or ErrNotFound. It holds
	// a few megabytes at a time and nothing open; a transfer that breaks is taken up again. The
	// context must last as long as the reader is used.
	Download(ctx context.Context, location string) (body io.Reader, size int64, err error)

	// Exists reports whether there is an object. A folder is none.
	Exists(ctx context.Context, location string) (bool, error)

	// Delete removes an object. It is no error if there is none.
	Delete(ctx context.Context, location string) error

	// DeleteMany removes objects, as Delete does each, with far fewer calls where
	// the store knows how to. After an error some of them may be gone.
	DeleteMany(ctx context.Context, locations []string) error

	// EnsureFolder makes the folder that location names, and those above it, on
	// stores that have folders. On object stores it does nothing.
	EnsureFolder(ctx context.Context, location string) error

	// List yields the objects below location, in no promised order, and ends
	// after the first error. Folders are not yielded, nor are objects that mark
	// one, nor symbolic links; leftovers of interrupted writes are. What is
	// written or deleted meanwhile may be seen or not. An object store may yield
	// keys that Canonical refuses; they can't be passed to the other methods.
	List(ctx context.Context, location string) iter.Seq2[Object, error]

	// Closer releases idle connections. Calls under way end undisturbed.
	io.Closer
}

// Object is what List tells about an object.
type Object struct {
	// Location in canonical form.
	Location string
	// Size in bytes.
	Size int64
	// Modified is when the object was written, by the store's clock.
	Modified time.Time
}

// backend is a store for one kind of location. Its locations are canonical,
// within its roots, and name more than the root itself. It classifies its
// errors; the front adds operation and location.
type backend interface {
	put(ctx context.Context, location string, body []byte) error
	get(ctx context.Context, location string, maxBytes int64) ([]byte, error)
	begin(ctx context.Context, location string) (upload, error)
	// readBlock reads length bytes from offset on, or what there is of them.
	readBlock(ctx context.Context, location string, offset int64, length int) (block, error)
	exists(ctx context.Context, location string) (bool, error)
	remove(ctx context.Context, location string) error
	removeMany(ctx context.Context, locations []string) error
	ensureFolder(ctx context.Context, location string) error
	list(ctx context.Context, location string) iter.Seq2[Object, error]
	close() error
}

// mount is a root and the store that holds it.
type mount struct {
	root    string
	backend backend
}

// front checks locations, picks the store, and observes; the stores do the rest.
type front struct {
	mounts  []mount
	observe func(string, time.Duration, error)
}

// Open opens the stores that hold root and the further roots of cfg. A local
// root is created if it is not there. Nothing is sent over the network yet: a
// dead object store must not keep a node from starting.
func Open(root string, cfg Config) (Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &front{observe: cfg.Observe}
	var roots []string
	for _, r := range append([]string{root}, cfg.AllowLocations...) {
		canonical, err := Canonical(r)
		if err != nil {
			return nil, err
		}
		roots = append(roots, canonical)
	}
	// All roots of a kind are reached through one client: they share the endpoint,
	// so they share its health and its limits.
	shared := make(map[string]backend)
	for _, r := range roots {
		scheme := schemeOf(r)
		b := shared[scheme]
		if b == nil {
			if b, err = openBackend(scheme, r, roots, cfg); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			if scheme != schemeFile {
				shared[scheme] = b
			}
		}
		f.mounts = append(f.mounts, mount{root: r, backend: b})
	}
	return f, nil
}

// openBackend opens the store of a root, and of its kind among roots.
func openBackend(scheme, root string, roots []string, cfg Config) (backend, error) {
	switch scheme {
	case schemeS3:
		return openS3Store(cfg)
	case schemeGCS:
		return openGCSStore(cfg)
	case schemeAzure:
		own := slices.DeleteFunc(slices.Clone(roots), func(r string) bool { return schemeOf(r) != scheme })
		return openAzureStore(cfg, own)
	default:
		return openFileStore(root, cfg)
	}
}

// Put implements Store.
func (f *front) Put(ctx context.Context, location string, body []byte) error {
	return f.do("put", location, func(b backend, location string) error {
		return b.put(ctx, location, body)
	})
}

// Get implements Store.
func (f *front) Get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	var body []byte
	err := f.do("get", location, func(b backend, location string) (err error) {
		body, err = b.get(ctx, location, maxBytes)
		return err
	})
	return body, err
}

// Exists implements Store.
func (f *front) Exists(ctx context.Context, location string) (bool, error) {
	var found bool
	err := f.do("exists", location, func(b backend, location string) (err error) {
		found, err = b.exists(ctx, location)
		return err
	})
	return found, err
}

// Delete implements Store.
func (f *front) Delete(ctx context.Context, location string) error {
	return f.do("delete", location, func(b backend, location string) error {
		return b.remove(ctx, location)
	})
}

// DeleteMany implements Store.
func (f *front) DeleteMany(ctx context.Context, locations []string) error {
	return f.timed("delete_many", func() error {
		// All are checked before the first is deleted.
		byBackend := make(map[backend][]string)
		for _, location := range locations {
			canonical, m, err := f.resolveObject(location)
			if err != nil {
				return describe("delete_many", location, err)
			}
			byBackend[m.backend] = append(byBackend[m.backend], canonical)
		}
		var errs []error
		for b, own := range byBackend {
			if err := b.removeMany(ctx, own); err != nil {
				errs = append(errs, fmt.Errorf("delete_many, %d objects such as %q: %w", len(own), own[0], err))
			}
		}
		return errors.Join(errs...)
	})
}

// EnsureFolder implements Store.
func (f *front) EnsureFolder(ctx context.Context, location string) error {
	return f.timed("ensure_folder", func() error {
		canonical, m, err := f.resolve(location)
		if err != nil {
			return describe("ensure_folder", location, err)
		}
		if err := m.backend.ensureFolder(ctx, canonical); err != nil {
			return fmt.Errorf("ensure_folder %q: %w", canonical, err)
		}
		return nil
	})
}

// List implements Store.
func (f *front) List(ctx context.Context, location string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		begun := time.Now()
		var failed error
		defer func() { f.observe("list", time.Since(begun), failed) }()
		canonical, m, err := f.resolve(location)
		if err != nil {
			failed = describe("list", location, err)
			yield(Object{}, failed)
			return
		}
		for object, err := range m.backend.list(ctx, canonical) {
			if err != nil {
				failed = fmt.Errorf("list %q: %w", canonical, err)
				yield(Object{}, failed)
				return
			}
			if !yield(object, nil) {
				return
			}
		}
	}
}

// Close implements Store.
func (f *front) Close() error {
	closed := make(map[backend]bool, len(f.mounts))
	var errs []error
	for _, m := range f.mounts {
		if !closed[m.backend] {
			closed[m.backend] = true
			errs = append(errs, m.backend.close())
		}
	}
	return errors.Join(errs...)
}

// do runs one operation on one object.
func (f *front) do(operation, location string, call func(backend, string) error) error {
	return f.timed(operation, func() error {
		canonical, m, err := f.resolveObject(location)
		if err != nil {
			return describe(operation, location, err)
		}
		if err := call(m.backend, canonical); err != nil {
			return fmt.Errorf("%s %q: %w", operation, canonical, err)
		}
		return nil
	})
}

// timed reports how long a call took and how it ended.
func (f *front) timed(operation string, call func() error) error {
	begun := time.Now()
	err := call()
	f.observe(operation, time.Since(begun), err)
	return err
}

// describe adds what was asked for to an error that refuses a location. One
// that is not valid is in its error already, shortened.
func describe(operation, location string, err error) error {
	if errors.Is(err, ErrInvalidLocation) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%s %q: %w", operation, location, err)
}

// resolveObject is resolve for what must name an object.
func (f *front) resolveObject(location string) (string, *mount, error) {
	if strings.HasSuffix(location, "/") {
		return "", nil, invalid(location, "it names a folder; an object's location does not end in a slash")
	}
	canonical, m, err := f.resolve(location)
	if err == nil && canonical == m.root {
		err = invalid(location, "it names the warehouse itself, not an object in it")
	}
	return canonical, m, err
}

// resolve finds the store of a location: that of the innermost root around it.
func (f *front) resolve(location string) (string, *mount, error) {
	canonical, err := Canonical(location)
	if err != nil {
		return "", nil, err
	}
	var best *mount
	for i := range f.mounts {
		m := &f.mounts[i]
		if within(m.root, canonical) && (best == nil || len(m.root) > len(best.root)) {
			best = m
		}
	}
	if best == nil {
		return "", nil, ErrOutside
	}
	return canonical, best, nil
}
