package restriction

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// ErrUnfit is returned when what policies take away can't be said of a table: nothing
// of it may be read then.
var ErrUnfit = errors.New("the restrictions do not fit the table")

// Bound is what a reader of one table must leave out and mask, by the ids of fields.
type Bound struct {
	filter  []byte // nil is none
	columns []projection
}

type projection struct {
	id     int
	action Action
}

// NoRows is the strictest of all: a reader must leave out every row.
func NoRows() *Bound { return &Bound{filter: []byte("false")} }

// Bind puts the restrictions together for a table. Rows must fulfil all filters. A
// column is masked by the strictest of its actions, and so is each field that its name
// ever meant; a field inside of a masked one is masked with it. An empty set gives nil.
func (s Set) Bind(l *iceberg.Lineage) (*Bound, error) {
	if len(s) == 0 {
		return nil, nil
	}
	out := &Bound{}
	masked := map[int]iceberg.Column{}
	actions := map[int]Action{}
	var filters [][]byte
	for _, r := range s {
		if r.Unreadable != "" {
			return nil, r.unfit(errors.New(r.Unreadable))
		}
		if r.Filter != nil {
			bound, err := r.Filter.Bind(l)
			if err != nil {
				return nil, r.unfit(err)
			}
			if !slices.ContainsFunc(filters, func(f []byte) bool { return string(f) == string(bound) }) {
				filters = append(filters, bound)
			}
		}
		for _, m := range r.Masks {
			columns, err := l.Named(m.Column)
			if err != nil {
				return nil, r.unfit(err)
			}
			for _, c := range columns {
				if err := m.Action.fits(c); err != nil {
					return nil, r.unfit(fmt.Errorf("column %s: %w", m.Column, err))
				}
				action := m.Action
				if other, ok := actions[c.ID]; ok {
					action = Strictest(action, other)
				}
				masked[c.ID], actions[c.ID] = c, action
			}
		}
	}
	out.filter = conjunction(filters)
	ids := slices.Sorted(maps.Keys(masked))
	for _, id := range ids {
		covered, err := isCovered(l, id, ids)
		if err != nil {
			return nil, err
		}
		if !covered {
			out.columns = append(out.columns, projection{id, actions[id].on(masked[id])})
		}
	}
	return out, nil
}

// unfit tells whose restriction does not fit. What is wrong with the table itself is
// not its fault.
func (r *Restriction) unfit(err error) error {
	if errors.Is(err, iceberg.ErrCorrupt) || errors.Is(err, iceberg.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: policy %s: %w", ErrUnfit, r.Policy, err)
}

// isCovered tells whether a field is inside of another of those that are masked.
func isCovered(l *iceberg.Lineage, id int, masked []int) (bool, error) {
	covered := false
	for _, outer := range masked {
		always, ever := l.Within(id, outer)
		if ever && !always {
			// Readers take no mask of a field and of what is inside of it.
			return false, fmt.Errorf("%w: the field with id %d was moved into or out of the one with id %d", ErrUnfit, id, outer)
		}
		covered = covered || always
	}
	return covered, nil
}

// conjunction is a condition that holds where all do; nil is of none.
func conjunction(filters [][]byte) []byte {
	var out []byte
	for _, f := range filters {
		if out == nil {
			out = f
			continue
		}
		both := append([]byte(`{"type":"and","left":`), out...)
		both = append(append(both, `,"right":`...), f...)
		out = append(both, '}')
	}
	return out
}

// JSON is the restrictions in the form of the Iceberg REST protocol (ReadRestrictions).
func (b *Bound) JSON() []byte {
	out := []byte{'{'}
	for i, c := range b.columns {
		separator := `,{"field-id":`
		if i == 0 {
			separator = `"required-column-projections":[{"field-id":`
		}
		out = strconv.AppendInt(append(out, separator...), int64(c.id), 10)
		out = append(append(append(out, `,"action":"`...), c.action...), `"}`...)
	}
	if len(b.columns) > 0 {
		out = append(out, ']')
	}
	if b.filter != nil {
		if len(b.columns) > 0 {
			out = append(out, ',')
		}
		out = append(append(out, `"required-row-filter":`...), b.filter...)
	}
	return append(out, '}')
}
