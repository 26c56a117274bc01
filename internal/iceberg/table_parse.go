package iceberg

import (
	"bytes"
	"slices"
)

// oneMinute is how far clocks of writers may be apart. Iceberg's own readers
// allow the same between the timestamps of a document.
const oneMinute = 60_000

// ParseTable reads a complete metadata document of format version 1, 2 or 3. It
// accepts what Iceberg's Java implementation accepts and keeps all of it, also
// what it does not know; see DESIGN.md for the few differences.
func ParseTable(doc []byte) (*Table, error) {
	raw, err := compactJSON(doc)
	if err != nil {
		return nil, err
	}
	if raw[0] != '{' {
		return nil, invalidf("Cannot parse metadata from a non-object: %s", excerpt(raw))
	}
	r := readObject(raw, "metadata")
	h, err := readHead(r, parseSchema)
	if err != nil {
		return nil, err
	}
	t := &Table{head: *h}
	if err := t.checkBound(); err != nil {
		return nil, err
	}
	for l := Snapshots; l <= numLists; l++ {
		elems := r.optArray(listNames[l])
		if r.err != nil {
			return nil, r.err
		}
		items := make([]item, len(elems))
		for i, elem := range elems {
			if bytes.Contains(elem, []byte("null")) {
				elem = appendWithoutNulls(make([]byte, 0, len(elem)), elem)
			}
			items[i] = item{uint64(i), elem}
		}
		t.lists[l] = list{items: items, next: uint64(len(items))}
	}
	for _, check := range []func() error{t.checkSnapshots, t.checkRefs, t.checkLogs, t.checkStatistics} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// checkSnapshots checks all snapshots and indexes them.
func (t *Table) checkSnapshots() error {
	items := t.lists[Snapshots].items
	t.snapshotIDs = make([]int64, len(items))
	seen := make(map[int64]struct{}, len(items))
	for i, it := range items {
		r := readObject(it.raw, "table version")
		s := readSnapshot(r)
		if r.err != nil {
			return r.err
		}
		if s.SequenceNumber > t.lastSequenceNumber {
			return invalidf("Invalid snapshot with sequence number %d greater than last sequence number %d",
				s.SequenceNumber, t.lastSequenceNumber)
		}
		if _, twice := seen[s.ID]; twice {
			return invalidf("Multiple snapshots with id %d", s.ID)
		}
		seen[s.ID] = struct{}{}
		t.snapshotIDs[i] = s.ID
	}
	if t.currentSnapshotID != noSnapshot {
		if _, ok := seen[t.currentSnapshotID]; !ok {
			return invalidf("Invalid table metadata: Cannot find current version")
		}
		if !t.hasRefs {
			// Before there were references, the current snapshot was all there was.
			t.refs = []namedRef{newRef(MainBranch, Ref{SnapshotID: t.currentSnapshotID, Type: Branch})}
		}
	}
	for _, ref := range t.refs {
		if _, ok := seen[ref.SnapshotID]; !ok {
			return invalidf("Snapshot for reference %s does not exist in the existing snapshots list", ref.name)
		}
	}
	return nil
}

// checkRefs checks that the main branch and the current snapshot agree.
func (t *Table) checkRefs() error {
	i, ok := findRef(t.refs, MainBranch)
	switch {
	case !ok:
	case t.currentSnapshotID == noSnapshot:
		return invalidf("Current snapshot is not set, but main branch exists: %d", t.refs[i].SnapshotID)
	case t.refs[i].SnapshotID != t.currentSnapshotID:
		return invalidf("Current snapshot ID does not match main branch (%d != %d)", t.currentSnapshotID, t.refs[i].SnapshotID)
	}
	return nil
}

func (t *Table) checkLogs() error {
	var last int64
	for i, it := range t.lists[SnapshotLog].items {
		e, err := parseSnapshotLogEntry(it.raw)
		if err != nil {
			return err
		}
		if i > 0 && tooEarly(e.TimestampMs, last) {
			return invalidf("Expected sorted snapshot log entries: %d before %d", e.TimestampMs, last)
		}
		last = e.TimestampMs
	}
	if len(t.lists[SnapshotLog].items) > 0 && tooEarly(t.lastUpdatedMs, last) {
		return invalidf("Invalid update timestamp %d: before last snapshot log entry at %d", t.lastUpdatedMs, last)
	}
	for i, it := range t.lists[MetadataLog].items {
		e, err := parseMetadataLogEntry(it.raw)
		if err != nil {
			return err
		}
		if i > 0 && tooEarly(e.TimestampMs, last) {
			return invalidf("Expected sorted previous metadata log entries: %d before %d", e.TimestampMs, last)
		}
		last = e.TimestampMs
	}
	if len(t.lists[MetadataLog].items) > 0 && tooEarly(t.lastUpdatedMs, last) {
		return invalidf("Invalid update timestamp %d: before the latest metadata log entry timestamp %d", t.lastUpdatedMs, last)
	}
	return nil
}

// tooEarly tells whether a comes before b by more than clocks may differ.
func tooEarly(a, b int64) bool { return a < b && b-a > oneMinute || a < b && b-a < 0 }

func (t *Table) checkStatistics() error {
	for _, it := range t.lists[Statistics].items {
		if _, err := parseStatistics(it.raw); err != nil {
			return err
		}
	}
	for _, it := range t.lists[PartitionStatistics].items {
		if _, err := parsePartitionStatistics(it.raw); err != nil {
			return err
		}
	}
	return nil
}

// TableFromParts puts a table together from what Head and Parts gave, parts in
// any order. What was checked when it was stored is not checked again: the head
// is decoded, of the parts only the ids are read. The table keeps the memory of
// its arguments. Errors are of the class ErrCorrupt.
func TableFromParts(storedHead []byte, parts []Part) (*Table, error) {
	t, err := tableFromParts(storedHead, parts)
	if err != nil {
		return nil, corrupt(err)
	}
	return t, nil
}

func readStoredHead(stored []byte) (*head, error) {
	r := readObject(stored, "stored head")
	if r.err != nil {
		return nil, r.err
	}
	// A document may have an unknown member of the same name; ours is the first.
	r.members = r.members[1:]
	return readHead(r, storedSchema)
}

func tableFromParts(storedHead []byte, parts []Part) (*Table, error) {
	ordinals, _, ok := splitHead(storedHead)
	if !ok {
		return nil, invalidf("Stored head has no ordinals: %s", excerpt(storedHead))
	}
	h, err := readStoredHead(storedHead)
	if err != nil {
		return nil, err
	}
	t := &Table{head: *h}
	if err := readOrdinals(ordinals, &t.lists); err != nil {
		return nil, err
	}
	if !slices.IsSortedFunc(parts, func(a, b Part) int { return a.Compare(b.PartKey) }) {
		parts = slices.Clone(parts)
		slices.SortFunc(parts, func(a, b Part) int { return a.Compare(b.PartKey) })
	}
	for len(parts) > 0 {
		l := parts[0].List
		if l < Snapshots || l > numLists {
			return nil, invalidf("Stored part is of an unknown list: %d", l)
		}
		n := slices.IndexFunc(parts, func(p Part) bool { return p.List != l })
		if n < 0 {
			n = len(parts)
		}
		if err := t.takeParts(l, parts[:n]); err != nil {
			return nil, err
		}
		parts = parts[n:]
	}
	return t, nil
}

func (t *Table) takeParts(l List, parts []Part) error {
	items := make([]item, len(parts))
	for i, p := range parts {
		if p.Ordinal >= t.lists[l].next || i > 0 && p.Ordinal == parts[i-1].Ordinal {
			return invalidf("Stored part of %s has an ordinal out of place: %d", l, p.Ordinal)
		}
		items[i] = item{p.Ordinal, p.JSON}
	}
	t.lists[l].items = items
	if l != Snapshots {
		return nil
	}
	t.snapshotIDs = make([]int64, len(items))
	for i, it := range items {
		id, err := storedLong(it.raw, "snapshot-id")
		if err != nil {
			return err
		}
		t.snapshotIDs[i] = id
	}
	return nil
}
