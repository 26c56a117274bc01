package catalog

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/storage"
)

// Properties of a table or view that decide how its metadata files are written and kept.
const (
	propMetadataPath  = "write.metadata.path"
	propMetadataCodec = "write.metadata.compression-codec"
	propDeleteOld     = "write.metadata.delete-after-commit.enabled"
)

// The codecs of metadata files.
const (
	codecNone = "none"
	codecGzip = "gzip"
)

var errHeadMissing = errors.New("a table's metadata has no head")

// metadataFile is a metadata file that was written.
type metadataFile struct {
	location string
	document []byte // uncompressed
}

// metadata is what a metadata file is written of: a version of a table or a view.
type metadata interface {
	// Location is the root of the files that belong to it.
	Location() string
	// Property returns one of its properties.
	Property(name string) (string, bool)
	// Document is the whole of it.
	Document() []byte
}

// metadataFolder is where metadata files go: where the properties say, within the
// table's or view's own location, or its metadata folder.
func metadataFolder(wh *WarehouseInfo, m metadata) (string, error) {
	path, ok := m.Property(propMetadataPath)
	if !ok || path == "" {
		return m.Location() + "/metadata", nil
	}
	canonical, err := confine(wh, path)
	if err != nil {
		return "", err
	}
	own, err := storage.Canonical(m.Location())
	if err != nil {
		return "", refuseBecause(KindInvalid, err, "Invalid location %q: %s", shorten(m.Location()), err)
	}
	if !storage.Within(own, canonical) {
		return "", refuse(KindForbiddenLocation, "Invalid %s %q: it is not below %s, the location of its table or view", propMetadataPath, shorten(path), m.Location())
	}
	return strings.TrimSuffix(path, "/"), nil
}

// writeMetadata writes the complete metadata file of a table's generation,
// numbered after the version before it; -1 is none.
func (c *Catalog) writeMetadata(ctx context.Context, wh *WarehouseInfo, t *iceberg.Table, before int) (*metadataFile, error) {
	doc := t.Document()
	if int64(len(doc)) > c.opts.MaxMetadataBytes {
		return nil, refuse(KindTooLarge, "The table's metadata is too large: %d bytes, at most %d are possible; expire snapshots", len(doc), c.opts.MaxMetadataBytes)
	}
	return c.writeDocument(ctx, wh, t, doc, codecNone, before)
}

// writeDocument writes a metadata file under a new name, compressed as the
// properties say, or as usual for its kind.
func (c *Catalog) writeDocument(ctx context.Context, wh *WarehouseInfo, m metadata, doc []byte, usual string, before int) (*metadataFile, error) {
	folder, err := metadataFolder(wh, m)
	if err != nil {
		return nil, err
	}
	codec, _ := m.Property(propMetadataCodec)
	if codec == "" {
		codec = usual
	}
	body, zipped := doc, false
	switch strings.ToLower(codec) {
	case codecNone:
	case codecGzip:
		if body, err = storage.Compress(doc); err != nil {
			return nil, refuseBecause(KindUnavailable, err, "The metadata can't be compressed")
		}
		zipped = true
	default:
		return nil, refuse(KindInvalid, "Invalid %s %q: none and gzip are possible", propMetadataCodec, shorten(codec))
	}
	name := iceberg.MetadataFileName(before+1, c.opts.NewUUID(), zipped)
	location := folder + "/" + name
	store, err := c.storeOf(ctx, wh.Name)
	if err != nil {
		return nil, err
	}
	if err := store.Put(ctx, location, body); err != nil {
		if errors.Is(err, storage.ErrUnavailable) {
			// It may be there all the same, under a name that nobody will hear of.
			c.deleteOrphans(wh.Name, location)
		}
		return nil, storeFailed(err, "The metadata file can't be written")
	}
	return &metadataFile{location: location, document: doc}, nil
}

// readMetadata reads a complete metadata file of at most maxBytes.
func (c *Catalog) readMetadata(ctx context.Context, wh *WarehouseInfo, location string, maxBytes int64) ([]byte, error) {
	store, err := c.storeOf(ctx, wh.Name)
	if err != nil {
		return nil, err
	}
	body, err := store.Get(ctx, location, maxBytes)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, refuseBecause(KindNotFound, err, "Failed to open input stream for file: %s", location)
	case err != nil:
		return nil, storeFailed(err, "The metadata file can't be read")
	}
	if storage.IsCompressed(body) {
		body, err = storage.Decompress(body, maxBytes)
		switch {
		case errors.Is(err, storage.ErrCorrupt):
			return nil, refuseBecause(KindInvalid, err, "Invalid metadata file %q: it is damaged", shorten(location))
		case err != nil:
			return nil, storeFailed(err, "The metadata file can't be decompressed")
		}
	}
	return body, nil
}

// verifyFile refuses a generation whose metadata file is missing, where the catalog
// was asked to look.
func (c *Catalog) verifyFile(ctx context.Context, warehouse, location string) error {
	if !c.opts.VerifyMetadata {
		return nil
	}
	return c.lookForFile(ctx, warehouse, location)
}

// lookForFile refuses a metadata file that is missing.
func (c *Catalog) lookForFile(ctx context.Context, warehouse, location string) error {
	store, err := c.storeOf(ctx, warehouse)
	if err != nil {
		return err
	}
	there, err := store.Exists(ctx, location)
	switch {
	case err != nil:
		return storeFailed(err, "The table's metadata file can't be looked for")
	case !there:
		return refuse(KindNotFound, "Failed to open input stream for file: %s", location)
	}
	return nil
}

// ensureFolder makes a folder where the warehouse's store has folders.
func (c *Catalog) ensureFolder(ctx context.Context, wh *WarehouseInfo, folder string) error {
	store, err := c.storeOf(ctx, wh.Name)
	if err != nil {
		return err
	}
	if err := store.EnsureFolder(ctx, folder); err != nil {
		return storeFailed(err, "The table's folder can't be made")
	}
	return nil
}

// storeOf gives a warehouse's store; "" is the default one's.
func (c *Catalog) storeOf(ctx context.Context, warehouse string) (Store, error) {
	if warehouse == "" {
		warehouse = c.opts.DefaultWarehouse
	}
	store, err := c.stores(ctx, warehouse)
	if err != nil {
		return nil, storeFailed(err, "The warehouse's store can't be opened")
	}
	return store, nil
}

// storeFailed is the refusal for an object store that did not do its part.
// Nothing was proposed.
func storeFailed(err error, what string) error {
	switch {
	case errors.Is(err, storage.ErrInvalidLocation), errors.Is(err, storage.ErrOutside):
		return refuseBecause(KindForbiddenLocation, err, "%s: its location is not allowed", what)
	case errors.Is(err, storage.ErrTooLarge):
		return refuseBecause(KindTooLarge, err, "%s: it is too large", what)
	}
	return refuseBecause(KindUnavailable, err, "%s; nothing was changed, try again", what)
}

// superseded is which old metadata files a table's properties ask to delete once
// they are off its metadata log: only files below the table's own location.
func superseded(t *iceberg.Table, own string, dropped []string) []string {
	if on, _ := t.Property(propDeleteOld); !isTrue(on) {
		return nil
	}
	var files []string
	for _, location := range dropped {
		if canonical, err := storage.Canonical(location); err == nil && storage.Within(own, canonical) {
			files = append(files, location)
		}
	}
	return files
}

func isTrue(text string) bool {
	on, err := strconv.ParseBool(text)
	return err == nil && on
}
