package iceberg

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
)

// Env is everything that is not a function of the document and the request.
type Env struct {
	// NowMs is the time, in milliseconds since the epoch.
	NowMs int64
	// NewUUID makes an identity for tables and views that come without one.
	NewUUID func() string
	// MetadataLocation is where the base document is stored; it goes to the
	// metadata log. It is empty on create.
	MetadataLocation string
}

// Changes is the way from the base to the new version: what a commit stores
// besides the new head.
type Changes struct {
	// Empty says that nothing changed: the result is the base itself, and no new
	// document must be written.
	Empty bool
	// Put are the parts that are new or replaced, Delete those that are gone,
	// both sorted.
	Put    []Part
	Delete []PartKey
	// DroppedMetadata are the metadata files that fell off the metadata log. They
	// may be deleted once the commit is safe, if the table wants that.
	DroppedMetadata []string
}

// Apply checks the requirements against base, which is nil for a table that is
// to be created, applies the updates in order and returns the new version. Its
// arguments stay as they are: to retry on a fresh base, call it again.
func Apply(env Env, base *Table, reqs []Requirement, ups []Update) (*Table, Changes, error) {
	if err := CheckRequirements(base, reqs); err != nil {
		return nil, Changes{}, err
	}
	b, err := newBuilder(env, base, ups)
	if err != nil {
		return nil, Changes{}, err
	}
	for _, u := range ups {
		if u.table == nil {
			return nil, Changes{}, invalidf("Cannot apply update %s to a table", u.action)
		}
		if err := u.table(b); err != nil {
			return nil, Changes{}, err
		}
	}
	return b.build()
}

// builder is a version in the making. It starts as a shallow copy of the base;
// whatever is changed is copied first.
type builder struct {
	Table
	env  Env
	base *Table

	changed bool // something did change
	rebound bool // schema, spec or order changed: they must be seen to fit
	dropped []string

	lastSchemaID, lastSpecID, lastOrderID *int // what -1 means
	added                                 map[int64]int64
	mainWas                               []int64 // added snapshots that main was set to
	snapshotsRemoved                      bool
	ownsProperties                        bool
	ownsList                              [numLists + 1]bool

	lookups   int
	positions map[int64]int // of snapshots; nil until it pays
}

func newBuilder(env Env, base *Table, ups []Update) (*builder, error) {
	b := &builder{env: env, base: base, added: map[int64]int64{}}
	if base != nil {
		b.Table = *base
		return b, nil
	}
	b.formatVersion = defaultFormatVersion
	b.properties = map[string]string{}
	b.currentSnapshotID = noSnapshot
	b.lastPartitionID = firstPartitionFieldID - 1
	b.defaultSpecID, b.defaultSortOrderID = 0, 0
	// A new table has the version that it is upgraded to from the start: there
	// is nothing to downgrade from.
	for _, u := range ups {
		if u.formatVersion != 0 {
			if err := checkFormatVersion(u.formatVersion); err != nil {
				return nil, err
			}
			b.formatVersion = u.formatVersion
			break
		}
	}
	return b, nil
}

// own makes the items of a list this version's own before they are changed.
func (b *builder) own(l List) *list {
	lst := &b.lists[l]
	if !b.ownsList[l] {
		b.ownsList[l] = true
		items := make([]item, len(lst.items), len(lst.items)+4)
		copy(items, lst.items)
		lst.items = items
		if l == Snapshots {
			b.snapshotIDs = append(make([]int64, 0, len(lst.items)+4), b.snapshotIDs...)
		}
	}
	return lst
}

func (b *builder) push(l List, raw []byte) {
	lst := b.own(l)
	lst.items = append(lst.items, item{lst.next, raw})
	lst.next++
}

// filter keeps the items of a list that keep says yes to.
func (b *builder) filter(l List, keep func(i int, it item) bool) {
	kept := make([]item, 0, len(b.lists[l].items)+1)
	var ids []int64
	for i, it := range b.lists[l].items {
		if keep(i, it) {
			kept = append(kept, it)
			if l == Snapshots {
				ids = append(ids, b.snapshotIDs[i])
			}
		}
	}
	b.lists[l].items = kept
	b.ownsList[l] = true
	if l == Snapshots {
		b.snapshotIDs, b.positions = ids, nil
	}
}

// findSnapshot returns where a snapshot is. A few searches are quicker than an
// index over many snapshots; many are not.
func (b *builder) findSnapshot(id int64) (int, bool) {
	const worthAnIndex = 32
	if b.positions == nil {
		if b.lookups++; b.lookups < worthAnIndex {
			i := slices.Index(b.snapshotIDs, id)
			return i, i >= 0
		}
		b.positions = make(map[int64]int, len(b.snapshotIDs)+1)
		for i, id := range b.snapshotIDs {
			b.positions[id] = i
		}
	}
	i, ok := b.positions[id]
	return i, ok
}

// now is the time of the new version. It never goes back: a base from a node
// whose clock is ahead must not block the others.
func (b *builder) now() int64 {
	if b.base != nil {
		return max(b.env.NowMs, b.base.lastUpdatedMs)
	}
	return b.env.NowMs
}

func (b *builder) build() (*Table, Changes, error) {
	if b.base != nil && !b.changed {
		return b.base, Changes{Empty: true}, nil
	}
	if b.uuid == "" {
		if b.env.NewUUID == nil {
			return nil, Changes{}, invalidf("UUID is required in format v%d", b.formatVersion)
		}
		b.uuid = b.env.NewUUID()
	}
	if b.base == nil {
		// Ids of schemas, specs and orders begin at fixed numbers, so a request
		// that added none may still seem to have one.
		if len(b.schemas) == 0 {
			return nil, Changes{}, invalidf("Cannot create a table without a schema")
		}
	}
	if err := b.head.check(); err != nil {
		return nil, Changes{}, err
	}
	if b.rebound || b.base == nil {
		if err := b.checkBound(); err != nil {
			return nil, Changes{}, err
		}
	}
	b.lastUpdatedMs = b.now()
	if err := b.mendSnapshotLog(); err != nil {
		return nil, Changes{}, err
	}
	if err := b.logMetadata(); err != nil {
		return nil, Changes{}, err
	}
	b.hasRefs = true
	t := b.Table
	changes := Changes{DroppedMetadata: b.dropped}
	changes.Put, changes.Delete = difference(b.base, &t)
	return &t, changes, nil
}

// logMetadata adds the base's file to the metadata log and trims the log.
func (b *builder) logMetadata() error {
	if b.base == nil || b.env.MetadataLocation == "" {
		return nil
	}
	// A limit that is no number must not keep the table from ever changing.
	limit, err := strconv.Atoi(b.properties["write.metadata.previous-versions-max"])
	if err != nil {
		limit = 100
	}
	limit = max(limit, 1)
	if surplus := len(b.lists[MetadataLog].items) - limit + 1; surplus > 0 {
		for _, it := range b.lists[MetadataLog].items[:surplus] {
			e, err := parseMetadataLogEntry(it.raw)
			if err != nil {
				return corrupt(err)
			}
			b.dropped = append(b.dropped, e.MetadataFile)
		}
		b.filter(MetadataLog, func(i int, _ item) bool { return i >= surplus })
	}
	raw := appendIntMember([]byte{'{'}, "timestamp-ms", b.base.lastUpdatedMs)
	raw = appendStringMember(raw, "metadata-file", b.env.MetadataLocation)
	b.push(MetadataLog, append(raw, '}'))
	return nil
}

// mendSnapshotLog takes out of the history what never was the current snapshot
// of a stored version, and what cannot be told any more.
func (b *builder) mendSnapshotLog() error {
	passing := map[int64]struct{}{}
	for _, id := range b.mainWas {
		if id != b.currentSnapshotID {
			passing[id] = struct{}{}
		}
	}
	if len(passing) == 0 && !b.snapshotsRemoved {
		return b.checkSnapshotLogOrder()
	}
	present := make(map[int64]struct{}, len(b.snapshotIDs))
	for _, id := range b.snapshotIDs {
		present[id] = struct{}{}
	}
	kept := make([]item, 0, len(b.lists[SnapshotLog].items))
	for _, it := range b.lists[SnapshotLog].items {
		id, err := storedLong(it.raw, "snapshot-id")
		if err != nil {
			return err
		}
		_, there := present[id]
		_, skip := passing[id]
		switch {
		case there && !skip:
			kept = append(kept, it)
		case !there && b.snapshotsRemoved:
			// A gap would let another snapshot seem current in its time, so
			// history begins anew after it.
			kept = kept[:0]
		}
	}
	if len(kept) != len(b.lists[SnapshotLog].items) {
		b.lists[SnapshotLog].items = kept
	}
	return b.checkSnapshotLogOrder()
}

// checkSnapshotLogOrder checks the entries that this commit added, the rest was
// checked before.
func (b *builder) checkSnapshotLogOrder() error {
	items := b.lists[SnapshotLog].items
	first := len(items)
	for first > 0 && (b.base == nil || items[first-1].ordinal >= b.base.lists[SnapshotLog].next) {
		first--
	}
	for i := max(first, 1); i < len(items); i++ {
		before, err := storedLong(items[i-1].raw, "timestamp-ms")
		if err != nil {
			return err
		}
		after, err := storedLong(items[i].raw, "timestamp-ms")
		if err != nil {
			return err
		}
		if tooEarly(after, before) {
			return invalidf("Expected sorted snapshot log entries: cannot make a snapshot of %d current after one of %d", after, before)
		}
	}
	return nil
}

// difference finds the parts that lead from base to t. Both versions share the
// memory of what did not change, so that is all it compares.
func difference(base, t *Table) (put []Part, del []PartKey) {
	for l := Snapshots; l <= numLists; l++ {
		var old []item
		if base != nil {
			old = base.lists[l].items
		}
		for _, it := range t.lists[l].items {
			for len(old) > 0 && old[0].ordinal < it.ordinal {
				del = append(del, PartKey{l, old[0].ordinal})
				old = old[1:]
			}
			if len(old) > 0 && old[0].ordinal == it.ordinal {
				if &old[0].raw[0] != &it.raw[0] && !bytes.Equal(old[0].raw, it.raw) {
					put = append(put, Part{PartKey{l, it.ordinal}, it.raw})
				}
				old = old[1:]
				continue
			}
			put = append(put, Part{PartKey{l, it.ordinal}, it.raw})
		}
		for _, it := range old {
			del = append(del, PartKey{l, it.ordinal})
		}
	}
	return put, del
}

func (b *builder) ownProperties() {
	if !b.ownsProperties {
		b.properties = maps.Clone(b.properties)
		b.ownsProperties = true
	}
}
