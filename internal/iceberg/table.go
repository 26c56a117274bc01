package iceberg

import (
	"bytes"
	"iter"
	"maps"
	"slices"
)

// Table is one version of a table's metadata. It is immutable and safe for
// concurrent use.
type Table struct {
	head
	lists       [numLists + 1]list
	snapshotIDs []int64 // of the items of Snapshots
}

// Head returns what is stored besides the parts: the document without its
// growing arrays, preceded by the counters of their ordinals.
func (t *Table) Head() []byte {
	dst := appendOrdinals(make([]byte, 0, 4096), &t.lists)
	return append(t.appendMembers(dst), '}')
}

// Parts returns the elements of the growing arrays, sorted by list and ordinal.
// Their JSON must not be modified.
func (t *Table) Parts() []Part {
	n := 0
	for l := range t.lists {
		n += len(t.lists[l].items)
	}
	parts := make([]Part, 0, n)
	for l := Snapshots; l <= numLists; l++ {
		for _, it := range t.lists[l].items {
			parts = append(parts, Part{PartKey{l, it.ordinal}, it.raw})
		}
	}
	return parts
}

// Document returns the complete metadata document.
func (t *Table) Document() []byte { return t.AppendDocument(nil) }

// AppendDocument appends the complete metadata document.
func (t *Table) AppendDocument(dst []byte) []byte {
	size := 4096
	for l := range t.lists {
		for _, it := range t.lists[l].items {
			size += len(it.raw) + 1
		}
	}
	dst = t.appendMembers(append(slices.Grow(dst, size), '{'))
	for l := Snapshots; l <= numLists; l++ {
		dst = append(appendName(dst, listNames[l]), '[')
		for i, it := range t.lists[l].items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, it.raw...)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// SameContent tells whether two versions differ in nothing but when they were made
// and which metadata files came before them.
func (t *Table) SameContent(other *Table) bool {
	a, b := t.head, other.head
	a.lastUpdatedMs, b.lastUpdatedMs = 0, 0
	if !bytes.Equal(a.appendMembers(nil), b.appendMembers(nil)) {
		return false
	}
	for l := Snapshots; l <= numLists; l++ {
		same := func(a, b item) bool { return bytes.Equal(a.raw, b.raw) }
		if l != MetadataLog && !slices.EqualFunc(t.lists[l].items, other.lists[l].items, same) {
			return false
		}
	}
	return true
}

// UUID identifies the table through all its versions. It is empty for documents
// of format version 1 that have none; the first commit gives them one.
func (t *Table) UUID() string { return t.uuid }

// Location is the root of the table's files, without a slash at the end.
func (t *Table) Location() string { return t.location }

// FormatVersion is the version of the format, 1 to 3.
func (t *Table) FormatVersion() int { return t.formatVersion }

// LastUpdatedMs is when this version was made.
func (t *Table) LastUpdatedMs() int64 { return t.lastUpdatedMs }

// LastSequenceNumber is the highest sequence number given out.
func (t *Table) LastSequenceNumber() int64 { return t.lastSequenceNumber }

// LastColumnID is the highest column id given out.
func (t *Table) LastColumnID() int { return t.lastColumnID }

// NextRowID is the row id that the next snapshot begins with, in version 3.
func (t *Table) NextRowID() int64 { return t.nextRowID }

// Property returns one table property.
func (t *Table) Property(name string) (string, bool) {
	v, ok := t.properties[name]
	return v, ok
}

// Properties returns a copy of the table properties.
func (t *Table) Properties() map[string]string { return maps.Clone(t.properties) }

// Schemas returns all schemas, oldest first.
func (t *Table) Schemas() []*Schema { return slices.Clone(t.schemas) }

// CurrentSchema is the schema that new data is written with.
func (t *Table) CurrentSchema() *Schema { return t.currentSchema() }

// PartitionSpecs returns all partition specs, oldest first.
func (t *Table) PartitionSpecs() []*PartitionSpec { return slices.Clone(t.specs) }

// DefaultPartitionSpec is the spec that new data is written with.
func (t *Table) DefaultPartitionSpec() *PartitionSpec { return t.spec(t.defaultSpecID) }

// SortOrders returns all sort orders, oldest first.
func (t *Table) SortOrders() []*SortOrder { return slices.Clone(t.sortOrders) }

// DefaultSortOrder is the order that new data is written in.
func (t *Table) DefaultSortOrder() *SortOrder { return t.sortOrder(t.defaultSortOrderID) }

// CurrentSnapshotID is the snapshot of the main branch, if there is one.
func (t *Table) CurrentSnapshotID() (int64, bool) {
	return t.currentSnapshotID, t.currentSnapshotID != noSnapshot
}

// NumSnapshots is the number of snapshots.
func (t *Table) NumSnapshots() int { return len(t.snapshotIDs) }

// Snapshot returns the snapshot with the given id. It searches from the newest
// and parses what it finds.
func (t *Table) Snapshot(id int64) (Snapshot, bool) {
	for i := len(t.snapshotIDs) - 1; i >= 0; i-- {
		if t.snapshotIDs[i] == id {
			s, err := parseSnapshot(t.lists[Snapshots].items[i].raw)
			return s, err == nil
		}
	}
	return Snapshot{}, false
}

// AllSnapshots yields every snapshot in the order of the document. A snapshot
// that cannot be parsed, which only damage in the store can cause, comes with an
// error.
func (t *Table) AllSnapshots() iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		for _, it := range t.lists[Snapshots].items {
			if !yield(parseSnapshot(it.raw)) {
				return
			}
		}
	}
}

// Refs returns the branches and tags by name.
func (t *Table) Refs() map[string]Ref {
	refs := make(map[string]Ref, len(t.refs))
	for _, ref := range t.refs {
		refs[ref.name] = ref.Ref
	}
	return refs
}

// MetadataLogEntry names an earlier metadata file of the table.
type MetadataLogEntry struct {
	TimestampMs  int64
	MetadataFile string
}

// MetadataLog returns the earlier metadata files, oldest first. The current file
// is not among them.
func (t *Table) MetadataLog() []MetadataLogEntry {
	entries := make([]MetadataLogEntry, 0, len(t.lists[MetadataLog].items))
	for _, it := range t.lists[MetadataLog].items {
		if e, err := parseMetadataLogEntry(it.raw); err == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

func parseMetadataLogEntry(raw []byte) (MetadataLogEntry, error) {
	r := readObject(raw, "metadata log entry")
	e := MetadataLogEntry{r.long("timestamp-ms"), r.string("metadata-file")}
	return e, r.err
}

// SnapshotLogEntry says when a snapshot became the current one.
type SnapshotLogEntry struct {
	TimestampMs int64
	SnapshotID  int64
}

// SnapshotLog returns the history of the main branch, oldest first.
func (t *Table) SnapshotLog() []SnapshotLogEntry {
	entries := make([]SnapshotLogEntry, 0, len(t.lists[SnapshotLog].items))
	for _, it := range t.lists[SnapshotLog].items {
		if e, err := parseSnapshotLogEntry(it.raw); err == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

func parseSnapshotLogEntry(raw []byte) (SnapshotLogEntry, error) {
	r := readObject(raw, "snapshot log entry")
	e := SnapshotLogEntry{r.long("timestamp-ms"), r.long("snapshot-id")}
	return e, r.err
}

// Locations lists every place outside the document that the document names:
// whoever registers a document from elsewhere must look at all of them.
func (t *Table) Locations() ([]NamedLocation, error) {
	found := append([]NamedLocation{{"location", t.location}}, PropertyLocations(t.properties)...)
	for s, err := range t.AllSnapshots() {
		if err != nil {
			return nil, err
		}
		if s.ManifestList != "" {
			found = append(found, NamedLocation{"manifest-list", s.ManifestList})
		}
		for _, manifest := range s.Manifests {
			found = append(found, NamedLocation{"manifests", manifest})
		}
	}
	for _, it := range t.lists[Statistics].items {
		s, err := parseStatistics(it.raw)
		if err != nil {
			return nil, err
		}
		found = append(found, NamedLocation{"statistics-path", s.path})
	}
	for _, it := range t.lists[PartitionStatistics].items {
		s, err := parsePartitionStatistics(it.raw)
		if err != nil {
			return nil, err
		}
		found = append(found, NamedLocation{"statistics-path", s.path})
	}
	return found, nil
}
