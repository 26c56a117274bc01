package cedar

import (
	"regexp"
	"sync"

	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// The library's validator is experimental: this file is all that knows it.

var validator = sync.OnceValue(func() *validate.Validator { return validate.New(words().schema) })

// validatePolicy checks a policy against the schema: its types, actions and
// attributes, and that each expression has a type.
func validatePolicy(p *ast.Policy) []string {
	err := validator().Policy("", p)
	if err == nil {
		return nil
	}
	var out []string
	known := map[string]bool{}
	for _, one := range flat(err) {
		text := one.Error()
		if !known[text] {
			known[text] = true
			out = append(out, text)
		}
	}
	return out
}

func flat(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, one := range joined.Unwrap() {
		out = append(out, flat(one)...)
	}
	return out
}

// noApplicableAction is in what the validator says of a policy whose actions are done
// by no such principal or to no such resource.
const noApplicableAction = "unable to find an applicable action"

// parseError finds the line in the library's message of a text that is no policy.
var parsePosition = regexp.MustCompile(`(?:<input>|[^\s:]*):(\d+):(\d+)`)
