package secret

import (
	"strings"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Owner is a part of the program that keeps sealed secrets in the state: so a rotation
// finds them.
type Owner interface {
	// Kind is the first part of the purposes that its secrets are sealed for: of
	// "warehouse/prod/credentials" it is "warehouse". It is stored: it never changes.
	Kind() string
	// Sealed calls see with each of its sealed secrets in a state.
	Sealed(v *state.View, see func(Record) error) error
}

// Record is a sealed secret as it stands in a state. It outlives the view.
type Record struct {
	// Key and Revision are those of the value that it is in: it is replaced only as
	// long as nobody else has changed that.
	Key      []byte
	Revision uint64
	Purpose  string
	Sealed   []byte
	// Put gives the writes that put the value with the secret sealed anew.
	Put func(sealed []byte) ([]*command.Write, error)
}

// kindOf is the kind of secret that is sealed for a purpose.
func kindOf(purpose string) string {
	kind, _, _ := strings.Cut(purpose, "/")
	return kind
}
