package identity

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Limits of what a key can have.
const (
	// maxKeys bounds what a look at all of them costs.
	maxKeys = 100_000
	// maxGroups bounds what a decision has to look at.
	maxGroups = 32
	// maxText bounds names, in characters.
	maxText = 128
	// maxLifetime is longer than anybody waits.
	maxLifetime = 100 * 365 * 24 * time.Hour
	minLifetime = time.Second
	// maxOverlap bounds how long a rotated key goes on.
	maxOverlap = 90 * 24 * time.Hour
)

// DefaultOverlap is how long a rotated key goes on where nothing is said: clients
// have a day to be given the new one.
const DefaultOverlap = 24 * time.Hour

// builtIn are the groups that exist from the start.
var builtIn = []string{authz.GroupAdmin, authz.GroupWriter, authz.GroupReader, authz.GroupAuditor}

func invalid(format string, args ...any) error {
	return catalog.Refuse(catalog.KindInvalid, "Invalid key: "+format, args...)
}

// checkName wants what can be shown on one line and looks like what it is.
func checkName(name string) error {
	switch {
	case name == "" || utf8.RuneCountInString(name) > maxText:
		return invalid("name must have 1 to %d characters, not %d", maxText, utf8.RuneCountInString(name))
	case strings.TrimSpace(name) != name:
		return invalid("name must not begin or end with a space")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return invalid("name must have visible characters and spaces only")
	}
	return nil
}

// checkWord wants what rights are given to: two of them must never look alike, so it
// is plain ASCII.
func checkWord(what, text string) error {
	if text == "" || len(text) > maxText {
		return invalid("%s must have 1 to %d characters, not %d", what, maxText, len(text))
	}
	for i, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._:@/+=~#-", r):
		case r == ' ' && i > 0 && i < len(text)-1:
		default:
			return invalid("%s %q must have ASCII letters, digits, spaces between them, and . _ : @ / + = ~ # - only", what, text)
		}
	}
	return nil
}

func checkLifetime(d time.Duration) error {
	if d != 0 && (d < minLifetime || d > maxLifetime) {
		return invalid("it must live for %s to %d years", minLifetime, int(maxLifetime/(365*24*time.Hour)))
	}
	return nil
}

// meantBy finds the group from the start that a name is most likely a slip of.
func meantBy(group string) (meant string, slip bool) {
	for _, name := range builtIn {
		if oneSlip(strings.ToLower(group), name) {
			return name, true
		}
	}
	return "", false
}

// oneSlip tells whether two words are the same but for one character that is
// missing, too many, another one, or in the place of its neighbour.
func oneSlip(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	same := 0
	for same < len(b) && a[same] == b[same] {
		same++
	}
	if same == len(a) {
		return true
	}
	restA, restB := a[same+1:], b[min(same, len(b)):]
	switch len(a) - len(b) {
	case 1:
		return restA == restB
	case 0:
		swapped := len(restA) > 0 && a[same] == b[same+1] && a[same+1] == b[same] && restA[1:] == restB[2:]
		return restA == restB[1:] || swapped
	}
	return false
}
