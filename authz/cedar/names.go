package cedar

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"github.com/floeberg/floeberg/fsm/state"
)

// nameTest is what conditions come to where only the name differs from entry to
// entry. The library would have to be given an entity for each entry, which takes
// far longer than to compare a name.
type nameTest struct {
	// holds is false of names for which the conditions do not hold; nil is of none.
	// Of a policy that forbids it is true of those for which they could fail.
	holds func(name string) bool
	// exact tells that they hold for all others, and fail for none: without it the
	// library is asked about those.
	exact bool
	// ranges are where all names are for which they can hold.
	ranges []state.NameRange
}

var everyName = []state.NameRange{{}}

func (t nameTest) of(name string) bool { return t.holds == nil || t.holds(name) }

// constant tells whether the conditions hold, where that is alike for all names.
func (t nameTest) constant() (holds, ok bool) {
	return len(t.ranges) > 0, t.exact && (t.holds == nil || len(t.ranges) == 0)
}

// always is of what holds for all names or, where that is not exact, of what
// nothing is known of.
func always(exact bool) nameTest { return nameTest{exact: exact, ranges: everyName} }

func never() nameTest {
	return nameTest{holds: func(string) bool { return false }, exact: true}
}

func oneName(name string) nameTest {
	return nameTest{
		holds: func(n string) bool { return n == name }, exact: true, ranges: []state.NameRange{state.OneName(name)},
	}
}

// tester makes tests of conditions about what is directly in a place.
type tester struct {
	in child
	// forbid tells that the policy forbids: there a condition that fails counts as one
	// that holds.
	forbid bool
}

// conditions makes a test of a policy's conditions.
func (t tester) conditions(all []ast.ConditionType) nameTest {
	out := always(true)
	for _, c := range all {
		one := t.node(c.Body)
		if c.Condition == ast.ConditionUnless {
			one = t.not(one)
		}
		out = t.and(out, one)
	}
	return out
}

func (t tester) node(n ast.IsNode) nameTest {
	switch n := n.(type) {
	case ast.NodeValue:
		switch n.Value {
		case types.True:
			return always(true)
		case types.False:
			return never()
		}
	case ast.NodeTypeAnd:
		return t.and(t.node(n.Left), t.node(n.Right))
	case ast.NodeTypeOr:
		return either(t.node(n.Left), t.node(n.Right))
	case ast.NodeTypeNot:
		return t.not(t.node(n.Arg))
	case ast.NodeTypeIfThenElse:
		return t.choice(t.node(n.If), t.node(n.Then), t.node(n.Else))
	case ast.NodeTypeLike:
		if t.isName(n.Arg) {
			return like(n.Value)
		}
	case ast.NodeTypeEquals:
		return t.equals(n.Left, n.Right)
	case ast.NodeTypeNotEquals:
		return t.not(t.equals(n.Left, n.Right))
	case ast.NodeTypeIn:
		if uid, ok := literal[types.EntityUID](n.Right); ok && isResource(n.Left) && t.in.has(uid) {
			return entryOf(uid)
		}
	case ast.NodeTypeContains:
		if of, ok := literal[types.Set](n.Left); ok && t.isName(n.Right) {
			return oneOf(of)
		}
	case ast.NodeTypeExtensionCall:
		if _, fails := eval.ToPartialError(n); fails && !t.forbid {
			return nameTest{holds: never().holds}
		}
	}
	return always(false)
}

func (t tester) equals(a, b ast.IsNode) nameTest {
	if t.isName(b) || isResource(b) {
		a, b = b, a
	}
	if t.isName(a) {
		if v, ok := b.(ast.NodeValue); ok {
			if name, ok := v.Value.(types.String); ok {
				return oneName(string(name))
			}
			return never()
		}
	}
	if uid, ok := literal[types.EntityUID](b); ok && isResource(a) {
		if t.in.has(uid) {
			return entryOf(uid)
		}
		return never()
	}
	return always(false)
}

// and is of two conditions of which the second is asked only where the first holds.
func (t tester) and(a, b nameTest) nameTest {
	if t.forbid && !a.exact {
		return a // it may fail, whatever comes after it
	}
	out := nameTest{exact: a.exact && b.exact, ranges: common(a.ranges, b.ranges)}
	switch {
	case a.holds == nil:
		out.holds = b.holds
	case b.holds == nil:
		out.holds = a.holds
	default:
		out.holds = func(name string) bool { return a.holds(name) && b.holds(name) }
	}
	return out
}

func either(a, b nameTest) nameTest {
	out := nameTest{exact: a.exact && b.exact, ranges: merged(slices.Concat(a.ranges, b.ranges))}
	if a.holds != nil && b.holds != nil {
		out.holds = func(name string) bool { return a.holds(name) || b.holds(name) }
	}
	return out
}

func (t tester) not(a nameTest) nameTest {
	if !a.exact {
		return always(false)
	}
	if holds, ok := a.constant(); ok {
		if holds {
			return never()
		}
		return always(true)
	}
	return nameTest{holds: func(name string) bool { return !a.holds(name) }, exact: true, ranges: everyName}
}

func (t tester) choice(which, yes, no nameTest) nameTest {
	if !which.exact {
		if t.forbid {
			return always(false)
		}
		out := either(yes, no)
		out.exact = false
		return out
	}
	return nameTest{
		holds: func(name string) bool {
			if which.of(name) {
				return yes.of(name)
			}
			return no.of(name)
		},
		exact: yes.exact && no.exact, ranges: merged(slices.Concat(common(which.ranges, yes.ranges), no.ranges)),
	}
}

func like(p types.Pattern) nameTest {
	out := nameTest{holds: func(name string) bool { return p.Match(types.String(name)) }, exact: true, ranges: everyName}
	// It begins with the letters that the pattern begins with, if any.
	var parts []json.RawMessage
	var first struct{ Literal string }
	data, err := p.MarshalJSON()
	if err == nil && json.Unmarshal(data, &parts) == nil && len(parts) > 0 && json.Unmarshal(parts[0], &first) == nil && first.Literal != "" {
		out.ranges = []state.NameRange{state.NamesWith(first.Literal)}
	}
	return out
}

func oneOf(set types.Set) nameTest {
	names := map[string]bool{}
	var ranges []state.NameRange
	for v := range set.All() {
		if name, ok := v.(types.String); ok {
			names[string(name)] = true
			ranges = append(ranges, state.OneName(string(name)))
		}
	}
	return nameTest{holds: func(name string) bool { return names[name] }, exact: true, ranges: merged(ranges)}
}

// entryOf is of the entry that an entity is.
func entryOf(uid types.EntityUID) nameTest {
	_, last := cutID(string(uid.ID))
	if name, ok := unescapeName(last); ok {
		return oneName(name)
	}
	return never()
}

func literal[T types.Value](n ast.IsNode) (v T, ok bool) {
	if value, is := n.(ast.NodeValue); is {
		v, ok = value.Value.(T)
	}
	return v, ok
}

func isResource(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "resource"
}

func (t tester) isName(n ast.IsNode) bool {
	a, ok := n.(ast.NodeTypeAccess)
	return ok && t.in.isName(a.Value) && isResource(a.Arg)
}

// merged puts ranges into order and makes one of those that meet.
func merged(all []state.NameRange) []state.NameRange {
	slices.SortFunc(all, func(a, b state.NameRange) int { return cmp.Compare(a.From, b.From) })
	out := all[:0]
	for _, r := range all {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].To != "" && out[last].To < r.From:
			out = append(out, r)
		case out[last].To != "" && (r.To == "" || r.To > out[last].To):
			out[last].To = r.To
		}
	}
	return out
}

// common is where two lists of ranges overlap.
func common(a, b []state.NameRange) []state.NameRange {
	var out []state.NameRange
	for i, j := 0, 0; i < len(a) && j < len(b); {
		r := state.NameRange{From: max(a[i].From, b[j].From), To: a[i].To}
		aFirst := a[i].To != "" && (b[j].To == "" || a[i].To < b[j].To)
		if !aFirst {
			r.To = b[j].To
		}
		if r.To == "" || r.From < r.To {
			out = append(out, r)
		}
		if aFirst {
			i++
		} else {
			j++
		}
	}
	return out
}
