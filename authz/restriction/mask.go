package restriction

import (
	"fmt"
	"slices"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// Action is what a reader shows in the place of a column's values. The names are
// those of the Iceberg REST protocol.
type Action string

// The actions.
const (
	// ReplaceWithNull shows no value at all.
	ReplaceWithNull Action = "replace-with-null"
	// MaskToFixedValue shows one value for all, which its type decides.
	MaskToFixedValue Action = "mask-to-fixed-value"
	// MaskAlphanum shows of a text where digits, other characters and some marks are.
	MaskAlphanum Action = "mask-alphanum"
	// ShowFirst4 and ShowLast4 show four characters as they are, and of the others
	// what MaskAlphanum does.
	ShowFirst4 Action = "show-first-4"
	ShowLast4  Action = "show-last-4"
	// TruncateToYear and TruncateToMonth show when, less exactly.
	TruncateToYear  Action = "truncate-to-year"
	TruncateToMonth Action = "truncate-to-month"
	// SHA256Global shows a hash, the same wherever the value is.
	SHA256Global Action = "sha-256-global"
	// SHA256QueryLocal shows a hash that is another one in each query.
	SHA256QueryLocal Action = "sha-256-query-local"
)

// nextStricter is, for each action, the one that tells least less: what it shows could
// be made of what the action shows.
var nextStricter = map[Action]Action{
	ReplaceWithNull:  "",
	MaskToFixedValue: ReplaceWithNull,
	MaskAlphanum:     MaskToFixedValue,
	ShowFirst4:       MaskAlphanum,
	ShowLast4:        MaskAlphanum,
	TruncateToYear:   MaskToFixedValue,
	TruncateToMonth:  TruncateToYear,
	SHA256QueryLocal: MaskToFixedValue,
	SHA256Global:     SHA256QueryLocal,
}

// Actions are all of them, in the order of their names.
func Actions() []Action {
	out := make([]Action, 0, len(nextStricter))
	for a := range nextStricter {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}

// Strictest is the action that shows no more than either of two: the stricter one, or,
// where each shows what the other hides, the least strict that hides both.
func Strictest(a, b Action) Action {
	for ; ; a = nextStricter[a] {
		for at := b; at != ""; at = nextStricter[at] {
			if at == a {
				return a
			}
		}
	}
}

// fits tells whether readers can take the action on a column.
func (a Action) fits(c iceberg.Column) error {
	for _, t := range c.Types {
		if !a.fitsType(t.Kind) {
			return fmt.Errorf("%s is not for columns of type %s; %s and %s are for any", a, t, MaskToFixedValue, ReplaceWithNull)
		}
	}
	return nil
}

func (a Action) fitsType(k iceberg.Kind) bool {
	switch a {
	case MaskAlphanum, ShowFirst4, ShowLast4:
		return k == iceberg.KindString
	case TruncateToYear, TruncateToMonth:
		switch k {
		case iceberg.KindDate, iceberg.KindTimestamp, iceberg.KindTimestamptz, iceberg.KindTimestampNs, iceberg.KindTimestamptzNs:
			return true
		}
		return false
	case SHA256Global, SHA256QueryLocal:
		switch k {
		case iceberg.KindString, iceberg.KindInt, iceberg.KindLong, iceberg.KindBinary:
			return true
		}
		return false
	}
	return true
}

// on is the action for a column: one that must have a value can't be shown as null, and
// shows as little by a value that is the same in every row.
func (a Action) on(c iceberg.Column) Action {
	if a == ReplaceWithNull && c.Required {
		return MaskToFixedValue
	}
	return a
}
