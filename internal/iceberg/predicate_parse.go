package iceberg

import (
	"maps"
	"slices"
	"strings"
)

// maxPredicateDepth is how deep predicates may nest: readers recurse over them.
const maxPredicateDepth = 32

// ParsePredicate reads a predicate, in the form that the protocol prefers or in the
// one that it had before (term, value). It takes no more than what can be bound to a
// table: columns are named, and compared with values.
func ParsePredicate(text []byte) (*Predicate, error) {
	raw, err := compactJSON(text)
	if err != nil {
		return nil, err
	}
	return parsePredicate(raw, 0)
}

func parsePredicate(raw []byte, depth int) (*Predicate, error) {
	if depth > maxPredicateDepth {
		return nil, invalidf("Invalid expression: nested more than %d deep", maxPredicateDepth)
	}
	if text := string(raw); text == "true" || text == "false" {
		return &Predicate{op: text}, nil
	}
	r := readObject(raw, "expression")
	p := &Predicate{op: r.string("type")}
	if r.err != nil {
		return nil, r.err
	}
	var known []string
	switch predicateShapes[p.op] {
	case shapeConstant:
	case shapeBinary:
		known = []string{"left", "right"}
		p.operands = r.predicates(depth, known...)
	case shapeNot:
		known = []string{"child"}
		p.operands = r.predicates(depth, known...)
	case shapeUnary:
		known = []string{"child", "term"}
		p.column = r.column(p.op, "child")
	case shapeComparison:
		known = []string{"left", "term", "right", "value"}
		p.column = r.column(p.op, "left")
		p.values = r.literal(p.op)
	case shapeSet:
		known = []string{"child", "term", "values"}
		p.column = r.column(p.op, "child")
		p.values = r.literals(p.op)
	default:
		return nil, invalidf("Invalid expression: there is no operation %q; there are %s", excerpt([]byte(p.op)), strings.Join(slices.Sorted(maps.Keys(predicateShapes)), ", "))
	}
	if r.err != nil {
		return nil, r.err
	}
	if others := r.others(append(known, "type")); len(others) > 0 {
		return nil, invalidf("Invalid expression: %s has no member %q", p.op, excerpt([]byte(others[0].name)))
	}
	return p, nil
}

// predicates reads members that are predicates.
func (r *reader) predicates(depth int, names ...string) []*Predicate {
	out := make([]*Predicate, 0, len(names))
	for _, name := range names {
		raw := r.raw(name)
		if r.err != nil {
			return nil
		}
		p, err := parsePredicate(raw, depth+1)
		if err != nil {
			r.err = err
			return nil
		}
		out = append(out, p)
	}
	return out
}

// either returns the one of two members that is there.
func (r *reader) either(op, preferred, old string) (raw []byte, isOld bool) {
	raw, ok := r.optional(preferred)
	other, isOld := r.optional(old)
	switch {
	case ok && isOld:
		r.fail("Invalid expression: %s has both %s and %s", op, preferred, old)
	case !ok && !isOld:
		r.fail("Invalid expression: %s has no %s", op, preferred)
	case isOld:
		return other, true
	}
	return raw, false
}

// column reads the reference that an operation is about.
func (r *reader) column(op, preferred string) string {
	raw, isTerm := r.either(op, preferred, "term")
	if r.err != nil {
		return ""
	}
	if name, ok := decodeString(raw); ok && isTerm {
		return r.columnName(op, name)
	}
	ref := readObject(raw, "reference to a column")
	kind := ref.optString("type")
	switch {
	case ref.err != nil || kind == nil:
		r.fail(`Invalid expression: %s must be about a column, written as {"type":"reference","name":"…"}, not %s`, op, excerpt(raw))
	case *kind == "apply" || *kind == "transform":
		r.fail("Invalid expression: %s is about a function of a column; it must be about a column itself", op)
	case *kind != "reference":
		r.fail("Invalid expression: %s must be about a reference to a column, not a %s", op, excerpt([]byte(*kind)))
	case ref.has("id"):
		r.fail("Invalid expression: %s speaks of a field by its id, which is another column in another table: name it", op)
	default:
		name := ref.string("name")
		if r.err = ref.err; r.err == nil && len(ref.others([]string{"type", "name"})) > 0 {
			r.fail("Invalid expression: a reference has the members type and name, not %s", excerpt(raw))
		}
		return r.columnName(op, name)
	}
	return ""
}

func (r *reader) columnName(op, name string) string {
	if name == "" {
		r.fail("Invalid expression: %s is about a column without a name", op)
	}
	return name
}

// literal reads the value that a column is compared with.
func (r *reader) literal(op string) []literal {
	raw, _ := r.either(op, "right", "value")
	if r.err != nil {
		return nil
	}
	value, ok := r.scalar(op, raw)
	if !ok {
		return nil
	}
	return []literal{value}
}

// literals reads the values that a column is looked for among.
func (r *reader) literals(op string) []literal {
	raw := r.raw("values")
	if r.err != nil {
		return nil
	}
	var of *Type
	if raw[0] == '{' {
		list := readObject(raw, "literals")
		if kind := list.string("type"); list.err == nil && kind != "literals" {
			list.fail("Invalid expression: the values of %s are no list", op)
		}
		of = list.dataType(op)
		raw = list.raw("values")
		if others := list.others([]string{"type", "values", "data-type"}); len(others) > 0 {
			list.fail("Invalid expression: a list of literals has no member %q", excerpt([]byte(others[0].name)))
		}
		if r.err = list.err; r.err != nil {
			return nil
		}
	}
	var out []literal
	for _, item := range r.toArray("values", raw) {
		value, ok := r.scalar(op, item)
		if !ok {
			return nil
		}
		if of != nil {
			value.of = of
		}
		out = append(out, value)
	}
	if len(out) == 0 {
		r.fail("Invalid expression: %s has no values", op)
	}
	return out
}

// scalar reads a literal, bare or in an object that may tell its type.
func (r *reader) scalar(op string, raw []byte) (literal, bool) {
	if isScalar(raw) {
		return literal{raw: raw}, true
	}
	object := readObject(raw, "literal")
	if kind := object.string("type"); object.err != nil || kind != "literal" {
		r.fail("Invalid expression: %s must compare a column with a value, not %s", op, excerpt(raw))
		return literal{}, false
	}
	out := literal{raw: object.raw("value"), of: object.dataType(op)}
	switch others := object.others([]string{"type", "value", "data-type"}); {
	case object.err != nil:
		r.err = object.err
	case len(others) > 0:
		r.fail("Invalid expression: a literal has no member %q", excerpt([]byte(others[0].name)))
	case !isScalar(out.raw):
		r.fail("Invalid expression: %s must compare a column with a text, a number, true or false, not %s", op, excerpt(out.raw))
	}
	return out, r.err == nil
}

// isScalar tells whether a value is a text, a number, true or false.
func isScalar(raw []byte) bool {
	return raw[0] != '{' && raw[0] != '[' && !isNull(raw)
}

// dataType reads the type that a literal says that it has; nil is none.
func (r *reader) dataType(op string) *Type {
	name := r.optString("data-type")
	if name == nil || r.err != nil {
		return nil
	}
	t, err := parsePrimitive(*name)
	if err != nil {
		r.fail("Invalid expression: the value of %s: %v", op, err)
	}
	return t
}
