package iceberg

import "slices"

// member is one name and value of an object, kept as it was read.
type member struct {
	name string
	raw  []byte
}

// reader takes an object apart. Its first failure stays in err and every later
// call returns a zero value, so that a parser reads as a list of its fields.
// The texts of its failures are those that Iceberg's own parsers give.
type reader struct {
	members []member
	err     error
}

func readObject(raw []byte, what string) *reader {
	r := &reader{members: make([]member, 0, 8)}
	c := walkObject(raw)
	for c.next() {
		r.members = append(r.members, member{memberName(c.key), c.val})
	}
	if c.bad {
		r.err = invalidf("Cannot parse %s from non-object: %s", what, excerpt(raw))
	}
	return r
}

// commonNames are the names that every snapshot and log entry has; documents
// have them by the ten thousand and need no memory for each.
var commonNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"snapshot-id", "parent-snapshot-id", "sequence-number", "timestamp-ms", "summary", "manifest-list", "schema-id",
		"first-row-id", "added-rows", "key-id", "metadata-file", "statistics-path", "file-size-in-bytes",
		"id", "name", "required", "type", "doc",
	} {
		names[name] = name
	}
	return names
}()

func memberName(key []byte) string {
	if name, ok := commonNames[string(key)]; ok {
		return name
	}
	return string(key)
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = invalidf(format, args...)
	}
}

// has tells whether a member is there, null or not.
func (r *reader) has(name string) bool {
	return slices.ContainsFunc(r.members, func(m member) bool { return m.name == name })
}

// optional returns a member that is there and not null.
func (r *reader) optional(name string) ([]byte, bool) {
	if r.err != nil {
		return nil, false
	}
	for i := range r.members {
		if r.members[i].name == name {
			return r.members[i].raw, !isNull(r.members[i].raw)
		}
	}
	return nil, false
}

// required returns a member that must be there; kind is for the message.
func (r *reader) required(name, kind string) ([]byte, bool) {
	raw, ok := r.optional(name)
	if !ok && r.err == nil {
		if r.has(name) {
			r.fail("Cannot parse to %s value: %s: null", article(kind), name)
		} else {
			r.fail("Cannot parse missing %s: %s", kind, name)
		}
	}
	return raw, ok
}

func article(kind string) string {
	switch kind {
	case "int":
		return "an integer"
	default:
		return "a " + kind
	}
}

func (r *reader) raw(name string) []byte {
	raw, ok := r.optional(name)
	if !ok {
		r.fail("Cannot parse missing field: %s", name)
	}
	return raw
}

func (r *reader) toInt(name, kind string, raw []byte, bits int) int64 {
	n, ok := decodeInt(raw, bits)
	if !ok {
		r.fail("Cannot parse to %s value: %s: %s", article(kind), name, excerpt(raw))
	}
	return n
}

func (r *reader) int(name string) int {
	if raw, ok := r.required(name, "int"); ok {
		return int(r.toInt(name, "int", raw, 32))
	}
	return 0
}

func (r *reader) long(name string) int64 {
	if raw, ok := r.required(name, "long"); ok {
		return r.toInt(name, "long", raw, 64)
	}
	return 0
}

func (r *reader) optInt(name string) *int {
	if raw, ok := r.optional(name); ok {
		n := int(r.toInt(name, "int", raw, 32))
		return &n
	}
	return nil
}

func (r *reader) optLong(name string) *int64 {
	if raw, ok := r.optional(name); ok {
		n := r.toInt(name, "long", raw, 64)
		return &n
	}
	return nil
}

func (r *reader) toString(name string, raw []byte) string {
	s, ok := decodeString(raw)
	if !ok {
		r.fail("Cannot parse to a string value: %s: %s", name, excerpt(raw))
	}
	return s
}

func (r *reader) string(name string) string {
	if raw, ok := r.required(name, "string"); ok {
		return r.toString(name, raw)
	}
	return ""
}

func (r *reader) optString(name string) *string {
	if raw, ok := r.optional(name); ok {
		s := r.toString(name, raw)
		return &s
	}
	return nil
}

func (r *reader) bool(name string) bool {
	raw, ok := r.required(name, "boolean")
	if ok && string(raw) != "true" && string(raw) != "false" {
		r.fail("Cannot parse to a boolean value: %s: %s", name, excerpt(raw))
	}
	return string(raw) == "true"
}

// array returns the elements of a member that must be there.
func (r *reader) array(name string) [][]byte {
	if raw, ok := r.required(name, "list"); ok {
		return r.toArray(name, raw)
	}
	return nil
}

// optArray returns the elements of a member, nil if it is absent or null.
func (r *reader) optArray(name string) [][]byte {
	if raw, ok := r.optional(name); ok {
		return r.toArray(name, raw)
	}
	return nil
}

func (r *reader) toArray(name string, raw []byte) [][]byte {
	out := [][]byte{}
	c := walkArray(raw)
	for c.next() {
		out = append(out, c.val)
	}
	if c.bad {
		r.fail("Cannot parse JSON array from non-array value: %s: %s", name, excerpt(raw))
	}
	return out
}

func (r *reader) ints(name string, elems [][]byte) []int {
	out := make([]int, 0, len(elems))
	for _, raw := range elems {
		out = append(out, int(r.toInt(name, "int", raw, 32)))
	}
	return out
}

func (r *reader) longs(name string, elems [][]byte) []int64 {
	out := make([]int64, 0, len(elems))
	for _, raw := range elems {
		out = append(out, r.toInt(name, "long", raw, 64))
	}
	return out
}

func (r *reader) strings(name string, elems [][]byte) []string {
	out := make([]string, 0, len(elems))
	for _, raw := range elems {
		s, ok := decodeString(raw)
		if !ok {
			r.fail("Cannot parse string from non-text value in %s: %s", name, excerpt(raw))
		}
		out = append(out, s)
	}
	return out
}

// stringMap reads an object of strings that must be there.
func (r *reader) stringMap(name string) map[string]string {
	if raw, ok := r.required(name, "map"); ok {
		return r.toStringMap(name, raw)
	}
	return nil
}

func (r *reader) toStringMap(name string, raw []byte) map[string]string {
	out := map[string]string{}
	c := walkObject(raw)
	for c.next() {
		out[string(c.key)] = r.toString(string(c.key), c.val)
	}
	if c.bad {
		r.fail("Cannot parse string map from non-object value: %s: %s", name, excerpt(raw))
	}
	return out
}

// checkStringMap checks what toStringMap reads, without reading it.
func (r *reader) checkStringMap(name string, raw []byte) {
	c := walkObject(raw)
	for c.next() {
		if c.val[0] != '"' {
			r.fail("Cannot parse to a string value: %s: %s", excerpt(c.key), excerpt(c.val))
		}
	}
	if c.bad {
		r.fail("Cannot parse string map from non-object value: %s: %s", name, excerpt(raw))
	}
}

// others returns the members whose names are not among the given ones.
func (r *reader) others(names []string) []member {
	var out []member
	for _, m := range r.members {
		if !slices.Contains(names, m.name) {
			out = append(out, m)
		}
	}
	return out
}
