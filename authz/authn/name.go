package authn

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameBytes is the longest name that others may give to a principal, a group or a
// tenant.
const MaxNameBytes = 255

// ErrNoName is returned for a name that is empty.
var ErrNoName = errors.New("it is missing")

// CheckName tells why a name that others gave can't be one here: it could look like
// another one, or be taken apart where names are put together or shown.
func CheckName(name string) error {
	switch {
	case name == "":
		return ErrNoName
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%d bytes, at most %d are possible", len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		// Control characters, and those that have no width or turn text around.
		return errors.New("it holds characters that can't be seen")
	}
	return nil
}
