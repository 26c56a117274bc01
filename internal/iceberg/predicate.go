package iceberg

// Predicate is a condition on the rows of a table, in the form of the REST protocol.
// It speaks of columns by name; [Predicate.Bind] puts the fields of a table in their
// place. It is immutable.
type Predicate struct {
	op       string
	operands []*Predicate // of and, or and not
	column   string       // of all others but true and false
	values   []literal    // what the column is compared with
}

// literal is a value that a column is compared with.
type literal struct {
	raw []byte // a JSON string, number or boolean
	of  *Type  // as it was written; nil is the column's
}

// predicateShape is how the operation of a predicate is written.
type predicateShape uint8

const (
	shapeConstant   predicateShape = iota + 1 // true, false
	shapeBinary                               // and, or
	shapeNot                                  // not
	shapeUnary                                // is-null …
	shapeComparison                           // eq …
	shapeSet                                  // in, not-in
)

var predicateShapes = map[string]predicateShape{
	"true": shapeConstant, "false": shapeConstant, "and": shapeBinary, "or": shapeBinary, "not": shapeNot,
	"is-null": shapeUnary, "not-null": shapeUnary, "is-nan": shapeUnary, "not-nan": shapeUnary,
	"lt": shapeComparison, "lt-eq": shapeComparison, "gt": shapeComparison, "gt-eq": shapeComparison,
	"eq": shapeComparison, "not-eq": shapeComparison, "starts-with": shapeComparison, "not-starts-with": shapeComparison,
	"in": shapeSet, "not-in": shapeSet,
}

// AlwaysTrue tells whether it is the constant true, which leaves no row out.
func (p *Predicate) AlwaysTrue() bool { return p.op == "true" }

// leaves adds the operations on columns.
func (p *Predicate) leaves(dst []*Predicate) []*Predicate {
	if p.column != "" {
		dst = append(dst, p)
	}
	for _, operand := range p.operands {
		dst = operand.leaves(dst)
	}
	return dst
}

// JSON is the predicate with its names, in one way of writing it.
func (p *Predicate) JSON() []byte {
	return p.append(nil, func(dst []byte, column string) []byte {
		dst = append(dst, `{"type":"reference"`...)
		return append(appendStringMember(dst, "name", column), '}')
	})
}

// append writes the predicate, with references as reference writes them.
func (p *Predicate) append(dst []byte, reference func(dst []byte, column string) []byte) []byte {
	shape := predicateShapes[p.op]
	if shape == shapeConstant {
		return append(dst, p.op...)
	}
	dst = append(dst, `{"type":"`...)
	dst = append(append(dst, p.op...), '"')
	switch shape {
	case shapeBinary:
		dst = p.operands[0].append(append(dst, `,"left":`...), reference)
		dst = p.operands[1].append(append(dst, `,"right":`...), reference)
	case shapeNot:
		dst = p.operands[0].append(append(dst, `,"child":`...), reference)
	case shapeUnary:
		dst = reference(append(dst, `,"child":`...), p.column)
	case shapeComparison:
		dst = reference(append(dst, `,"left":`...), p.column)
		dst = append(dst, `,"right":{"type":"literal","value":`...)
		dst = append(append(dst, p.values[0].raw...), '}')
	case shapeSet:
		dst = reference(append(dst, `,"child":`...), p.column)
		dst = append(dst, `,"values":[`...)
		for i, value := range p.values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, value.raw...)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
