package iceberg

import "strconv"

// Bind gives the predicate with the fields of a table, by their ids, in the place of
// names. It refuses what does not mean one column that the table has now, or does not
// fit the column's type: no part of it is ever left out.
func (p *Predicate) Bind(l *Lineage) ([]byte, error) {
	ids := map[string]int{}
	for _, leaf := range p.leaves(nil) {
		f, err := l.readable(leaf.column)
		if err != nil {
			return nil, err
		}
		if err := leaf.fits(f.Type); err != nil {
			return nil, err
		}
		ids[leaf.column] = f.ID
	}
	return p.append(nil, func(dst []byte, column string) []byte {
		dst = append(dst, `{"type":"reference","id":`...)
		return append(strconv.AppendInt(dst, int64(ids[column]), 10), '}')
	}), nil
}

// fits tells whether an operation makes sense for a column of a type.
func (p *Predicate) fits(t *Type) error {
	switch p.op {
	case "is-null", "not-null":
		return nil
	case "is-nan", "not-nan":
		if t.Kind != KindFloat && t.Kind != KindDouble {
			return invalidf("%s is for floating-point numbers, and column %s is of type %s", p.op, p.column, t)
		}
	case "starts-with", "not-starts-with":
		if t.Kind != KindString {
			return invalidf("%s is for strings, and column %s is of type %s", p.op, p.column, t)
		}
	}
	switch t.Kind {
	case KindStruct, KindList, KindMap, KindUnknown, KindVariant, KindGeometry, KindGeography:
		return invalidf("column %s is of type %s, which has no value to compare with", p.column, t)
	}
	for _, value := range p.values {
		if !value.fits(t) {
			return invalidf("%s is no value of type %s, which column %s has", excerpt(value.raw), t, p.column)
		}
	}
	return nil
}

// fits tells whether a literal is a value of a column's type.
func (v literal) fits(t *Type) bool {
	if v.of != nil && v.of.String() != t.String() && !widens(v.of, t) {
		return false
	}
	if t.Kind == KindFloat || t.Kind == KindDouble {
		// A whole number is one too, here.
		return v.raw[0] == '-' || v.raw[0] >= '0' && v.raw[0] <= '9'
	}
	return checkDefault(t, v.raw) == nil
}

// widens tells whether each value of one type is one of another that is written alike.
func widens(from, to *Type) bool {
	return from.Kind == KindInt && to.Kind == KindLong || from.Kind == KindFloat && to.Kind == KindDouble ||
		from.Kind == KindDecimal && to.Kind == KindDecimal && from.scale == to.scale
}
