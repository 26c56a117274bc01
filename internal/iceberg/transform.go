package iceberg

import (
	"regexp"
	"strconv"
	"strings"
)

var widthPattern = regexp.MustCompile(`^(\w+)\[(\d+)\]$`)

const voidTransform = "void"

// checkTransform checks that a transform is well formed and applies to a type;
// source is nil if there is none. Transforms that we do not know are kept and
// apply to everything: a newer writer knows what it does.
func checkTransform(transform string, source *Type) error {
	name := strings.ToLower(transform)
	if m := widthPattern.FindStringSubmatch(name); m != nil && (m[1] == "bucket" || m[1] == "truncate") {
		width, err := strconv.ParseInt(m[2], 10, 32)
		if err != nil || width <= 0 {
			if m[1] == "bucket" {
				return invalidf("Invalid number of buckets: %s (must be > 0)", m[2])
			}
			return invalidf("Invalid truncate width: %s (must be > 0)", m[2])
		}
		name = m[1]
	}
	if source == nil || transformable(name, source.Kind) {
		return nil
	}
	return invalidf("Invalid source type %s for transform: %s", source, transform)
}

func transformable(name string, kind Kind) bool {
	switch name {
	case "identity":
		switch kind {
		case KindVariant, KindGeometry, KindGeography:
			return false
		}
	case "year", "month", "day":
		switch kind {
		case KindDate, KindTimestamp, KindTimestamptz, KindTimestampNs, KindTimestamptzNs:
			return true
		}
		return false
	case "hour":
		switch kind {
		case KindTimestamp, KindTimestamptz, KindTimestampNs, KindTimestamptzNs:
			return true
		}
		return false
	case "bucket":
		switch kind {
		case KindInt, KindLong, KindDecimal, KindDate, KindTime, KindTimestamp, KindTimestamptz,
			KindTimestampNs, KindTimestamptzNs, KindString, KindUUID, KindFixed, KindBinary:
			return true
		}
		return false
	case "truncate":
		switch kind {
		case KindInt, KindLong, KindDecimal, KindString, KindBinary:
			return true
		}
		return false
	}
	return true
}

// checkSource checks the sources of a partition or sort field against a schema.
// purpose is "partition" or "sort", describe names the field in messages.
func checkSource(schema *schemaBody, sources []int, transform, purpose, describe string) error {
	if strings.EqualFold(transform, voidTransform) {
		// What became void may have lost its column: that is how v1 drops a field.
		return nil
	}
	for _, id := range sources {
		f := schema.field(id)
		if f == nil {
			return invalidf("Cannot find source column for %s field: %s", purpose, describe)
		}
		if !f.Type.IsPrimitive() {
			return invalidf("Cannot %s by non-primitive source field: %s", purpose, f.Type)
		}
		if len(sources) == 1 {
			if err := checkTransform(transform, f.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSources reads source-id and source-ids. Fields of transforms with several
// arguments may have only the second.
func readSources(r *reader) []int {
	sources := r.ints("source-ids", r.optArray("source-ids"))
	if id := r.optInt("source-id"); id != nil {
		if len(sources) == 0 {
			return []int{*id}
		}
		return sources
	}
	if len(sources) == 0 {
		r.fail("Cannot parse missing int: source-id")
	}
	return sources
}

func appendInts(dst []byte, ids []int) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(id), 10)
	}
	return append(dst, ']')
}

func appendSources(dst []byte, sources []int) []byte {
	dst = appendIntMember(dst, "source-id", int64(sources[0]))
	if len(sources) > 1 {
		dst = appendInts(appendName(dst, "source-ids"), sources)
	}
	return dst
}
