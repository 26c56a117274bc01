package policy

import (
	"context"

	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Verdict is what is wrong with a text.
type Verdict struct {
	// Policies is how many the text has; 0 where something is wrong.
	Policies int
	// Problems are the first ones, and More is how many others there are.
	Problems []Problem
	More     int
	Index    uint64
}

// maxProblems bounds how many problems are told.
const maxProblems = 100

// Problem is one thing that is wrong with a text.
type Problem struct {
	// Policy is its name; "" is the text as a whole.
	Policy string
	// Line is where it is; 0 is not known.
	Line int
	// Message says what is wrong and how to mend it.
	Message string
}

// Validate tells what is wrong with a text as the policies of a scope.
func (p *Policies) Validate(ctx context.Context, read catalog.Read, scope, text string) (*Verdict, error) {
	v, _, err := p.look(ctx, read, scope)
	if err != nil {
		return nil, err
	}
	v.Close()
	out := &Verdict{Index: v.Index}
	set, err := p.accept(text, scope)
	if err == nil {
		out.Policies = set.Len()
		return out, nil
	}
	wrong, ok := cedar.IsInvalid(err)
	if !ok {
		return nil, err
	}
	for _, w := range wrong[:min(len(wrong), maxProblems)] {
		out.Problems = append(out.Problems, Problem{Policy: w.Policy, Line: w.Line, Message: w.Message})
	}
	out.More = len(wrong) - len(out.Problems)
	return out, nil
}
