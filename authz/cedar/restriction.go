package cedar

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/restriction"
)

// Restricting is a policy that takes something away from the right to load a table.
type Restricting struct {
	Ref
	*restriction.Restriction
}

// Restricted is what a decision takes away from the right to load a table.
func (d *Decision) Restricted() restriction.Set {
	var out restriction.Set
	for _, r := range d.Restrictions {
		out = append(out, r.Restriction)
	}
	return out
}

// restrict takes away what a policy says: one that permits, whatever others permit, and
// one that can't be evaluated, since it might have.
func (d *Decision) restrict(p *policy) {
	if p.restriction != nil {
		d.Restrictions = append(d.Restrictions, Restricting{p.Ref, p.restriction})
	}
}

// restrictionOf is what a policy's annotations take away; nil is nothing.
func restrictionOf(tree *ast.Policy, ref Ref) *restriction.Restriction {
	filter, masks := restrictingAnnotations(tree)
	if filter == nil && masks == nil || ref.Forbid {
		return nil
	}
	r, err := restriction.Parse(filter, masks)
	if err != nil {
		// A program with another vocabulary could: what it meant is not known here.
		r.Unreadable = err.Error()
	}
	r.Policy = ref.String()
	return &r
}

func restrictingAnnotations(tree *ast.Policy) (filter, masks *string) {
	for _, a := range tree.Annotations {
		value := string(a.Value)
		switch a.Key {
		case annotationRowFilter:
			filter = &value
		case annotationColumnMask:
			masks = &value
		}
	}
	return filter, masks
}

// checkRestriction tells what is wrong with the annotations that restrict.
func (p *policy) checkRestriction() error {
	tree := p.tree()
	filter, masks := restrictingAnnotations(tree)
	if filter == nil && masks == nil {
		return nil
	}
	if p.Forbid {
		return fmt.Errorf("@%s and @%s are for policies that permit: of what this one forbids nothing can be read", annotationRowFilter, annotationColumnMask)
	}
	if !permitsLoading(tree) {
		return fmt.Errorf("@%s and @%s restrict what is read of tables, and this policy can't permit %s: put them on one that does", annotationRowFilter, annotationColumnMask, authz.ActionLoadTable)
	}
	if p.restriction.Unreadable != "" {
		return fmt.Errorf("%s", p.restriction.Unreadable)
	}
	return nil
}

// permitsLoading tells whether a policy can apply to the loading of a table.
func permitsLoading(tree *ast.Policy) bool {
	set := actionsOf(tree.Action)
	if !set.has(words().numbers[authz.ActionLoadTable]) {
		return false
	}
	narrowed := *tree
	narrowed.Action = ast.ScopeTypeEq{Entity: loadTable()}
	for _, text := range validatePolicy(&narrowed) {
		if strings.Contains(text, noApplicableAction) {
			return false
		}
	}
	return true
}

func loadTable() types.EntityUID { return actionUID(authz.ActionLoadTable) }

// Restricting are the policies that restrict what is read of tables.
func (s *Set) Restricting() []Ref {
	var out []Ref
	for _, p := range s.policies {
		if p.restriction != nil {
			out = append(out, p.Ref)
		}
	}
	return out
}
