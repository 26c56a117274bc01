package serve

import (
	"net/http"
	"strings"
)

// encodedTag is the tag of a body's bytes in an encoding: a tag names bytes, and
// compressed ones are others.
func encodedTag(etag string, e encoding) string {
	return strings.TrimSuffix(etag, `"`) + e.suffix() + `"`
}

// Holds tells whether the client has what the tag names, in whichever encoding
// it got it.
func Holds(h http.Header, etag string) bool {
	_, ok := heldTag(h, etag)
	return ok
}

// heldTag is the tag under which the client has what etag names. Tags that came
// without quotes are taken as well: clients echo what older servers gave them.
func heldTag(h http.Header, etag string) (held string, ok bool) {
	for _, line := range h.Values("If-None-Match") {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
			if item == "*" {
				return etag, true
			}
			for _, e := range []encoding{encodingNone, encodingGzip, encodingZstd} {
				if tag := encodedTag(etag, e); item == tag || item == strings.Trim(tag, `"`) {
					return tag, true
				}
			}
		}
	}
	return "", false
}
