package iceberg

import (
	"slices"
	"strings"
)

// MainBranch is the branch that is the state of the table.
const MainBranch = "main"

// RefType says whether a reference moves.
type RefType string

// The types of references.
const (
	Branch RefType = "branch"
	Tag    RefType = "tag"
)

// Ref is a named reference to a snapshot, with its retention.
type Ref struct {
	SnapshotID         int64
	Type               RefType
	MinSnapshotsToKeep *int
	MaxSnapshotAgeMs   *int64
	MaxRefAgeMs        *int64
}

type namedRef struct {
	name string
	Ref
	raw []byte
}

// readRef reads the members that documents and set-snapshot-ref share.
func readRef(r *reader) Ref {
	ref := Ref{
		SnapshotID:         r.long("snapshot-id"),
		Type:               RefType(strings.ToLower(r.string("type"))),
		MinSnapshotsToKeep: r.optInt("min-snapshots-to-keep"),
		MaxSnapshotAgeMs:   r.optLong("max-snapshot-age-ms"),
		MaxRefAgeMs:        r.optLong("max-ref-age-ms"),
	}
	switch {
	case r.err != nil:
	case ref.Type != Branch && ref.Type != Tag:
		r.fail("Invalid snapshot ref type: %s", excerpt([]byte(ref.Type)))
	case ref.Type == Tag && ref.MinSnapshotsToKeep != nil:
		r.fail("Tags do not support setting minSnapshotsToKeep")
	case ref.Type == Tag && ref.MaxSnapshotAgeMs != nil:
		r.fail("Tags do not support setting maxSnapshotAgeMs")
	case ref.MinSnapshotsToKeep != nil && *ref.MinSnapshotsToKeep <= 0:
		r.fail("Min snapshots to keep must be greater than 0")
	case ref.MaxSnapshotAgeMs != nil && *ref.MaxSnapshotAgeMs <= 0:
		r.fail("Max snapshot age must be greater than 0 ms")
	case ref.MaxRefAgeMs != nil && *ref.MaxRefAgeMs <= 0:
		r.fail("Max reference age must be greater than 0")
	}
	return ref
}

func newRef(name string, ref Ref) namedRef {
	dst := appendIntMember([]byte{'{'}, "snapshot-id", ref.SnapshotID)
	dst = appendStringMember(dst, "type", string(ref.Type))
	if ref.MinSnapshotsToKeep != nil {
		dst = appendIntMember(dst, "min-snapshots-to-keep", int64(*ref.MinSnapshotsToKeep))
	}
	if ref.MaxSnapshotAgeMs != nil {
		dst = appendIntMember(dst, "max-snapshot-age-ms", *ref.MaxSnapshotAgeMs)
	}
	if ref.MaxRefAgeMs != nil {
		dst = appendIntMember(dst, "max-ref-age-ms", *ref.MaxRefAgeMs)
	}
	return namedRef{name, ref, append(dst, '}')}
}

func (r Ref) equal(other Ref) bool {
	return r.SnapshotID == other.SnapshotID && r.Type == other.Type &&
		samePointee(r.MinSnapshotsToKeep, other.MinSnapshotsToKeep) &&
		samePointee(r.MaxSnapshotAgeMs, other.MaxSnapshotAgeMs) &&
		samePointee(r.MaxRefAgeMs, other.MaxRefAgeMs)
}

func samePointee[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// parseRefs reads the references of a document, in order of their names.
func parseRefs(raw []byte) ([]namedRef, error) {
	refs := []namedRef{}
	c := walkObject(raw)
	for c.next() {
		if isNull(c.val) {
			return nil, invalidf("Cannot parse snapshot reference %s from null", excerpt(c.key))
		}
		r := readObject(c.val, "snapshot reference")
		ref := readRef(r)
		if r.err != nil {
			return nil, r.err
		}
		refs = append(refs, namedRef{string(c.key), ref, appendWithoutNulls(nil, c.val)})
	}
	if c.bad {
		return nil, invalidf("Cannot parse refs from non-object: %s", excerpt(raw))
	}
	slices.SortFunc(refs, func(a, b namedRef) int { return strings.Compare(a.name, b.name) })
	return refs, nil
}

func findRef(refs []namedRef, name string) (int, bool) {
	return slices.BinarySearchFunc(refs, name, func(r namedRef, name string) int { return strings.Compare(r.name, name) })
}
