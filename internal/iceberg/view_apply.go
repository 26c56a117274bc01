package iceberg

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The properties that govern how a view changes.
const (
	dropDialectAllowed = "replace.drop-dialect.allowed"
	viewHistorySize    = "version.history.num-entries"
)

const defaultViewHistorySize = 10

// ParseViewUpdates reads the updates of a view's commit.
func ParseViewUpdates(raw []byte) ([]Update, error) { return ParseUpdates(raw) }

// ParseViewRequirements reads the requirements of a view's commit.
func ParseViewRequirements(raw []byte) ([]Requirement, error) { return ParseRequirements(raw) }

// ApplyView checks the requirements against base, which is nil for a view that
// is to be created, applies the updates in order and returns the new version.
// If nothing changed that is the base itself. Its arguments stay as they are.
func ApplyView(env Env, base *View, reqs []Requirement, ups []Update) (v *View, changed bool, err error) {
	if err := CheckViewRequirements(base, reqs); err != nil {
		return nil, false, err
	}
	b := newViewBuilder(env, base)
	for _, u := range ups {
		if u.view == nil {
			return nil, false, invalidf("Cannot apply update %s to a view", u.action)
		}
		if err := u.view(b); err != nil {
			return nil, false, err
		}
	}
	return b.build()
}

// ViewSpec is what a client asks for when it creates a view.
type ViewSpec struct {
	Location   string
	Schema     json.RawMessage
	Version    json.RawMessage // its schema-id does not matter
	Properties map[string]string
}

// NewView makes the first version of a view.
func NewView(env Env, spec ViewSpec) (*View, error) {
	b := newViewBuilder(env, nil)
	schema, err := parseAsked(spec.Schema, "schema", parseSchema)
	if err != nil {
		return nil, err
	}
	version, err := parseAsked(spec.Version, "view version", func(raw []byte) (*viewVersion, error) {
		version, err := parseViewVersion(raw)
		return &version, err
	})
	if err != nil {
		return nil, err
	}
	if schema == nil || version == nil {
		return nil, invalidf("Cannot create a view without a schema and a version")
	}
	if len(version.sql) == 0 && version.unknown == "" {
		return nil, invalidf("Cannot create view without specifying a query")
	}
	if err := b.addSchema(schema); err != nil {
		return nil, err
	}
	if err := b.addVersion(version.renumbered(version.id, lastAdded)); err != nil {
		return nil, err
	}
	if err := b.setCurrentVersion(lastAdded); err != nil {
		return nil, err
	}
	b.location = trimLocation(spec.Location)
	b.setProperties(spec.Properties)
	v, _, err := b.build()
	return v, err
}

// viewBuilder is a version of a view in the making.
type viewBuilder struct {
	View
	env  Env
	base *View

	changed                     bool
	lastSchemaID, lastVersionID *int
	addedVersions               []int
	entry                       *viewHistoryEntry
}

func newViewBuilder(env Env, base *View) *viewBuilder {
	b := &viewBuilder{env: env, base: base}
	if base != nil {
		b.View = *base
		b.properties = maps.Clone(base.properties)
		b.schemas, b.versions, b.history = slices.Clip(base.schemas), slices.Clip(base.versions), slices.Clip(base.history)
		return b
	}
	b.formatVersion = maxViewFormatVersion
	b.properties = map[string]string{}
	return b
}

func (b *viewBuilder) assignUUID(uuid string) error {
	switch {
	case strings.EqualFold(b.uuid, uuid):
		return nil
	case b.uuid != "":
		return invalidf("Cannot reassign uuid")
	}
	b.uuid, b.changed = uuid, true
	return nil
}

func (b *viewBuilder) upgrade(version int) error {
	switch {
	case version > maxViewFormatVersion:
		return unsupportedf("Unsupported format version: %d", version)
	case version < b.formatVersion:
		return invalidf("Cannot downgrade v%d view to v%d", b.formatVersion, version)
	}
	return nil
}

func (b *viewBuilder) addSchema(schema *Schema) error {
	body, err := schema.parsed()
	if err != nil {
		return err
	}
	id, known, err := schemaID(b.schemas, body, 0)
	if err != nil {
		return err
	}
	b.lastSchemaID = &id
	if known {
		return nil
	}
	b.schemas = append(b.schemas, schema.withID(id))
	b.changed = true
	return nil
}

func (b *viewBuilder) addVersion(v viewVersion) error {
	if v.unknown != "" {
		return unsupportedf("Cannot serialize unsupported view representation: %s", excerpt([]byte(v.unknown)))
	}
	schemaID := v.schemaID
	if schemaID == lastAdded {
		if b.lastSchemaID == nil {
			return invalidf("Cannot set last added schema: no schema has been added")
		}
		schemaID = *b.lastSchemaID
	}
	if !slices.ContainsFunc(b.schemas, func(s *Schema) bool { return s.id == schemaID }) {
		return invalidf("Cannot add version with unknown schema: %d", schemaID)
	}
	id := 1
	for i := range b.versions {
		old := &b.versions[i]
		if old.unknown == "" && old.behaviour == v.behaviour && old.schemaID == schemaID {
			same := old.id
			b.lastVersionID = &same
			return nil
		}
		id = max(id, old.id+1)
	}
	if id > maxInt32 {
		return invalidf("Cannot add view version: no version ids are left")
	}
	if len(v.dialects()) != len(v.sql) {
		return invalidf("Invalid view version: Cannot add multiple queries for dialect %s", firstDialectTwice(v))
	}
	b.versions = append(b.versions, v.renumbered(id, schemaID))
	b.addedVersions = append(b.addedVersions, id)
	b.lastVersionID, b.changed = &id, true
	return nil
}

func firstDialectTwice(v viewVersion) string {
	seen := map[string]struct{}{}
	for _, rep := range v.sql {
		dialect := strings.ToLower(rep.dialect)
		if _, ok := seen[dialect]; ok {
			return dialect
		}
		seen[dialect] = struct{}{}
	}
	return ""
}

func readAddViewVersion(r *reader) Update {
	version := readNested(r, "view-version", parseViewVersion)
	return Update{view: func(b *viewBuilder) error { return b.addVersion(version) }}
}

func readSetCurrentViewVersion(r *reader) Update {
	id := r.int("view-version-id")
	return Update{view: func(b *viewBuilder) error { return b.setCurrentVersion(id) }}
}

func (b *viewBuilder) setCurrentVersion(id int) error {
	if id == lastAdded {
		if b.lastVersionID == nil {
			return invalidf("Cannot set last version id: no current version id has been set")
		}
		id = *b.lastVersionID
	}
	version := b.version(id)
	if version == nil {
		return invalidf("Cannot set current version to unknown version: %d", id)
	}
	if id == b.currentVersionID {
		return nil
	}
	b.currentVersionID, b.changed = id, true
	// A version that becomes current again does so now, not when it was made.
	at := version.timestampMs
	if !slices.Contains(b.addedVersions, id) {
		at = b.env.NowMs
	}
	raw := appendIntMember([]byte{'{'}, "timestamp-ms", at)
	raw = appendIntMember(raw, "version-id", int64(id))
	b.entry = &viewHistoryEntry{at, id, append(raw, '}')}
	return nil
}

func (b *viewBuilder) setLocation(location string) {
	if b.location != location {
		b.location, b.changed = location, true
	}
}

func (b *viewBuilder) setProperties(set map[string]string) {
	for name, value := range set {
		b.properties[name], b.changed = value, true
	}
}

func (b *viewBuilder) removeProperties(names []string) {
	for _, name := range names {
		delete(b.properties, name)
		b.changed = true
	}
}

func (b *viewBuilder) build() (*View, bool, error) {
	if b.base != nil && !b.changed {
		return b.base, false, nil
	}
	switch {
	case b.location == "":
		return nil, false, invalidf("Invalid location: null")
	case len(b.versions) == 0:
		return nil, false, invalidf("Invalid view: no versions were added")
	case b.version(b.currentVersionID) == nil:
		return nil, false, invalidf("Cannot find current version %d in view versions", b.currentVersionID)
	}
	if b.uuid == "" {
		if b.env.NewUUID == nil {
			return nil, false, invalidf("Cannot create a view without a uuid")
		}
		b.uuid = b.env.NewUUID()
	}
	if b.entry != nil {
		b.history = append(b.history, *b.entry)
	}
	if err := b.checkDialects(); err != nil {
		return nil, false, err
	}
	if err := b.expire(); err != nil {
		return nil, false, err
	}
	v := b.View
	return &v, true, nil
}

// checkDialects checks that no engine loses the query that it can read.
func (b *viewBuilder) checkDialects() error {
	if b.base == nil || strings.EqualFold(b.properties[dropDialectAllowed], "true") {
		return nil
	}
	before := b.base.version(b.base.currentVersionID).dialects()
	after := b.version(b.currentVersionID).dialects()
	for _, dialect := range before {
		if !slices.Contains(after, dialect) {
			return invalidf("Cannot replace view due to loss of view dialects (%s=false):\nPrevious dialects: [%s]\nNew dialects: [%s]",
				dropDialectAllowed, strings.Join(before, ", "), strings.Join(after, ", "))
		}
	}
	return nil
}

// expire drops the oldest versions beyond the number that the view keeps. The
// current one and those of this commit stay.
func (b *viewBuilder) expire() error {
	keep := defaultViewHistorySize
	if text, ok := b.properties[viewHistorySize]; ok {
		// A size that is no number must not keep the view from ever changing.
		if n, err := strconv.Atoi(text); err == nil {
			keep = n
		}
	}
	if keep <= 0 {
		return invalidf("%s must be positive but was %d", viewHistorySize, keep)
	}
	fresh := len(b.addedVersions)
	if !slices.Contains(b.addedVersions, b.currentVersionID) {
		fresh++
	}
	keep = max(keep, fresh)
	if len(b.versions) <= keep {
		return nil
	}
	ids := b.VersionIDs()
	slices.Sort(ids)
	slices.Reverse(ids)
	kept := map[int]struct{}{b.currentVersionID: {}}
	for _, id := range ids {
		if len(kept) == keep {
			break
		}
		kept[id] = struct{}{}
	}
	b.versions = slices.DeleteFunc(slices.Clone(b.versions), func(v viewVersion) bool {
		_, ok := kept[v.id]
		return !ok
	})
	var history []viewHistoryEntry
	for _, e := range b.history {
		if _, ok := kept[e.versionID]; ok {
			history = append(history, e)
		} else {
			// Nothing can be told about the time before an unknown version.
			history = history[:0]
		}
	}
	b.history = history
	return nil
}
