package tasks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/iceberg/manifest"
	"github.com/floeberg/floeberg/internal/storage"
)

const (
	// maxFileBytes bounds a metadata file, manifest list or manifest in memory.
	maxFileBytes = 256 << 20
	// callFiles is how many files one call to the store names.
	callFiles = 500
	// maxSeen bounds the files that are remembered as met, at some 50
	// bytes each: manifests that were merged name the same files over and over.
	// Past it, some are deleted once more.
	maxSeen = 1 << 20
	// maxKeptLogged bounds the lines about files that stay.
	maxKeptLogged = 10
)

// errUnreadable is returned when a file that leads to others can't be followed:
// it stays, and so does all that leads to it.
var errUnreadable = errors.New("can't be read")

// purge deletes the files of a dropped table: those that its metadata refers to,
// and of those only what lies below the table's own location.
//
// Each file is deleted after all that it leads to, the metadata file last. So
// what is left of a purge that was cut off leads to all that is left to do, and
// a file that is missing needs no more work.
type purge struct {
	held     *held
	store    Store
	log      *slog.Logger
	location string
	metadata string
	purged   func(int)

	// Files that wait to be deleted, in this order.
	files, manifests, lists []string
	// manifestsSeen tells of the manifests worked on whether they could be followed.
	manifestsSeen map[digest]bool
	seen          map[digest]struct{} // other files
	kept          uint64
	// unreadable is the first file that could not be followed, and how many there were.
	unreadable      error
	unreadableCount int
}

type digest [16]byte

func digestOf(text string) digest {
	sum := sha256.Sum256([]byte(text))
	return digest(sum[:len(digest{})])
}

func newPurge(h *held, store Store, log *slog.Logger) *purge {
	return &purge{
		held: h, store: store, log: log,
		location: h.work.GetLocation(), metadata: h.work.GetMetadataLocation(),
		purged:        func(int) {},
		manifestsSeen: make(map[digest]bool),
		seen:          make(map[digest]struct{}),
	}
}

// own is the canonical form of a file's location where it lies below the table's.
func (p *purge) own(location string) (string, bool) {
	canonical, err := storage.Canonical(location)
	// A canonical location never ends in a slash: what does is no file.
	if err == nil && !strings.HasSuffix(location, "/") && canonical != p.location && storage.Within(p.location, canonical) {
		return canonical, true
	}
	if !p.first(location) {
		return "", false
	}
	p.kept++
	p.held.keep(p.kept)
	if p.kept <= maxKeptLogged {
		p.log.Warn("a file of a dropped table lies outside of the table's location, and stays", slog.String("file", location))
	}
	return "", false
}

func (p *purge) run(ctx context.Context) error {
	body, err := p.store.Get(ctx, p.metadata, maxFileBytes)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // The metadata file is the last to go.
	}
	if err != nil {
		return err
	}
	if storage.IsCompressed(body) {
		if body, err = storage.Decompress(body, maxFileBytes); err != nil {
			return fmt.Errorf("metadata file %s: %w", p.metadata, err)
		}
	}
	t, err := iceberg.ParseTable(body)
	if err != nil {
		return fmt.Errorf("metadata file %s: %w", p.metadata, err)
	}
	if err := p.snapshots(ctx, t); err != nil {
		return err
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	if p.unreadable != nil {
		return fmt.Errorf("%d files can't be followed, and stay with all that leads to them; the first: %w", p.unreadableCount, p.unreadable)
	}
	return p.rest(ctx, t)
}

// snapshots deletes what the snapshots lead to.
func (p *purge) snapshots(ctx context.Context, t *iceberg.Table) error {
	// As the reference implementation does: where data files may be shared with
	// other tables, they stay.
	gc, given := t.Property("gc.enabled")
	data := !given || strings.EqualFold(gc, "true")
	for s, err := range t.AllSnapshots() {
		if err != nil {
			return fmt.Errorf("metadata file %s: %w", p.metadata, err)
		}
		if s.ManifestList == "" {
			for _, location := range s.Manifests {
				if _, err := p.manifest(ctx, manifest.File{Path: location}, data); err != nil {
					return err
				}
			}
			continue
		}
		if err := p.list(ctx, s, data); err != nil {
			return err
		}
	}
	return nil
}

// list deletes a manifest list after its manifests.
func (p *purge) list(ctx context.Context, s iceberg.Snapshot, data bool) error {
	location, own := p.own(s.ManifestList)
	if !own {
		return nil
	}
	body, err := p.read(ctx, location, s.KeyID != "")
	if err != nil {
		return p.unfollowed(err)
	}
	followed := true
	for f, err := range manifest.ReadList(bytes.NewReader(body)) {
		if err != nil {
			return p.unfollowed(fmt.Errorf("%s %w: %w", location, errUnreadable, err))
		}
		ok, err := p.manifest(ctx, f, data)
		if err != nil {
			return err
		}
		followed = followed && ok
	}
	if !followed {
		return nil
	}
	p.lists = append(p.lists, location)
	return p.flushFull(ctx)
}

// manifest deletes a manifest after its files, where those are to go. It is
// false where the manifest stays because it can't be followed.
func (p *purge) manifest(ctx context.Context, f manifest.File, data bool) (followed bool, err error) {
	location, own := p.own(f.Path)
	if !own {
		return true, nil
	}
	id := digestOf(location)
	if followed, seen := p.manifestsSeen[id]; seen {
		return followed, nil
	}
	if data {
		err = p.entries(ctx, f, location)
	}
	if err != nil {
		missing := errors.Is(err, storage.ErrNotFound)
		p.manifestsSeen[id] = missing
		return missing, p.unfollowed(err)
	}
	p.manifestsSeen[id] = true
	p.manifests = append(p.manifests, location)
	return true, p.flushFull(ctx)
}

// entries deletes the files of a manifest.
func (p *purge) entries(ctx context.Context, f manifest.File, location string) error {
	body, err := p.read(ctx, location, f.Encrypted)
	if err != nil {
		return err
	}
	for e, err := range manifest.ReadEntries(bytes.NewReader(body)) {
		if err != nil {
			return fmt.Errorf("%s %w: %w", location, errUnreadable, err)
		}
		if e.Removed {
			// Another manifest has it while a snapshot needs it; after that it is
			// not the table's any more.
			continue
		}
		if err := p.file(ctx, e.Path); err != nil {
			return err
		}
	}
	return nil
}

func (p *purge) file(ctx context.Context, path string) error {
	location, own := p.own(path)
	if !own || !p.first(location) {
		return nil
	}
	p.files = append(p.files, location)
	return p.flushFull(ctx)
}

// first tells whether a file is met for the first time.
func (p *purge) first(location string) bool {
	id := digestOf(location)
	if _, seen := p.seen[id]; seen {
		return false
	}
	if len(p.seen) < maxSeen {
		p.seen[id] = struct{}{}
	}
	return true
}

// rest deletes what the metadata file names beside snapshots, and then itself.
func (p *purge) rest(ctx context.Context, t *iceberg.Table) error {
	named, err := t.Locations()
	if err != nil {
		return fmt.Errorf("metadata file %s: %w", p.metadata, err)
	}
	for _, n := range named {
		if n.Field != "statistics-path" {
			continue
		}
		if err := p.file(ctx, n.Location); err != nil {
			return err
		}
	}
	for _, old := range t.MetadataLog() {
		if old.MetadataFile == p.metadata {
			continue
		}
		if err := p.file(ctx, old.MetadataFile); err != nil {
			return err
		}
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	if location, own := p.own(p.metadata); own {
		return p.deleteAll(ctx, []string{location})
	}
	return nil
}

// read returns a file that leads to others.
func (p *purge) read(ctx context.Context, location string, encrypted bool) ([]byte, error) {
	if encrypted {
		return nil, fmt.Errorf("%s %w: it is encrypted", location, errUnreadable)
	}
	body, err := p.store.Get(ctx, location, maxFileBytes)
	if errors.Is(err, storage.ErrTooLarge) {
		return nil, fmt.Errorf("%s %w: %w", location, errUnreadable, err)
	}
	return body, err
}

// unfollowed notes a file that can't be followed, so that the purge goes on with
// the others. One that is missing went after all that it led to. Every other
// error is passed on.
func (p *purge) unfollowed(err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case !errors.Is(err, errUnreadable):
		return err
	}
	if p.unreadable == nil {
		p.unreadable = err
	}
	p.unreadableCount++
	return nil
}

func (p *purge) flushFull(ctx context.Context) error {
	if len(p.files)+len(p.manifests)+len(p.lists) < p.held.runner.opts.Batch {
		return nil
	}
	return p.flush(ctx)
}

// flush deletes what waits. A manifest waits only when all its files wait or are
// deleted, and a list only when that is so of its manifests.
func (p *purge) flush(ctx context.Context) error {
	for _, waiting := range []*[]string{&p.files, &p.manifests, &p.lists} {
		if err := p.deleteAll(ctx, *waiting); err != nil {
			return err
		}
		*waiting = (*waiting)[:0]
	}
	return nil
}

// deleteAll deletes files, a few calls at a time, as long as the task is ours.
func (p *purge) deleteAll(ctx context.Context, locations []string) error {
	if len(locations) == 0 {
		return nil
	}
	return p.held.within(ctx, func(ctx context.Context) error {
		var calls sync.WaitGroup
		errs := make([]error, 0, len(locations)/callFiles+1)
		var mu sync.Mutex
		for begin := 0; begin < len(locations); begin += callFiles {
			chunk := locations[begin:min(begin+callFiles, len(locations))]
			calls.Go(func() {
				err := p.store.DeleteMany(ctx, chunk)
				if err == nil {
					p.held.deleted.Add(uint64(len(chunk)))
					p.purged(len(chunk))
				}
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
		calls.Wait()
		return errors.Join(errs...)
	})
}
