package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	// escape starts a byte that is written as two hexadecimal digits. It is the
	// tilde and not the percent sign because no client, proxy or signer decodes
	// or re-encodes it: it is an unreserved character of URLs.
	escape = '~'

	// marker starts what no escaped name can hold: two escapes in a row. Alone
	// it is the empty name; followed by a digest it ends a shortened one.
	marker = "~~"

	// longestName bounds a segment, so that it fits a file system's 255 bytes.
	longestName = 255

	hexDigits = "0123456789ABCDEF"
)

// Join returns the location of names below root, one segment for each name.
// A name may hold any bytes. The same names give the same location on every
// node and in every version of this program: locations are stored, but also
// recomputed.
//
// ASCII letters, digits, "_", "-" and "." stand for themselves and every other
// byte for "~" and two hexadecimal digits, so that different names give
// different locations and no name reaches out of its folder. A name that would
// take more than 255 bytes is cut and ends in its SHA-256.
//
// Names are placed, not typed: Join(root, "a", "b") is the same place for
// table b of namespace a and for namespace a.b. A caller who has both must keep
// them apart. The result can be too long for a store when there are many
// levels; Canonical says so.
func Join(root string, names ...string) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(root, "/"))
	for _, name := range names {
		b.WriteByte('/')
		writeName(&b, name)
	}
	if len(names) == 0 {
		return root
	}
	return b.String()
}

func writeName(b *strings.Builder, name string) {
	switch name {
	case "":
		b.WriteString(marker)
		return
	case ".":
		b.WriteString("~2E")
		return
	case "..":
		b.WriteString("~2E~2E")
		return
	}
	const digestBytes = len(marker) + 2*sha256.Size
	size, cut, cutSize := 0, 0, 0
	for i := range len(name) {
		size += encodedSize(name[i])
		if size <= longestName-digestBytes {
			cut, cutSize = i+1, size
		}
	}
	if size <= longestName {
		b.Grow(size)
		writeBytes(b, name)
		return
	}
	digest := sha256.Sum256([]byte(name))
	b.Grow(cutSize + digestBytes)
	writeBytes(b, name[:cut])
	b.WriteString(marker)
	b.WriteString(hex.EncodeToString(digest[:]))
}

func writeBytes(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte(escape)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}

func encodedSize(c byte) int {
	if plain(c) {
		return 1
	}
	return 3
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '-' || c == '.'
}
