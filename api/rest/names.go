package rest

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/floeberg/floeberg/api/serve"
)

// maxNameBytes is what file systems allow for a file's name.
const maxNameBytes = 255

// newName refuses names that would hurt somebody later: that look like another
// name, mean something in a path, or match more than themselves in a policy.
// Only new names are checked: what exists can be read whatever it is called.
// Slashes, dots, spaces inside, percent signs and any script are fine; released
// clients send them.
func newName(what, name string) error {
	switch {
	case name == "":
		return serve.BadRequest("Invalid %s: it is empty", what)
	case len(name) > maxNameBytes:
		return serve.BadRequest("Invalid %s: %d bytes, at most %d are possible", what, len(name), maxNameBytes)
	case !utf8.ValidString(name):
		return serve.BadRequest("Invalid %s %q: it is not valid UTF-8", what, name)
	case name == "." || name == "..":
		return serve.BadRequest("Invalid %s %q: it means a folder", what, name)
	case strings.TrimSpace(name) != name:
		return serve.BadRequest("Invalid %s %q: it begins or ends with a space", what, name)
	}
	for _, r := range name {
		switch {
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp), r == utf8.RuneError:
			return serve.BadRequest("Invalid %s %q: it has a character that can't be seen (%U)", what, name, r)
		case strings.ContainsRune(`*?"<>|#\:`, r):
			return serve.BadRequest("Invalid %s %q: the characters * ? \" < > | # \\ : are not allowed", what, name)
		}
	}
	return nil
}

func newNamespace(path []string) error {
	if len(path) == 0 {
		return serve.BadRequest("Invalid namespace: it must have at least one level")
	}
	for _, level := range path {
		if err := newName("namespace level", level); err != nil {
			return err
		}
	}
	return nil
}
