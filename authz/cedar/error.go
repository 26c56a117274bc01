package cedar

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is returned when a text is not a set of policies that could be put in
// force. It is a *PolicyError or several.
var ErrInvalid = errors.New("cedar: invalid policies")

// PolicyError is what is wrong with a policy.
type PolicyError struct {
	// Policy is its name; "" is the text as a whole.
	Policy string
	// Line is where it begins, or where the error is; the first is 1, 0 is not known.
	Line int
	// Message says what is wrong and how to mend it.
	Message string
}

// Error is the policy, the line and the mend.
func (e *PolicyError) Error() string {
	switch {
	case e.Policy == "" && e.Line == 0:
		return e.Message
	case e.Policy == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return fmt.Sprintf("policy %q, line %d: %s", e.Policy, e.Line, e.Message)
}

// Is tells that it is of the kind ErrInvalid.
func (e *PolicyError) Is(target error) bool { return target == ErrInvalid }

// PolicyErrors is all that is wrong with a text, in its order; never empty.
type PolicyErrors []*PolicyError

// maxTold bounds how many errors a message lists.
const maxTold = 5

// Error lists the first ones.
func (e PolicyErrors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i == maxTold {
			fmt.Fprintf(&b, "; and %d more", len(e)-maxTold)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(one.Error())
	}
	return b.String()
}

// Is tells that they are of the kind ErrInvalid.
func (e PolicyErrors) Is(target error) bool { return target == ErrInvalid }
