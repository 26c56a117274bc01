package iceberg

import (
	"maps"
	"slices"
	"strings"
)

// View is one version of a view's metadata. It is immutable and safe for
// concurrent use. Views are small, so they are stored as whole documents.
type View struct {
	formatVersion    int
	uuid             string
	location         string
	properties       map[string]string
	schemas          []*Schema
	currentVersionID int
	versions         []viewVersion
	history          []viewHistoryEntry
	extra            []member
}

type viewVersion struct {
	id          int
	timestampMs int64
	schemaID    int
	sql         []sqlRepresentation
	unknown     string // a type of representation that we do not know
	behaviour   string // what two versions that do the same have in common
	raw         []byte
}

type sqlRepresentation struct {
	sql, dialect string
}

type viewHistoryEntry struct {
	timestampMs int64
	versionID   int
	raw         []byte
}

const maxViewFormatVersion = 1

// viewNames are the members of a view's document. The last one was written by
// old versions of Iceberg and follows from the current version.
var viewNames = []string{
	"view-uuid", "format-version", "location", "properties", "schemas", "current-version-id",
	"versions", "version-log", "current-schema-id",
}

// ParseView reads a complete view document and keeps all of it, also what it
// does not know.
func ParseView(doc []byte) (*View, error) {
	raw, err := compactJSON(doc)
	if err != nil {
		return nil, err
	}
	r := readObject(raw, "view metadata")
	v := &View{
		formatVersion:    r.int("format-version"),
		uuid:             r.string("view-uuid"),
		location:         trimLocation(r.string("location")),
		currentVersionID: r.int("current-version-id"),
		properties:       map[string]string{},
	}
	if properties, ok := r.optional("properties"); ok {
		v.properties = r.toStringMap("properties", properties)
	}
	schemas, versions, history := r.array("schemas"), r.array("versions"), r.array("version-log")
	if r.err != nil {
		return nil, r.err
	}
	if v.formatVersion != maxViewFormatVersion {
		return nil, unsupportedf("Unsupported format version: %d", v.formatVersion)
	}
	if v.uuid == "" || v.location == "" {
		return nil, invalidf("Cannot parse view metadata: view-uuid and location must not be empty")
	}
	for _, elem := range schemas {
		s, err := parseSchema(elem)
		if err != nil {
			return nil, err
		}
		v.schemas = append(v.schemas, s)
	}
	for _, elem := range versions {
		version, err := parseViewVersion(elem)
		if err != nil {
			return nil, err
		}
		v.versions = append(v.versions, version)
	}
	for _, elem := range history {
		entry, err := parseViewHistoryEntry(elem)
		if err != nil {
			return nil, err
		}
		v.history = append(v.history, entry)
	}
	v.extra = r.others(viewNames)
	return v, v.check()
}

func (v *View) check() error {
	if id, twice := firstTwice(v.schemas, func(s *Schema) int { return s.id }); twice {
		return invalidf("Multiple schemas with id %d", id)
	}
	if id, twice := firstTwice(v.versions, func(v viewVersion) int { return v.id }); twice {
		return invalidf("Multiple view versions with id %d", id)
	}
	if v.version(v.currentVersionID) == nil {
		return invalidf("Cannot find current version %d in view versions", v.currentVersionID)
	}
	return nil
}

func parseViewVersion(raw []byte) (viewVersion, error) {
	r := readObject(raw, "view version")
	v := viewVersion{
		id:          r.int("version-id"),
		timestampMs: r.long("timestamp-ms"),
		schemaID:    r.int("schema-id"),
	}
	summary := r.stringMap("summary")
	representations := r.array("representations")
	catalog := r.optString("default-catalog")
	namespace := r.strings("default-namespace", r.array("default-namespace"))
	for _, elem := range representations {
		rep := readObject(elem, "view representation")
		if kind := rep.string("type"); rep.err == nil && kind != "sql" {
			v.unknown = kind
		} else {
			v.sql = append(v.sql, sqlRepresentation{rep.string("sql"), rep.string("dialect")})
		}
		if r.err == nil {
			r.err = rep.err
		}
	}
	if r.err != nil {
		return v, r.err
	}
	v.behaviour = viewBehaviour(v, summary, catalog, namespace)
	v.raw = appendWithoutNulls(nil, raw)
	return v, nil
}

func viewBehaviour(v viewVersion, summary map[string]string, catalog *string, namespace []string) string {
	dst := appendStringMap(nil, summary)
	for _, rep := range v.sql {
		dst = appendString(appendString(dst, rep.dialect), rep.sql)
	}
	dst = append(dst, '/')
	if catalog != nil {
		dst = appendString(dst, *catalog)
	}
	dst = append(dst, '/')
	for _, level := range namespace {
		dst = appendString(dst, level)
	}
	return string(dst)
}

func parseViewHistoryEntry(raw []byte) (viewHistoryEntry, error) {
	r := readObject(raw, "view history entry")
	e := viewHistoryEntry{r.long("timestamp-ms"), r.int("version-id"), appendWithoutNulls(nil, raw)}
	return e, r.err
}

// renumbered returns the version under another id and schema.
func (v viewVersion) renumbered(id, schemaID int) viewVersion {
	dst := appendIntMember([]byte{'{'}, "version-id", int64(id))
	dst = appendIntMember(dst, "timestamp-ms", v.timestampMs)
	dst = appendIntMember(dst, "schema-id", int64(schemaID))
	for c := walkObject(v.raw); c.next(); {
		switch name := string(c.key); name {
		case "version-id", "timestamp-ms", "schema-id":
		default:
			dst = appendRawMember(dst, name, c.val)
		}
	}
	v.id, v.schemaID, v.raw = id, schemaID, append(dst, '}')
	return v
}

// dialects are the SQL dialects of the version, in lower case and in order.
func (v viewVersion) dialects() []string {
	found := make([]string, 0, len(v.sql))
	for _, rep := range v.sql {
		found = append(found, strings.ToLower(rep.dialect))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (v *View) version(id int) *viewVersion {
	if i := slices.IndexFunc(v.versions, func(v viewVersion) bool { return v.id == id }); i >= 0 {
		return &v.versions[i]
	}
	return nil
}

// Document returns the complete view document. Its members are in one order, so
// equal views are equal bytes.
func (v *View) Document() []byte {
	dst := appendStringMember([]byte{'{'}, "view-uuid", v.uuid)
	dst = appendIntMember(dst, "format-version", int64(v.formatVersion))
	dst = appendStringMember(dst, "location", v.location)
	dst = appendStringMap(appendName(dst, "properties"), v.properties)
	dst = appendRawArray(dst, "schemas", v.schemas, func(s *Schema) []byte { return s.raw })
	dst = appendIntMember(dst, "current-version-id", int64(v.currentVersionID))
	dst = appendRawArray(dst, "versions", v.versions, func(v viewVersion) []byte { return v.raw })
	dst = appendRawArray(dst, "version-log", v.history, func(e viewHistoryEntry) []byte { return e.raw })
	for _, m := range v.extra {
		dst = appendRawMember(dst, m.name, m.raw)
	}
	return append(dst, '}')
}

// UUID identifies the view through all its versions.
func (v *View) UUID() string { return v.uuid }

// Location is the root of the view's files, without a slash at the end.
func (v *View) Location() string { return v.location }

// Property returns one property of the view.
func (v *View) Property(name string) (string, bool) {
	value, ok := v.properties[name]
	return value, ok
}

// Properties returns a copy of the view's properties.
func (v *View) Properties() map[string]string { return maps.Clone(v.properties) }

// CurrentVersionID is the version that a reader of the view runs.
func (v *View) CurrentVersionID() int { return v.currentVersionID }

// CurrentTimestampMs is when the current version was made.
func (v *View) CurrentTimestampMs() int64 { return v.version(v.currentVersionID).timestampMs }

// VersionIDs are the ids of the versions that the view keeps.
func (v *View) VersionIDs() []int {
	ids := make([]int, len(v.versions))
	for i := range v.versions {
		ids[i] = v.versions[i].id
	}
	return ids
}

// CurrentSQL returns the SQL of the current version in a dialect.
func (v *View) CurrentSQL(dialect string) (string, bool) {
	for _, rep := range v.version(v.currentVersionID).sql {
		if strings.EqualFold(rep.dialect, dialect) {
			return rep.sql, true
		}
	}
	return "", false
}
