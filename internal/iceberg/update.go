package iceberg

import (
	"slices"
	"strings"
)

// Update is one change to a table or a view. It is immutable and can be applied
// to any number of versions.
type Update struct {
	action    string
	table     func(*builder) error     // nil: not for tables
	view      func(*viewBuilder) error // nil: not for views
	locations []NamedLocation

	// What must be known before the first update is applied.
	formatVersion int       // of upgrade-format-version, otherwise 0
	snapshot      *Snapshot // of add-snapshot
	uuid          string    // of assign-uuid
	properties    map[string]string
}

// Action is the name of the update, such as add-snapshot.
func (u Update) Action() string { return u.action }

// SetProperties is what a set-properties update sets, nil for other actions. It
// must not be modified.
func (u Update) SetProperties() map[string]string { return u.properties }

// NamedLocation is a place outside the document that a request or document
// names, and the member that names it.
type NamedLocation struct {
	Field    string
	Location string
}

// Locations lists every place outside the document that updates name: whoever
// may not send a client there must look at all of them.
func Locations(ups []Update) []NamedLocation {
	var all []NamedLocation
	for _, u := range ups {
		all = append(all, u.locations...)
	}
	return all
}

// pathProperties are the properties that send writers to a place.
var pathProperties = []string{
	"write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path",
}

// PropertyLocations lists the places that properties name.
func PropertyLocations(properties map[string]string) []NamedLocation {
	var found []NamedLocation
	for _, name := range pathProperties {
		if value, ok := properties[name]; ok {
			found = append(found, NamedLocation{name, value})
		}
	}
	return found
}

// updateParsers says how to read each action. DESIGN.md has a checklist for
// adding one.
var updateParsers = map[string]func(*reader) Update{
	"assign-uuid":                 readAssignUUID,
	"upgrade-format-version":      readUpgradeFormatVersion,
	"add-schema":                  readAddSchema,
	"set-current-schema":          readSetCurrentSchema,
	"add-spec":                    readAddSpec,
	"set-default-spec":            readSetDefaultSpec,
	"add-sort-order":              readAddSortOrder,
	"set-default-sort-order":      readSetDefaultSortOrder,
	"add-snapshot":                readAddSnapshot,
	"set-snapshot-ref":            readSetSnapshotRef,
	"remove-snapshots":            readRemoveSnapshots,
	"remove-snapshot-ref":         readRemoveSnapshotRef,
	"set-location":                readSetLocation,
	"set-properties":              readSetProperties,
	"remove-properties":           readRemoveProperties,
	"set-statistics":              readSetStatistics,
	"remove-statistics":           readRemoveStatistics,
	"set-partition-statistics":    readSetPartitionStatistics,
	"remove-partition-statistics": readRemovePartitionStatistics,
	"remove-partition-specs":      readRemoveSpecs,
	"remove-schemas":              readRemoveSchemas,
	"add-encryption-key":          readAddEncryptionKey,
	"remove-encryption-key":       readRemoveEncryptionKey,
	"add-view-version":            readAddViewVersion,
	"set-current-view-version":    readSetCurrentViewVersion,
}

// ParseUpdates reads the updates of a commit, of tables and views alike; which
// of them fit is seen when they are applied.
func ParseUpdates(raw []byte) ([]Update, error) {
	elems, err := parseArray(raw, "updates")
	if err != nil {
		return nil, err
	}
	ups := make([]Update, 0, len(elems))
	for _, elem := range elems {
		r := readObject(elem, "metadata update")
		if r.err == nil && !r.has("action") {
			return nil, invalidf("Cannot parse metadata update. Missing field: action")
		}
		action := strings.ToLower(r.string("action"))
		if r.err != nil {
			return nil, r.err
		}
		parse, ok := updateParsers[action]
		if !ok {
			return nil, invalidf("Cannot convert metadata update action to json: %s", excerpt([]byte(action)))
		}
		u := parse(r)
		if r.err != nil {
			return nil, r.err
		}
		u.action = action
		ups = append(ups, u)
	}
	return ups, nil
}

// AlreadyApplied tells whether a commit landed before, and its client asks again
// because it never heard: the snapshots that it adds are all in the table, or it
// creates the very table that is there. It is false for what can't be told.
func AlreadyApplied(t *Table, reqs []Requirement, ups []Update) bool {
	found := false
	for _, u := range ups {
		switch {
		case u.snapshot != nil:
			s, ok := t.Snapshot(u.snapshot.ID)
			if !ok || !sameSnapshot(s, *u.snapshot) {
				return false
			}
			found = true
		case u.uuid != "" && IsCreate(reqs):
			if !strings.EqualFold(u.uuid, t.uuid) {
				return false
			}
			found = true
		}
	}
	return found
}

func readAssignUUID(r *reader) Update {
	uuid := r.string("uuid")
	if r.err == nil && uuid == "" {
		r.fail("Cannot set uuid to an empty string")
	}
	return Update{
		uuid:  uuid,
		table: func(b *builder) error { return b.assignUUID(uuid) },
		view:  func(b *viewBuilder) error { return b.assignUUID(uuid) },
	}
}

func readUpgradeFormatVersion(r *reader) Update {
	version := r.int("format-version")
	return Update{
		formatVersion: version,
		table:         func(b *builder) error { return b.upgrade(version) },
		view:          func(b *viewBuilder) error { return b.upgrade(version) },
	}
}

// readNested parses an object within an update.
func readNested[T any](r *reader, name string, parse func([]byte) (T, error)) (out T) {
	raw := r.raw(name)
	if r.err == nil {
		out, r.err = parse(raw)
	}
	return out
}

func readAddSchema(r *reader) Update {
	schema := readNested(r, "schema", parseSchema)
	r.optInt("last-column-id") // of old clients; the schema says it better
	return Update{
		table: func(b *builder) error { return b.addSchema(schema) },
		view:  func(b *viewBuilder) error { return b.addSchema(schema) },
	}
}

func readSetCurrentSchema(r *reader) Update {
	id := r.int("schema-id")
	return Update{table: func(b *builder) error { return b.setCurrentSchema(id) }}
}

func readAddSpec(r *reader) Update {
	unset := 0
	spec := readNested(r, "spec", func(raw []byte) (*PartitionSpec, error) { return parseSpec(raw, &unset) })
	return Update{table: func(b *builder) error { return b.addSpec(spec) }}
}

func readSetDefaultSpec(r *reader) Update {
	id := r.int("spec-id")
	return Update{table: func(b *builder) error { return b.setDefaultSpec(id) }}
}

func readAddSortOrder(r *reader) Update {
	order := readNested(r, "sort-order", parseSortOrder)
	return Update{table: func(b *builder) error { return b.addSortOrder(order) }}
}

func readSetDefaultSortOrder(r *reader) Update {
	id := r.int("sort-order-id")
	return Update{table: func(b *builder) error { return b.setDefaultSortOrder(id) }}
}

func readAddSnapshot(r *reader) Update {
	raw := r.raw("snapshot")
	if r.err != nil {
		return Update{}
	}
	snapshot, err := parseSnapshot(raw)
	if r.err = err; err != nil {
		return Update{}
	}
	stored := canonicalElement(raw, snapshot.ID)
	u := Update{
		snapshot: &snapshot,
		table:    func(b *builder) error { return b.addSnapshot(&snapshot, stored) },
	}
	if snapshot.ManifestList != "" {
		u.locations = append(u.locations, NamedLocation{"manifest-list", snapshot.ManifestList})
	}
	for _, manifest := range snapshot.Manifests {
		u.locations = append(u.locations, NamedLocation{"manifests", manifest})
	}
	return u
}

func readSetSnapshotRef(r *reader) Update {
	ref := newRef(r.string("ref-name"), readRef(r))
	return Update{table: func(b *builder) error { return b.setRef(ref) }}
}

func readRemoveSnapshots(r *reader) Update {
	ids := r.longs("snapshot-ids", r.array("snapshot-ids"))
	return Update{table: func(b *builder) error { return b.removeSnapshots(ids) }}
}

func readRemoveSnapshotRef(r *reader) Update {
	name := r.string("ref-name")
	return Update{table: func(b *builder) error { b.removeRef(name); return nil }}
}

func readSetLocation(r *reader) Update {
	location := trimLocation(r.string("location"))
	if r.err == nil && location == "" {
		r.fail("Invalid location: empty")
	}
	return Update{
		locations: []NamedLocation{{"location", location}},
		table:     func(b *builder) error { b.setLocation(location); return nil },
		view:      func(b *viewBuilder) error { b.setLocation(location); return nil },
	}
}

// either returns the name that a member goes by: clients of long ago used the
// legacy one.
func either(r *reader, name, legacy string) string {
	if !r.has(name) && r.has(legacy) {
		return legacy
	}
	return name
}

func readSetProperties(r *reader) Update {
	set := r.stringMap(either(r, "updates", "updated"))
	return Update{
		properties: set,
		locations:  PropertyLocations(set),
		table:      func(b *builder) error { b.setProperties(set); return nil },
		view:       func(b *viewBuilder) error { b.setProperties(set); return nil },
	}
}

func readRemoveProperties(r *reader) Update {
	name := either(r, "removals", "removed")
	names := r.strings(name, r.array(name))
	return Update{
		table: func(b *builder) error { b.removeProperties(names); return nil },
		view:  func(b *viewBuilder) error { b.removeProperties(names); return nil },
	}
}

func readSetStatisticsOf(r *reader, name string, list List, parse func([]byte) (statistics, error)) Update {
	raw := r.raw(name)
	if r.err != nil {
		return Update{}
	}
	s, err := parse(raw)
	if r.err = err; err != nil {
		return Update{}
	}
	stored := canonicalElement(raw, s.snapshotID)
	return Update{
		locations: []NamedLocation{{"statistics-path", s.path}},
		table:     func(b *builder) error { return b.setStatistics(list, s.snapshotID, stored) },
	}
}

func readSetStatistics(r *reader) Update {
	return readSetStatisticsOf(r, "statistics", Statistics, parseStatistics)
}

func readSetPartitionStatistics(r *reader) Update {
	return readSetStatisticsOf(r, "partition-statistics", PartitionStatistics, parsePartitionStatistics)
}

func readRemoveStatistics(r *reader) Update {
	id := r.long("snapshot-id")
	return Update{table: func(b *builder) error { return b.removeStatistics(Statistics, []int64{id}) }}
}

func readRemovePartitionStatistics(r *reader) Update {
	id := r.long("snapshot-id")
	return Update{table: func(b *builder) error { return b.removeStatistics(PartitionStatistics, []int64{id}) }}
}

func readRemoveSpecs(r *reader) Update {
	ids := r.ints("spec-ids", r.array("spec-ids"))
	return Update{table: func(b *builder) error { return b.removeSpecs(ids) }}
}

func readRemoveSchemas(r *reader) Update {
	ids := r.ints("schema-ids", r.array("schema-ids"))
	return Update{table: func(b *builder) error { return b.removeSchemas(ids) }}
}

func readAddEncryptionKey(r *reader) Update {
	key := readNested(r, "encryption-key", parseEncryptionKey)
	return Update{table: func(b *builder) error { b.addEncryptionKey(key); return nil }}
}

func readRemoveEncryptionKey(r *reader) Update {
	id := r.string("key-id")
	return Update{table: func(b *builder) error { b.removeEncryptionKey(id); return nil }}
}

// reservedProperties stand for things of the document that have their own
// member. Clients send them by mistake; stored, they would only contradict it.
var reservedProperties = []string{
	"format-version", "uuid", "snapshot-count", "current-snapshot-summary", "current-snapshot-id",
	"current-snapshot-timestamp-ms", "current-schema", "default-partition-spec", "default-sort-order",
}

func isReserved(name string) bool { return slices.Contains(reservedProperties, name) }
