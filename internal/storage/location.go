package storage

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a location. S3 takes keys up to 1,024 bytes; common file systems
// take names up to 255 bytes and paths up to 4,095.
const (
	maxKeyBytes     = 1024
	maxPathBytes    = 4095
	maxSegmentBytes = 255
)

// emptySegment is why a location with a doubled slash is refused.
const emptySegment = "it has an empty segment (a doubled slash)"

// Schemes of canonical locations.
const (
	schemeFile  = "file"
	schemeS3    = "s3"
	schemeGCS   = "gs"
	schemeAzure = "abfss"
)

// Canonical returns the one spelling under which this catalog knows a place:
//
//	file:///absolute/path
//	s3://bucket/key
//	gs://bucket/key
//	abfss://container@account.dfs.core.windows.net/key
//
// Schemes are lower case, and hosts; s3a:// and s3n:// are s3://; abfs:// is
// abfss://; file:/x and file://localhost/x are file:///x; one trailing slash is
// dropped.
//
// What two programs could read as two different places is refused rather than
// repaired, because confinement and overlap checks are only as good as the
// agreement of all readers on what a location means: empty segments (a//b is
// not a/b in an object store), "." and "..", backslashes, control characters,
// invalid UTF-8, and "?" and "#" (clients cut the location there).
//
// Percent signs are kept as they are and mean themselves: %2F is three
// characters of a name, in a file system as in a bucket. That is how the
// clients read locations; none of them decodes.
func Canonical(location string) (string, error) {
	if err := checkCharacters(location); err != nil {
		return "", err
	}
	scheme, rest, ok := strings.Cut(location, ":")
	if !ok || !isScheme(scheme) {
		return "", invalid(location, "it has no scheme such as "+supported)
	}
	switch strings.ToLower(scheme) {
	case schemeFile:
		return canonicalFile(location, rest)
	case schemeS3, "s3a", "s3n":
		return canonicalBucket(location, schemeS3, rest, isBucket)
	case schemeGCS:
		return canonicalBucket(location, schemeGCS, rest, isGCSBucket)
	case schemeAzure, "abfs":
		return canonicalAzure(location, rest)
	default:
		return "", invalid(location, "its scheme is not supported; use "+supported)
	}
}

// supported names the schemes in errors.
const supported = "file://, s3://, gs:// or abfss://"

// schemeOf is the scheme of a canonical location.
func schemeOf(location string) string {
	scheme, _, _ := strings.Cut(location, ":")
	return scheme
}

// Within reports whether location is root or lies below it, on segment
// boundaries: s3://b/wh2 is not within s3://b/wh. It is false when either is
// not in canonical form, so that a spelling that was never checked can't pass.
func Within(root, location string) bool {
	return isCanonical(root) && isCanonical(location) && within(root, location)
}

// Ancestors returns the places strictly between root and location, outermost
// first, so that a caller can look up with one read per level whether location
// lies inside something. It is empty when there are none, and when location is
// not within root.
func Ancestors(root, location string) []string {
	if !Within(root, location) || root == location {
		return nil
	}
	base := strings.TrimSuffix(root, "/") + "/"
	var ancestors []string
	for i := len(base); i < len(location); i++ {
		if location[i] == '/' {
			ancestors = append(ancestors, location[:i])
		}
	}
	return ancestors
}

// within is Within for locations that are known to be canonical.
func within(root, location string) bool {
	if root == location {
		return true
	}
	// The root of the file system is the only canonical form that ends in a slash.
	base := strings.TrimSuffix(root, "/")
	return len(location) > len(base)+1 && location[len(base)] == '/' && location[:len(base)] == base
}

func isCanonical(location string) bool {
	canonical, err := Canonical(location)
	return err == nil && canonical == location
}

// filePath gives the absolute path of a canonical file location.
func filePath(location string) string { return strings.TrimPrefix(location, schemeFile+"://") }

func canonicalFile(location, rest string) (string, error) {
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		host, tail, _ := strings.Cut(after, "/")
		if host != "" && !strings.EqualFold(host, "localhost") {
			return "", invalid(location, "a file location names no host; write file:///path")
		}
		path = "/" + tail
	}
	if !strings.HasPrefix(path, "/") {
		return "", invalid(location, "a file location is absolute; write file:///path")
	}
	path = path[1:]
	if path == "/" {
		return "", invalid(location, emptySegment)
	}
	path = strings.TrimSuffix(path, "/")
	if len(path) >= maxPathBytes {
		return "", invalid(location, fmt.Sprintf("its path is longer than %d bytes", maxPathBytes))
	}
	if err := checkSegments(location, path, maxSegmentBytes); err != nil {
		return "", err
	}
	return reuse(location, schemeFile+":///", path), nil
}

// reuse returns prefix+tail, without a copy when that is how location starts:
// most locations are canonical already, and this runs for every request.
func reuse(location, prefix, tail string) string {
	n := len(prefix) + len(tail)
	if len(location) >= n && location[:len(prefix)] == prefix && location[len(prefix):n] == tail {
		return location[:n]
	}
	return prefix + tail
}

func checkCharacters(location string) error {
	if location == "" {
		return invalid(location, "it is empty")
	}
	if len(location) > maxPathBytes+len("file://localhost/") {
		return invalid(location, "it is too long")
	}
	if !utf8.ValidString(location) {
		return invalid(location, "it is not valid UTF-8")
	}
	for _, r := range location {
		switch {
		case r == '\\':
			return invalid(location, "it has a backslash")
		case r == '?' || r == '#':
			return invalid(location, `it has a "?" or "#", where clients cut a location short`)
		case unicode.IsControl(r):
			return invalid(location, "it has a control character")
		}
	}
	return nil
}

// checkSegments looks at the segments of a path without its leading slash; an
// empty path has none.
func checkSegments(location, path string, maxBytes int) error {
	if path == "" {
		return nil
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case segment == "":
			return invalid(location, emptySegment)
		case segment == "." || segment == "..":
			return invalid(location, `it has a "." or ".." segment`)
		case len(segment) > maxBytes:
			return invalid(location, fmt.Sprintf("one of its segments is longer than %d bytes", maxBytes))
		}
	}
	return nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(s[i]))) {
			return false
		}
	}
	return s != ""
}

func invalid(location, reason string) error {
	const shown = 200
	if len(location) > shown {
		location = strings.ToValidUTF8(location[:shown], "") + "…"
	}
	return fmt.Errorf("%w: %q: %s", ErrInvalidLocation, location, reason)
}
