package iceberg

// Snapshot is a view of one snapshot of a table.
type Snapshot struct {
	ID             int64
	ParentID       *int64
	SequenceNumber int64 // 0 in format version 1
	TimestampMs    int64
	SchemaID       *int
	// ManifestList is where the list of manifests is. It is empty for snapshots
	// of old tables that name their Manifests instead.
	ManifestList string
	Manifests    []string
	Summary      map[string]string
	KeyID        string
	FirstRowID   *int64
	AddedRows    *int64
}

// parseSnapshot reads and checks a snapshot.
func parseSnapshot(raw []byte) (Snapshot, error) {
	r := readObject(raw, "table version")
	s := readSnapshot(r)
	if summary, ok := r.optional("summary"); ok && r.err == nil {
		s.Summary = r.toStringMap("summary", summary)
	}
	return s, r.err
}

// readSnapshot checks a whole snapshot and reads all but the summary, of which
// old tables have many.
func readSnapshot(r *reader) Snapshot {
	s := Snapshot{
		ID:          r.long("snapshot-id"),
		ParentID:    r.optLong("parent-snapshot-id"),
		TimestampMs: r.long("timestamp-ms"),
		SchemaID:    r.optInt("schema-id"),
		FirstRowID:  r.optLong("first-row-id"),
		AddedRows:   r.optLong("added-rows"),
	}
	if seq := r.optLong("sequence-number"); seq != nil {
		s.SequenceNumber = *seq
	}
	if summary, ok := r.optional("summary"); ok {
		if summary[0] != '{' {
			r.fail("Cannot parse summary from non-object value: %s", excerpt(summary))
		}
		r.checkStringMap("summary", summary)
	}
	if list := r.optString("manifest-list"); list != nil {
		s.ManifestList = *list
	} else {
		s.Manifests = r.strings("manifests", r.array("manifests"))
	}
	if key := r.optString("key-id"); key != nil {
		s.KeyID = *key
	}
	switch {
	case r.err != nil:
	case s.ID < 0:
		// -1 stands for "none" in documents and requests.
		r.fail("Invalid snapshot id (cannot be negative): %d", s.ID)
	case s.SequenceNumber < 0:
		r.fail("Invalid sequence number (cannot be negative): %d", s.SequenceNumber)
	case s.FirstRowID != nil && *s.FirstRowID < 0:
		r.fail("Invalid first-row-id (cannot be negative): %d", *s.FirstRowID)
	case s.AddedRows != nil && *s.AddedRows < 0:
		r.fail("Invalid added-rows (cannot be negative): %d", *s.AddedRows)
	case s.FirstRowID != nil && s.AddedRows == nil:
		r.fail("Invalid added-rows (required when first-row-id is set): null")
	}
	return s
}

// storedLong finds one integer of a stored element without taking the rest
// apart.
func storedLong(raw []byte, name string) (int64, error) {
	c := walkObject(raw)
	for c.next() {
		if string(c.key) == name {
			if n, ok := decodeInt(c.val, 64); ok {
				return n, nil
			}
			break
		}
	}
	return 0, corrupt(invalidf("no %s in %s", name, excerpt(raw)))
}

// canonicalElement prepares an element of a growing array for the store: no
// nulls, and its snapshot id first, so that a scan over many finds it at once.
func canonicalElement(raw []byte, snapshotID int64) []byte {
	dst := make([]byte, 0, len(raw))
	dst = appendIntMember(append(dst, '{'), "snapshot-id", snapshotID)
	for c := walkObject(raw); c.next(); {
		if string(c.key) != "snapshot-id" && !isNull(c.val) {
			dst = appendWithoutNulls(appendName(dst, string(c.key)), c.val)
		}
	}
	return append(dst, '}')
}

// sameSnapshot tells whether two snapshots are one and the same commit.
func sameSnapshot(a, b Snapshot) bool {
	return a.ID == b.ID && a.ManifestList == b.ManifestList
}
