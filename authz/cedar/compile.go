package cedar

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	cedargo "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/floeberg/floeberg/authz/restriction"
)

// DefaultText is the policies of a cluster that has none of its own.
//
//go:embed default.cedar
var DefaultText string

// Limits of a text. What reads it calls itself for what is nested, and compares
// expressions with each other: a text without limits could end the program, or
// keep it busy.
const (
	// MaxTextBytes bounds a set's text: ten thousand policies of the usual size.
	MaxTextBytes = 4 << 20
	// maxPolicyBytes bounds one policy.
	maxPolicyBytes = 16 << 10
	// maxIDBytes bounds a policy's @id.
	maxIDBytes = 128
	// maxNesting bounds the brackets within brackets.
	maxNesting = 64
)

// The annotations that a policy may have.
const (
	annotationID          = "id"
	annotationDescription = "description"
	annotationRowFilter   = "row_filter"
	annotationColumnMask  = "column_mask"
)

// Set is the policies of one scope, ready to decide. It is safe for concurrent use.
type Set struct {
	scope    string
	policies []*policy
	index    index
}

// Scope is what the set is for: a warehouse by its name, "" is the cluster.
func (s *Set) Scope() string { return s.scope }

// Len is how many policies the set has.
func (s *Set) Len() int { return len(s.policies) }

// policy is one policy of a set.
type policy struct {
	Ref
	compiled *cedargo.Policy
	// key names it among the policies of all sets.
	key types.PolicyID
	// actions are those that its head allows.
	actions actionSet
	// ofResource tells that its conditions look at the resource: what its head lets
	// through need not be all alike.
	ofResource bool
	// restriction is what it takes away from the right to load a table; nil is nothing.
	restriction *restriction.Restriction
}

// Compile makes a set of a text, for a warehouse or, where scope is "", for the
// cluster. Its error is ErrInvalid and names policy, line and mend.
func Compile(text, scope string) (*Set, error) {
	s, err := Load(text, scope)
	if err != nil {
		return nil, err
	}
	var wrong PolicyErrors
	for _, p := range s.policies {
		wrong = append(wrong, p.check(scope)...)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return s, nil
}

// Load makes a set of a text that was compiled before, perhaps by a program with
// another vocabulary: what this one does not know matches nothing.
func Load(text, scope string) (*Set, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	var list cedargo.PolicyList
	if err := list.UnmarshalCedar([]byte(text)); err != nil {
		return nil, unreadable(err)
	}
	s := &Set{scope: scope, policies: make([]*policy, len(list))}
	taken := make(map[string]bool, len(list))
	for i, compiled := range list {
		p := newPolicy(scope, i, compiled)
		if taken[p.Policy] {
			return nil, PolicyErrors{p.wrong("there is another policy of that name: give each its own @id")}
		}
		taken[p.Policy] = true
		s.policies[i] = p
	}
	s.index = newIndex(s.policies)
	return s, nil
}

func newPolicy(scope string, i int, compiled *cedargo.Policy) *policy {
	tree := (*ast.Policy)(compiled.AST())
	p := &policy{
		Ref:      Ref{Scope: scope, Policy: "policy-" + strconv.Itoa(i+1), Line: tree.Position.Line, Forbid: tree.Effect == ast.EffectForbid},
		compiled: compiled,
	}
	for _, a := range tree.Annotations {
		if a.Key == annotationID {
			p.Policy = string(a.Value)
		}
	}
	p.restriction = restrictionOf(tree, p.Ref)
	p.key = types.PolicyID(scope + "\x00" + p.Policy)
	p.actions = actionsOf(tree.Action)
	inspect(tree, func(n ast.IsNode) {
		if v, ok := n.(ast.NodeTypeVariable); ok && v.Name == "resource" {
			p.ofResource = true
		}
	})
	return p
}

func (p *policy) tree() *ast.Policy { return (*ast.Policy)(p.compiled.AST()) }

func (p *policy) wrong(message string) *PolicyError {
	return &PolicyError{Policy: p.Policy, Line: p.Line, Message: message}
}

// inspect calls fn for each node of a policy's conditions.
func inspect(p *ast.Policy, fn func(ast.IsNode)) {
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			fn(n)
			return true
		})
	}
}

// actionsOf is the actions that a head allows.
func actionsOf(scope ast.IsActionScopeNode) actionSet {
	var out actionSet
	switch a := scope.(type) {
	case ast.ScopeTypeAll:
		for n := range words().actions {
			out.add(n)
		}
	case ast.ScopeTypeEq:
		out = words().exactly(a.Entity)
	case ast.ScopeTypeIn:
		out = words().members[a.Entity]
	case ast.ScopeTypeInSet:
		for _, uid := range a.Entities {
			out.addAll(words().members[uid])
		}
	}
	return out
}

// checkText refuses what must not reach the library's parser. What it skips is
// exactly what the parser skips: comments and strings.
func checkText(text string) error {
	fail := func(line int, format string, args ...any) error {
		return PolicyErrors{{Line: line, Message: fmt.Sprintf(format, args...)}}
	}
	if len(text) > MaxTextBytes {
		return fail(0, "the policies have %d bytes, at most %d are possible", len(text), MaxTextBytes)
	}
	if !utf8.ValidString(text) {
		return fail(0, "the policies are not valid UTF-8")
	}
	line, depth, size := 1, 0, 0
	for i := 0; i < len(text); i++ {
		end := skipped(text[i:])
		if end < 0 {
			return nil // the parser says that it does not end
		}
		if end > 0 {
			line += strings.Count(text[i:i+end], "\n")
			if text[i] == '"' {
				size += end
			}
			i += end - 1
			continue
		}
		size++
		switch c := text[i]; c {
		case '\n':
			line++
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		case ';':
			depth, size = 0, 0
		}
		switch {
		case depth > maxNesting:
			return fail(line, "brackets are nested more than %d deep", maxNesting)
		case size > maxPolicyBytes:
			return fail(line, "the policy that ends after this line has more than %d bytes: make several of it", maxPolicyBytes)
		}
	}
	return nil
}

// skipped is how long the comment or string is that text begins with; 0 is none,
// less is one that does not end.
func skipped(text string) int {
	switch {
	case strings.HasPrefix(text, "//"):
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			return end
		}
		return len(text)
	case strings.HasPrefix(text, "/*"):
		end := strings.Index(text[2:], "*/")
		if end < 0 {
			return -1
		}
		return 2 + end + 2
	case text[0] != '"':
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\n':
			return -1
		case '\\':
			i++
		}
	}
	return -1
}

// unreadable is the error for a text that the library's parser refuses.
func unreadable(err error) error {
	message := strings.TrimPrefix(err.Error(), "parser error: ")
	line := 0
	if m := parsePosition.FindStringSubmatchIndex(message); m != nil {
		line, _ = strconv.Atoi(message[m[2]:m[3]])
		message = "column " + message[m[4]:m[5]] + message[m[1]:]
	}
	return PolicyErrors{{Line: line, Message: "it can't be read: " + message}}
}

// IsInvalid is the errors in err where it is of the kind ErrInvalid.
func IsInvalid(err error) (PolicyErrors, bool) {
	var all PolicyErrors
	ok := errors.As(err, &all)
	return all, ok
}
