package cedar

import (
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"
)

// reducer evaluates of policies what is alike for all that is directly in a place,
// such as who asks and from where.
type reducer struct {
	in child
	// env has an entry that stands for all of them.
	env eval.Env
}

// reducer makes one of a question about an entry.
func (q *question) reducer(in child) reducer {
	return reducer{in: in, env: eval.Env{
		Entities: q.anyEntry(in), Principal: q.request.Principal, Action: q.request.Action,
		Resource: q.request.Resource, Context: q.request.Context,
	}}
}

// reduce makes a test of what is left of a policy.
func (r reducer) reduce(p *policy) nameTest {
	head := *p.tree()
	head.Conditions = nil
	if _, matches := eval.PartialPolicy(r.env, &head); !matches {
		return never()
	}
	env := r.env
	if !r.in.onlyAttributes(p.tree()) {
		env.Resource = eval.Variable("resource")
	}
	t := tester{in: r.in, forbid: p.Forbid}
	out := always(true)
	for _, c := range p.tree().Conditions {
		// One by one: where several are, one that does not hold would hide that one before it
		// fails.
		one := ast.Policy{
			Effect: head.Effect, Principal: ast.ScopeTypeAll{}, Action: ast.ScopeTypeAll{}, Resource: ast.ScopeTypeAll{},
			Conditions: []ast.ConditionType{c},
		}
		if left, kept := eval.PartialPolicy(env, &one); kept {
			out = t.and(out, t.conditions(left.Conditions))
		} else {
			out = t.and(out, never())
		}
	}
	return out
}

// anyEntry are the entities where of the resource the name is not known.
func (q *question) anyEntry(in child) types.EntityGetter {
	entry, ok := q.entities.Get(q.request.Resource)
	if !ok {
		return &q.entities
	}
	attrs := entry.Attributes.Map()
	for name := range attrs {
		if in.isName(name) {
			attrs[name] = eval.Variable("name")
		}
	}
	entry.Attributes = types.NewRecord(attrs)
	return withEntry{entities: &q.entities, entry: entry}
}

type withEntry struct {
	*entities
	entry types.Entity
}

// Get implements types.EntityGetter.
func (e withEntry) Get(uid types.EntityUID) (types.Entity, bool) {
	if uid == e.entry.UID {
		return e.entry, true
	}
	return e.entities.Get(uid)
}

// isName tells whether an attribute is the name of what is in the place: that of the
// first level is, at the top.
func (c child) isName(attribute types.String) bool {
	return attribute == "name" || attribute == "top" && c.kind == typeNamespace && strings.IndexByte(c.parent, '/') < 0
}

// has tells whether an entity is of the type and directly in the place.
func (c child) has(uid types.EntityUID) bool {
	parent, _ := cutID(string(uid.ID))
	return uid.Type == c.kind && parent == c.parent
}

// onlyAttributes tells whether conditions look at nothing of the resource but its
// attributes, its type and what it is in, which all but the name is alike for what
// is in one place.
func (c child) onlyAttributes(p *ast.Policy) bool {
	used, known := 0, 0
	count := func(n ast.IsNode, alike bool) {
		if alike && isResource(n) {
			known++
		}
	}
	inspect(p, func(n ast.IsNode) {
		switch n := n.(type) {
		case ast.NodeTypeVariable:
			if isResource(n) {
				used++
			}
		case ast.NodeTypeAccess:
			count(n.Arg, true)
		case ast.NodeTypeHas:
			count(n.Arg, true)
		case ast.NodeTypeIs:
			count(n.Left, true)
		case ast.NodeTypeIsIn:
			count(n.Left, c.around(n.Entity))
		case ast.NodeTypeIn:
			count(n.Left, c.around(n.Right))
		}
	})
	return used == known
}

// around tells whether what is written out names none of the entries, but perhaps
// what they are in.
func (c child) around(n ast.IsNode) bool {
	if set, ok := n.(ast.NodeTypeSet); ok {
		for _, element := range set.Elements {
			if !c.around(element) {
				return false
			}
		}
		return true
	}
	uid, ok := literal[types.EntityUID](n)
	return ok && !c.has(uid)
}
