package audit

import (
	"encoding/json"
	"maps"
	"slices"
)

// maxDepth is deeper than any context is meant to be.
const maxDepth = 16

// appendValue writes decoded JSON, its strings as those of records are.
func appendValue(out []byte, value any, depth int) []byte {
	if depth > maxDepth {
		return append(out, `null`...)
	}
	switch v := value.(type) {
	case map[string]any:
		out = append(out, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendText(out, key), ':')
			out = appendValue(out, v[key], depth+1)
		}
		return append(out, '}')
	case []any:
		out = append(out, '[')
		for i, item := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendValue(out, item, depth+1)
		}
		return append(out, ']')
	case string:
		return appendText(out, v)
	case json.Number:
		return append(out, v...)
	case bool:
		if v {
			return append(out, `true`...)
		}
		return append(out, `false`...)
	}
	return append(out, `null`...)
}
