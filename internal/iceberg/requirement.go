package iceberg

import "strings"

// Requirement is one condition of a commit. It is immutable and can be checked
// against any number of versions.
type Requirement struct {
	kind  string
	table func(base *Table) error // nil: not for tables
	view  func(base *View) error  // nil: not for views
}

// Type is the name of the requirement, such as assert-create.
func (r Requirement) Type() string { return r.kind }

// IsCreate tells whether the requirements are those of a commit that creates:
// assert-create is among them.
func IsCreate(reqs []Requirement) bool {
	for _, r := range reqs {
		if r.kind == "assert-create" {
			return true
		}
	}
	return false
}

// requirementParsers says how to read each type of requirement.
var requirementParsers = map[string]func(*reader) Requirement{
	"assert-create":                     readAssertCreate,
	"assert-table-uuid":                 readAssertTableUUID,
	"assert-view-uuid":                  readAssertViewUUID,
	"assert-ref-snapshot-id":            readAssertRef,
	"assert-last-assigned-field-id":     assertID("last-assigned-field-id", "last assigned field id", func(t *Table) int { return t.lastColumnID }),
	"assert-current-schema-id":          assertID("current-schema-id", "current schema", func(t *Table) int { return t.currentSchemaID }),
	"assert-last-assigned-partition-id": assertID("last-assigned-partition-id", "last assigned partition id", func(t *Table) int { return t.lastPartitionID }),
	"assert-default-spec-id":            assertID("default-spec-id", "default partition spec", func(t *Table) int { return t.defaultSpecID }),
	"assert-default-sort-order-id":      assertID("default-sort-order-id", "default sort order", func(t *Table) int { return t.defaultSortOrderID }),
}

// ParseRequirements reads the requirements of a commit, of tables and views
// alike. Absent or null means none.
func ParseRequirements(raw []byte) ([]Requirement, error) {
	elems, err := parseArray(raw, "requirements")
	if err != nil {
		return nil, err
	}
	reqs := make([]Requirement, 0, len(elems))
	for _, elem := range elems {
		r := readObject(elem, "update requirement")
		if r.err == nil && !r.has("type") {
			return nil, invalidf("Cannot parse update requirement. Missing field: type")
		}
		kind := r.string("type")
		if r.err != nil {
			return nil, r.err
		}
		parse, ok := requirementParsers[strings.ToLower(kind)]
		if !ok {
			return nil, invalidf("Unrecognized update requirement. Cannot convert to json: %s", excerpt([]byte(kind)))
		}
		req := parse(r)
		if r.err != nil {
			return nil, r.err
		}
		req.kind = strings.ToLower(kind)
		reqs = append(reqs, req)
	}
	return reqs, nil
}

// parseArray checks and splits a raw array of a request.
func parseArray(raw []byte, what string) ([][]byte, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	raw, err := compactJSON(raw)
	if err != nil || isNull(raw) {
		return nil, err
	}
	r := &reader{}
	elems := r.toArray(what, raw)
	return elems, r.err
}

// CheckRequirements checks requirements against a table; base is nil if there is
// none.
func CheckRequirements(base *Table, reqs []Requirement) error {
	for _, r := range reqs {
		if r.table == nil {
			return invalidf("Cannot validate %s against a table", r.kind)
		}
		if err := r.table(base); err != nil {
			return err
		}
	}
	return nil
}

// CheckViewRequirements checks requirements against a view; base is nil if there
// is none.
func CheckViewRequirements(base *View, reqs []Requirement) error {
	for _, r := range reqs {
		if r.view == nil {
			return invalidf("Cannot validate %s against a view", r.kind)
		}
		if err := r.view(base); err != nil {
			return err
		}
	}
	return nil
}

func readAssertCreate(*reader) Requirement {
	return Requirement{
		table: func(base *Table) error {
			if base != nil {
				return unmetf("table already exists")
			}
			return nil
		},
		view: func(base *View) error {
			if base != nil {
				return unmetf("view already exists")
			}
			return nil
		},
	}
}

var errNoTable = unmetf("table does not exist")

func readAssertTableUUID(r *reader) Requirement {
	uuid := r.string("uuid")
	return Requirement{table: func(base *Table) error {
		if base == nil {
			return errNoTable
		}
		if !strings.EqualFold(base.uuid, uuid) {
			return unmetf("UUID does not match: expected %s != %s", base.uuid, uuid)
		}
		return nil
	}}
}

func readAssertViewUUID(r *reader) Requirement {
	uuid := r.string("uuid")
	return Requirement{view: func(base *View) error {
		if base == nil {
			return unmetf("view does not exist")
		}
		if !strings.EqualFold(base.uuid, uuid) {
			return unmetf("view UUID does not match: expected %s != %s", base.uuid, uuid)
		}
		return nil
	}}
}

func readAssertRef(r *reader) Requirement {
	name := r.string("ref")
	expected := r.optLong("snapshot-id")
	return Requirement{table: func(base *Table) error {
		var refs []namedRef
		if base != nil {
			refs = base.refs
		}
		i, ok := findRef(refs, name)
		switch {
		case !ok && expected == nil:
			return nil
		case !ok:
			return unmetf("branch or tag %s is missing, expected %d", name, *expected)
		case expected == nil:
			return unmetf("%s %s was created concurrently", refs[i].Type, name)
		case refs[i].SnapshotID != *expected:
			return unmetf("%s %s has changed: expected id %d != %d", refs[i].Type, name, *expected, refs[i].SnapshotID)
		}
		return nil
	}}
}

// assertID makes the parser of a requirement that compares one number.
func assertID(member, what string, actual func(*Table) int) func(*reader) Requirement {
	return func(r *reader) Requirement {
		expected := r.int(member)
		return Requirement{table: func(base *Table) error {
			if base == nil {
				return errNoTable
			}
			if n := actual(base); n != expected {
				return unmetf("%s changed: expected id %d != %d", what, expected, n)
			}
			return nil
		}}
	}
}
