package iceberg

import (
	"math"
	"slices"
)

func (b *builder) addSnapshot(s *Snapshot, stored []byte) error {
	switch {
	case len(b.schemas) == 0:
		return invalidf("Attempting to add a snapshot before a schema is added")
	case len(b.specs) == 0:
		return invalidf("Attempting to add a snapshot before a partition spec is added")
	case len(b.sortOrders) == 0:
		return invalidf("Attempting to add a snapshot before a sort order is added")
	}
	if _, ok := b.findSnapshot(s.ID); ok {
		return invalidf("Snapshot already exists for id: %d", s.ID)
	}
	if s.TimestampMs > b.env.NowMs && s.TimestampMs-b.env.NowMs > oneMinute {
		// Readers refuse a document whose history goes beyond its own time, and
		// every later commit would make such a document until that time comes.
		return invalidf("Cannot add snapshot %d: its timestamp %d is more than one minute after the catalog's time %d",
			s.ID, s.TimestampMs, b.env.NowMs)
	}
	if b.formatVersion > 1 && s.ManifestList == "" {
		return invalidf("Cannot parse missing string: manifest-list")
	}
	if err := b.checkSequence(s); err != nil {
		return err
	}
	if err := b.takeRowIDs(s); err != nil {
		return err
	}
	b.push(Snapshots, stored)
	if b.positions != nil {
		b.positions[s.ID] = len(b.snapshotIDs)
	}
	b.snapshotIDs = append(b.snapshotIDs, s.ID)
	b.added[s.ID] = s.TimestampMs
	b.changed = true
	return nil
}

func (b *builder) checkSequence(s *Snapshot) error {
	if b.formatVersion == 1 {
		if s.SequenceNumber != 0 {
			return invalidf("Sequence number must be 0 in v1: %d", s.SequenceNumber)
		}
		return nil
	}
	// A snapshot without a parent begins a new history, as a replaced table has.
	// It may share the last number, but never lower it.
	if s.SequenceNumber < b.lastSequenceNumber || s.SequenceNumber == b.lastSequenceNumber && s.ParentID != nil {
		return stalef("Cannot add snapshot with sequence number %d older than last sequence number %d",
			s.SequenceNumber, b.lastSequenceNumber)
	}
	b.lastSequenceNumber = s.SequenceNumber
	return nil
}

func (b *builder) takeRowIDs(s *Snapshot) error {
	if b.formatVersion < 3 {
		return nil
	}
	switch {
	case s.FirstRowID == nil:
		return invalidf("Cannot add a snapshot: first-row-id is null")
	case *s.FirstRowID < b.nextRowID:
		return stalef("Cannot add a snapshot, first-row-id is behind table next-row-id: %d < %d", *s.FirstRowID, b.nextRowID)
	case *s.AddedRows > math.MaxInt64-*s.FirstRowID:
		return invalidf("Cannot add a snapshot: row ids of %d rows from %d exceed their range", *s.AddedRows, *s.FirstRowID)
	}
	b.nextRowID = *s.FirstRowID + *s.AddedRows
	return nil
}

func (b *builder) setRef(ref namedRef) error {
	i, exists := findRef(b.refs, ref.name)
	if exists && b.refs[i].equal(ref.Ref) {
		return nil
	}
	if ref.name == MainBranch && ref.Type != Branch {
		return invalidf("Cannot set main to a tag, it must be a branch")
	}
	if _, ok := b.findSnapshot(ref.SnapshotID); !ok {
		return invalidf("Cannot set %s to unknown snapshot: %d", ref.name, ref.SnapshotID)
	}
	if ref.name == MainBranch && b.currentSnapshotID != ref.SnapshotID {
		at, isNew := b.added[ref.SnapshotID]
		if isNew {
			b.mainWas = append(b.mainWas, ref.SnapshotID)
		} else {
			at = b.now()
		}
		raw := appendIntMember([]byte{'{'}, "timestamp-ms", at)
		raw = appendIntMember(raw, "snapshot-id", ref.SnapshotID)
		b.push(SnapshotLog, append(raw, '}'))
		b.currentSnapshotID = ref.SnapshotID
	}
	b.refs = slices.Clone(b.refs)
	if exists {
		b.refs[i] = ref
	} else {
		b.refs = slices.Insert(b.refs, i, ref)
	}
	b.changed = true
	return nil
}

func (b *builder) removeRef(name string) {
	if name == MainBranch && b.currentSnapshotID != noSnapshot {
		b.currentSnapshotID, b.changed = noSnapshot, true
	}
	if i, ok := findRef(b.refs, name); ok {
		b.refs = slices.Delete(slices.Clone(b.refs), i, i+1)
		b.changed = true
	}
}

func (b *builder) removeSnapshots(ids []int64) error {
	gone := make(map[int64]struct{}, len(ids))
	for _, id := range ids {
		if _, ok := b.findSnapshot(id); ok {
			gone[id] = struct{}{}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	b.filter(Snapshots, func(i int, _ item) bool {
		_, remove := gone[b.snapshotIDs[i]]
		return !remove
	})
	b.changed, b.snapshotsRemoved = true, true
	for _, ref := range slices.Clone(b.refs) {
		if _, dangling := gone[ref.SnapshotID]; dangling {
			b.removeRef(ref.name)
		}
	}
	if _, dangling := gone[b.currentSnapshotID]; dangling {
		// A table may have a current snapshot without a main branch.
		b.currentSnapshotID = noSnapshot
	}
	if err := b.dropStatistics(Statistics, gone); err != nil {
		return err
	}
	return b.dropStatistics(PartitionStatistics, gone)
}

func (b *builder) setStatistics(l List, snapshotID int64, stored []byte) error {
	place := -1
	for i, it := range b.lists[l].items {
		id, err := storedLong(it.raw, "snapshot-id")
		if err != nil {
			return err
		}
		if id == snapshotID {
			place = i
			break
		}
	}
	b.changed = true
	if place < 0 {
		b.push(l, stored)
		return nil
	}
	// A snapshot has one file; older documents may list more.
	ordinal := b.lists[l].items[place].ordinal
	if err := b.dropStatisticsBut(l, map[int64]struct{}{snapshotID: {}}, ordinal); err != nil {
		return err
	}
	items := b.own(l).items
	for i := range items {
		if items[i].ordinal == ordinal {
			items[i].raw = stored
		}
	}
	return nil
}

func (b *builder) removeStatistics(l List, ids []int64) error {
	gone := make(map[int64]struct{}, len(ids))
	for _, id := range ids {
		gone[id] = struct{}{}
	}
	return b.dropStatistics(l, gone)
}

func (b *builder) dropStatistics(l List, gone map[int64]struct{}) error {
	return b.dropStatisticsBut(l, gone, math.MaxUint64)
}

// dropStatisticsBut removes the elements of snapshots, except for one ordinal.
func (b *builder) dropStatisticsBut(l List, gone map[int64]struct{}, except uint64) error {
	var drop []uint64
	for _, it := range b.lists[l].items {
		id, err := storedLong(it.raw, "snapshot-id")
		if err != nil {
			return err
		}
		if _, ok := gone[id]; ok && it.ordinal != except {
			drop = append(drop, it.ordinal)
		}
	}
	if drop == nil {
		return nil
	}
	b.filter(l, func(_ int, it item) bool {
		_, found := slices.BinarySearch(drop, it.ordinal)
		return !found
	})
	b.changed = true
	return nil
}
