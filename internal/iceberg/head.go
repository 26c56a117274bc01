package iceberg

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	maxFormatVersion     = 3
	defaultFormatVersion = 2
	noSnapshot           = int64(-1)
)

// head is a table's document without its growing arrays.
type head struct {
	formatVersion      int
	uuid               string // "" in old documents of version 1
	location           string
	lastSequenceNumber int64
	lastUpdatedMs      int64
	lastColumnID       int
	currentSchemaID    int
	schemas            []*Schema
	defaultSpecID      int
	specs              []*PartitionSpec
	lastPartitionID    int
	defaultSortOrderID int
	sortOrders         []*SortOrder
	properties         map[string]string // shared between versions, never written to
	currentSnapshotID  int64
	refs               []namedRef // by name
	hasRefs            bool
	encryptionKeys     []encryptionKey
	nextRowID          int64
	extra              []member // what we do not know
}

// headNames are the members that head and the lists account for. The last ones
// only have a meaning in some format versions; in the others they are dropped,
// because nobody would keep them true.
var headNames = []string{
	"format-version", "table-uuid", "location", "last-updated-ms", "last-column-id",
	"current-schema-id", "schemas", "default-spec-id", "partition-specs", "last-partition-id",
	"default-sort-order-id", "sort-orders", "properties", "current-snapshot-id", "refs", "encryption-keys",
	"snapshots", "snapshot-log", "metadata-log", "statistics", "partition-statistics",
	"schema", "partition-spec", "last-sequence-number", "next-row-id",
}

// readHead reads a head. The function schema is called for every schema: it tells documents
// from outside, which must be checked, from our own.
func readHead(r *reader, schema func([]byte) (*Schema, error)) (*head, error) {
	h := &head{formatVersion: r.int("format-version")}
	switch {
	case r.err != nil:
		return nil, r.err
	case h.formatVersion > maxFormatVersion:
		return nil, unsupportedf("Cannot read unsupported version %d", h.formatVersion)
	case h.formatVersion < 1:
		return nil, invalidf("Invalid format version: %d", h.formatVersion)
	}
	if uuid := r.optString("table-uuid"); uuid != nil {
		h.uuid = *uuid
	}
	h.location = trimLocation(r.string("location"))
	h.lastUpdatedMs = r.long("last-updated-ms")
	h.lastColumnID = r.int("last-column-id")
	if h.formatVersion > 1 {
		h.lastSequenceNumber = r.long("last-sequence-number")
	}
	if h.formatVersion > 2 {
		h.nextRowID = r.long("next-row-id")
	}
	h.currentSnapshotID = noSnapshot
	if id := r.optLong("current-snapshot-id"); id != nil && *id >= 0 {
		h.currentSnapshotID = *id
	}
	h.properties = map[string]string{}
	if properties, ok := r.optional("properties"); ok {
		h.properties = r.toStringMap("properties", properties)
	}
	h.readSchemas(r, schema)
	h.readSpecs(r)
	h.readSortOrders(r)
	h.readKeys(r)
	if refs, ok := r.optional("refs"); ok {
		var err error
		h.hasRefs = true
		if h.refs, err = parseRefs(refs); err != nil {
			return nil, err
		}
	}
	h.extra = r.others(headNames)
	if r.err != nil {
		return nil, r.err
	}
	return h, h.check()
}

// check checks what must hold within the head.
func (h *head) check() error {
	switch {
	case h.uuid == "" && h.formatVersion > 1:
		return invalidf("UUID is required in format v%d", h.formatVersion)
	case h.location == "":
		return invalidf("Table location is required in format v%d", h.formatVersion)
	case len(h.specs) == 0:
		return invalidf("Partition specs cannot be null or empty")
	case len(h.sortOrders) == 0:
		return invalidf("Sort orders cannot be null or empty")
	case h.lastSequenceNumber < 0:
		return invalidf("Invalid last-sequence-number (cannot be negative): %d", h.lastSequenceNumber)
	case h.nextRowID < 0:
		return invalidf("Invalid next-row-id (cannot be negative): %d", h.nextRowID)
	case h.lastColumnID < 0:
		return invalidf("Invalid last-column-id (cannot be negative): %d", h.lastColumnID)
	case h.currentSchema() == nil:
		return invalidf("Cannot find schema with current-schema-id=%d from schemas", h.currentSchemaID)
	case h.spec(h.defaultSpecID) == nil:
		return invalidf("Cannot find partition spec with default-spec-id=%d from partition-specs", h.defaultSpecID)
	case h.sortOrder(h.defaultSortOrderID) == nil:
		return invalidf("Cannot find sort order with default-sort-order-id=%d from sort-orders", h.defaultSortOrderID)
	}
	if id, twice := firstTwice(h.schemas, func(s *Schema) int { return s.id }); twice {
		return invalidf("Multiple schemas with id %d", id)
	}
	if id, twice := firstTwice(h.specs, func(s *PartitionSpec) int { return s.ID }); twice {
		return invalidf("Multiple partition specs with id %d", id)
	}
	if id, twice := firstTwice(h.sortOrders, func(o *SortOrder) int { return o.ID }); twice {
		return invalidf("Multiple sort orders with id %d", id)
	}
	return nil
}

func firstTwice[E any](elems []E, id func(E) int) (int, bool) {
	seen := make(map[int]struct{}, len(elems))
	for _, e := range elems {
		if _, ok := seen[id(e)]; ok {
			return id(e), true
		}
		seen[id(e)] = struct{}{}
	}
	return 0, false
}

func (h *head) readSchemas(r *reader, schema func([]byte) (*Schema, error)) {
	elems := r.optArray("schemas")
	if elems == nil {
		if h.formatVersion > 1 {
			r.fail("schemas must exist in format v%d", h.formatVersion)
		}
		elems = [][]byte{r.raw("schema")}
	} else {
		h.currentSchemaID = r.int("current-schema-id")
	}
	for _, raw := range elems {
		if r.err != nil {
			return
		}
		s, err := schema(raw)
		if err != nil {
			r.err = err
			return
		}
		h.schemas = append(h.schemas, s)
	}
	if len(h.schemas) == 1 && !r.has("current-schema-id") {
		h.currentSchemaID = h.schemas[0].id
	}
}

func (h *head) readSpecs(r *reader) {
	elems := r.optArray("partition-specs")
	if elems == nil {
		if h.formatVersion > 1 {
			r.fail("partition-specs must exist in format v%d", h.formatVersion)
		}
		raw := r.raw("partition-spec")
		if r.err != nil {
			return
		}
		fields, bound, err := parseSpecFields(raw)
		if err != nil {
			r.err = err
			return
		}
		spec := newSpec(0, fields)
		spec.bound = bound
		h.specs = []*PartitionSpec{spec.numbered()}
	} else {
		h.defaultSpecID = r.int("default-spec-id")
		for _, raw := range elems {
			if r.err != nil {
				return
			}
			spec, err := parseSpec(raw, nil)
			if err != nil {
				r.err = err
				return
			}
			h.specs = append(h.specs, spec.numbered())
		}
	}
	last := r.optInt("last-partition-id")
	switch {
	case last != nil:
		h.lastPartitionID = *last
	case h.formatVersion > 1:
		r.fail("last-partition-id must exist in format v%d", h.formatVersion)
	default:
		h.lastPartitionID = firstPartitionFieldID - 1
		for _, spec := range h.specs {
			h.lastPartitionID = max(h.lastPartitionID, spec.lastFieldID())
		}
	}
}

func (h *head) readSortOrders(r *reader) {
	elems := r.optArray("sort-orders")
	if elems == nil {
		if h.formatVersion > 1 {
			r.fail("sort-orders must exist in format v%d", h.formatVersion)
		}
		h.sortOrders = []*SortOrder{newSortOrder(0, nil)}
		return
	}
	h.defaultSortOrderID = r.int("default-sort-order-id")
	for _, raw := range elems {
		if r.err != nil {
			return
		}
		order, err := parseSortOrder(raw)
		if err != nil {
			r.err = err
			return
		}
		h.sortOrders = append(h.sortOrders, order)
	}
}

func (h *head) readKeys(r *reader) {
	for _, raw := range r.optArray("encryption-keys") {
		if r.err != nil {
			return
		}
		key, err := parseEncryptionKey(raw)
		if err != nil {
			r.err = err
			return
		}
		h.encryptionKeys = append(h.encryptionKeys, key)
	}
}

func (h *head) schema(id int) *Schema {
	if i := slices.IndexFunc(h.schemas, func(s *Schema) bool { return s.id == id }); i >= 0 {
		return h.schemas[i]
	}
	return nil
}

func (h *head) currentSchema() *Schema { return h.schema(h.currentSchemaID) }

func (h *head) spec(id int) *PartitionSpec {
	if i := slices.IndexFunc(h.specs, func(s *PartitionSpec) bool { return s.ID == id }); i >= 0 {
		return h.specs[i]
	}
	return nil
}

func (h *head) sortOrder(id int) *SortOrder {
	if i := slices.IndexFunc(h.sortOrders, func(o *SortOrder) bool { return o.ID == id }); i >= 0 {
		return h.sortOrders[i]
	}
	return nil
}

// checkBound checks that the current schema, the default spec and the default
// sort order fit together.
func (h *head) checkBound() error {
	schema, err := h.currentSchema().parsed()
	if err != nil {
		return err
	}
	if err := h.spec(h.defaultSpecID).check(schema); err != nil {
		return err
	}
	return h.sortOrder(h.defaultSortOrderID).check(schema)
}

// appendMembers writes the members of the head, the first without a comma.
func (h *head) appendMembers(dst []byte) []byte {
	dst = append(dst, `"format-version":`...)
	dst = strconv.AppendInt(dst, int64(h.formatVersion), 10)
	if h.uuid != "" {
		dst = appendStringMember(dst, "table-uuid", h.uuid)
	}
	dst = appendStringMember(dst, "location", h.location)
	if h.formatVersion > 1 {
		dst = appendIntMember(dst, "last-sequence-number", h.lastSequenceNumber)
	}
	dst = appendIntMember(dst, "last-updated-ms", h.lastUpdatedMs)
	dst = appendIntMember(dst, "last-column-id", int64(h.lastColumnID))
	if h.formatVersion == 1 {
		// Readers of version 1 know no lists of schemas and specs.
		dst = appendRawMember(dst, "schema", h.currentSchema().raw)
	}
	dst = appendIntMember(dst, "current-schema-id", int64(h.currentSchemaID))
	dst = appendRawArray(dst, "schemas", h.schemas, func(s *Schema) []byte { return s.raw })
	if h.formatVersion == 1 {
		dst = h.spec(h.defaultSpecID).appendFields(appendName(dst, "partition-spec"))
	}
	dst = appendIntMember(dst, "default-spec-id", int64(h.defaultSpecID))
	dst = appendRawArray(dst, "partition-specs", h.specs, func(s *PartitionSpec) []byte { return s.raw })
	dst = appendIntMember(dst, "last-partition-id", int64(h.lastPartitionID))
	dst = appendIntMember(dst, "default-sort-order-id", int64(h.defaultSortOrderID))
	dst = appendRawArray(dst, "sort-orders", h.sortOrders, func(o *SortOrder) []byte { return o.raw })
	dst = appendStringMap(appendName(dst, "properties"), h.properties)
	switch {
	case h.currentSnapshotID != noSnapshot:
		dst = appendIntMember(dst, "current-snapshot-id", h.currentSnapshotID)
	case h.formatVersion > 2:
		dst = appendRawMember(dst, "current-snapshot-id", []byte("null"))
	default:
		dst = appendIntMember(dst, "current-snapshot-id", noSnapshot)
	}
	dst = append(appendName(dst, "refs"), '{')
	for _, ref := range h.refs {
		dst = appendRawMember(dst, ref.name, ref.raw)
	}
	dst = append(dst, '}')
	if len(h.encryptionKeys) > 0 {
		dst = appendRawArray(dst, "encryption-keys", h.encryptionKeys, func(k encryptionKey) []byte { return k.raw })
	}
	if h.formatVersion > 2 {
		dst = appendIntMember(dst, "next-row-id", h.nextRowID)
	}
	for _, m := range h.extra {
		dst = appendRawMember(dst, m.name, m.raw)
	}
	return dst
}

func appendRawArray[E any](dst []byte, name string, elems []E, raw func(E) []byte) []byte {
	dst = append(appendName(dst, name), '[')
	for i, e := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, raw(e)...)
	}
	return append(dst, ']')
}

// appendStringMap writes names in order, so that equal documents are equal bytes.
func appendStringMap(dst []byte, m map[string]string) []byte {
	dst = append(dst, '{')
	for _, name := range slices.Sorted(maps.Keys(m)) {
		dst = appendStringMember(dst, name, m[name])
	}
	return append(dst, '}')
}

// trimLocation removes slashes at the end, but not those of a scheme.
func trimLocation(location string) string {
	for strings.HasSuffix(location, "/") && !strings.HasSuffix(location, "://") {
		location = location[:len(location)-1]
	}
	return location
}
