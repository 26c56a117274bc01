package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
)

// Store is what a vault needs of an object store; a storage.Store is one.
type Store interface {
	Put(ctx context.Context, location string, body []byte) error
	Get(ctx context.Context, location string, maxBytes int64) ([]byte, error)
	Upload(ctx context.Context, location string, body io.Reader) (size int64, err error)
	Download(ctx context.Context, location string) (body io.Reader, size int64, err error)
	AbortUploads(ctx context.Context, location string, before time.Time) (int, error)
	DeleteMany(ctx context.Context, locations []string) error
	List(ctx context.Context, location string) iter.Seq2[storage.Object, error]
}

// Options are what a vault is made of.
type Options struct {
	// Store and Root are where snapshots are kept. Required.
	Store Store
	Root  string
	// ClusterID is whose snapshots. Required.
	ClusterID string
	// Keys encrypt; nil does not.
	Keys *Keys
	// Hurry does long work without resting: for machines that have nothing else to do.
	Hurry bool
	// Now is the clock. Default: the real one.
	Now func() time.Time
}

// Vault is the snapshots of one cluster in an object store. It is safe for
// concurrent use.
type Vault struct {
	opts Options

	mu   sync.Mutex
	read map[string]*Manifest // those that were read already: they never change
}

// Open gives the vault of a cluster. Nothing is read or written yet.
func Open(opts Options) (*Vault, error) {
	switch {
	case opts.Store == nil:
		return nil, errors.New("backup: Store is missing")
	case opts.Root == "":
		return nil, errors.New("backup: Root is missing")
	case opts.ClusterID == "":
		return nil, errors.New("backup: ClusterID is missing")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Vault{opts: opts, read: make(map[string]*Manifest)}, nil
}

// ClusterID is whose snapshots these are.
func (v *Vault) ClusterID() string { return v.opts.ClusterID }

// Clusters are the ids of the clusters that have snapshots below a root.
func Clusters(ctx context.Context, store Store, root string) ([]string, error) {
	found := make(map[string]bool)
	for object, err := range store.List(ctx, root) {
		if err != nil {
			return nil, err
		}
		rest := strings.TrimPrefix(object.Location, strings.TrimSuffix(root, "/")+"/")
		parts := strings.Split(rest, "/")
		if len(parts) == 3 && parts[1] == snapshotsFolder {
			if id, manifest := idOf(rest); manifest && id != "" {
				found[parts[0]] = true
			}
		}
	}
	var ids []string
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// Damage is a snapshot that can't be used, and why.
type Damage struct {
	ID  string
	Err error
}

// Listing is what is in a vault.
type Listing struct {
	// Snapshots are whole, as far as sizes tell; the newest comes first.
	Snapshots []*Manifest
	// Damaged have a manifest and can't be used.
	Damaged []Damage

	leftovers []storage.Object
}

// List tells what is there.
func (v *Vault) List(ctx context.Context) (*Listing, error) {
	sizes := make(map[string]int64) // by object
	var ids []string
	var objects []storage.Object
	for object, err := range v.opts.Store.List(ctx, v.folder()) {
		if err != nil {
			return nil, err
		}
		if id, manifest := idOf(object.Location); manifest {
			ids = append(ids, id)
			continue
		}
		sizes[object.Location] = object.Size
		objects = append(objects, object)
	}
	var l Listing
	used := make(map[string]bool)
	for _, id := range ids {
		m, err := v.manifest(ctx, id)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			continue // It was deleted since it was listed.
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewerFormat), errors.Is(err, ErrForeign):
			l.Damaged = append(l.Damaged, Damage{id, err})
			continue
		case err != nil:
			return nil, err
		}
		size, there := sizes[v.objectAt(m)]
		used[v.objectAt(m)] = there
		switch {
		case !there:
			l.Damaged = append(l.Damaged, Damage{id, fmt.Errorf("%w: the object %s is gone", ErrDamaged, m.Object)})
		case size != m.Bytes:
			l.Damaged = append(l.Damaged, Damage{id, fmt.Errorf("%w: the object %s has %d bytes instead of %d", ErrDamaged, m.Object, size, m.Bytes)})
		default:
			l.Snapshots = append(l.Snapshots, m)
		}
	}
	slices.SortFunc(l.Snapshots, newestFirst)
	slices.SortFunc(l.Damaged, func(a, b Damage) int { return cmp.Compare(b.ID, a.ID) })
	damaged := make(map[string]bool)
	for _, d := range l.Damaged {
		damaged[d.ID] = true
	}
	for _, object := range objects {
		if id, _ := idOf(object.Location); !used[object.Location] && !damaged[id] {
			l.leftovers = append(l.leftovers, object)
		}
	}
	v.forget(ids)
	return &l, nil
}

func newestFirst(a, b *Manifest) int {
	return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Index, a.Index), b.CreatedAt.Compare(a.CreatedAt))
}

// Newest returns the newest snapshot that is whole, or ErrNoSnapshot.
func (v *Vault) Newest(ctx context.Context) (*Manifest, error) {
	l, err := v.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(l.Snapshots) == 0 {
		return nil, fmt.Errorf("%w: there is none of cluster %s in %s", ErrNoSnapshot, v.opts.ClusterID, v.opts.Root)
	}
	return l.Snapshots[0], nil
}

// Find returns a snapshot by its id, or ErrNoSnapshot.
func (v *Vault) Find(ctx context.Context, id string) (*Manifest, error) {
	if id == "" || strings.ContainsRune(id, '/') {
		return nil, fmt.Errorf("%w: %q is no id of one", ErrNoSnapshot, id)
	}
	m, err := v.manifest(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no %q of cluster %s in %s", ErrNoSnapshot, id, v.opts.ClusterID, v.opts.Root)
	}
	return m, err
}

// maxManifest is more than a manifest has with the most nodes and keys.
const maxManifest = 1 << 20

func (v *Vault) manifest(ctx context.Context, id string) (*Manifest, error) {
	v.mu.Lock()
	m := v.read[id]
	v.mu.Unlock()
	if m != nil {
		return m, nil
	}
	data, err := v.opts.Store.Get(ctx, v.manifestAt(id), maxManifest)
	if errors.Is(err, storage.ErrTooLarge) {
		return nil, fmt.Errorf("%w: the manifest of %s is too large to be one", ErrDamaged, id)
	}
	if err != nil {
		return nil, err
	}
	if m, err = decodeManifest(id, v.opts.ClusterID, data); err != nil {
		return nil, err
	}
	v.remember(m)
	return m, nil
}

func (v *Vault) remember(m *Manifest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.read[m.ID] = m
}

// forget drops the manifests of snapshots that are not there any more.
func (v *Vault) forget(present []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range v.read {
		if !slices.Contains(present, id) {
			delete(v.read, id)
		}
	}
}
