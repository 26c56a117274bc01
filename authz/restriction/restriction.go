// Package restriction is what policies take away from the right to read a table: rows
// that a reader must leave out and columns that it must mask. It reads them, puts them
// together, and binds them to the fields of a table. It does no I/O.
package restriction

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// Restriction is what one policy takes away. It is immutable.
type Restriction struct {
	// Policy names the policy for whoever looks at the record.
	Policy string
	// Filter is what rows must fulfil; nil is nothing.
	Filter *iceberg.Predicate
	// Masks are the columns that are not shown as they are, in the order of their names.
	Masks []Mask
	// Unreadable is why this program can't read it; then nothing of the table may be
	// read. "" is that it can.
	Unreadable string
}

// Mask is what is shown of a column.
type Mask struct {
	// Column is its whole path from the top, with dots.
	Column string
	Action Action
}

// Parse reads a policy's annotations; nil is one that it does not have.
func Parse(rowFilter, columnMask *string) (r Restriction, err error) {
	if rowFilter != nil {
		if r.Filter, err = parseFilter(*rowFilter); err != nil {
			return Restriction{}, fmt.Errorf("its @row_filter can't be used: %w", err)
		}
	}
	if columnMask != nil {
		if r.Masks, err = parseMasks(*columnMask); err != nil {
			return Restriction{}, fmt.Errorf("its @column_mask can't be used: %w", err)
		}
	}
	return r, nil
}

func parseFilter(text string) (*iceberg.Predicate, error) {
	p, err := iceberg.ParsePredicate([]byte(text))
	if err != nil {
		return nil, err
	}
	if p.AlwaysTrue() {
		return nil, errors.New("it leaves no row out; leave it out itself")
	}
	return p, nil
}

// parseMasks reads an object with an action for each column.
func parseMasks(text string) ([]Mask, error) {
	in := json.NewDecoder(strings.NewReader(text))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New(`write an object with an action for each column, such as {"ssn":"replace-with-null"}`)
	}
	var out []Mask
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		value, err := in.Token()
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		column, _ := name.(string)
		action, isText := value.(string)
		if _, known := nextStricter[Action(action)]; !known || !isText {
			return nil, fmt.Errorf("column %q has no action %q; there are %s", column, fmt.Sprint(value), joined(Actions()))
		}
		if column == "" {
			return nil, errors.New("a column has no name")
		}
		if slices.ContainsFunc(out, func(m Mask) bool { return m.Column == column }) {
			return nil, fmt.Errorf("column %q is there twice", column)
		}
		out = append(out, Mask{Column: column, Action: Action(action)})
	}
	if _, err := in.Token(); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the object")
	}
	if len(out) == 0 {
		return nil, errors.New("it names no column; leave it out")
	}
	slices.SortFunc(out, func(a, b Mask) int { return strings.Compare(a.Column, b.Column) })
	return out, nil
}

func joined(actions []Action) string {
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = string(a)
	}
	return strings.Join(texts, ", ")
}

// Set is all that is taken away from one right to read a table, in the order of the
// policies. An empty one takes nothing away.
type Set []*Restriction

// Policies names the policies, each once.
func (s Set) Policies() []string {
	var out []string
	for _, r := range s {
		if !slices.Contains(out, r.Policy) {
			out = append(out, r.Policy)
		}
	}
	return out
}

// Digest is equal for sets that take the same away, and for no others.
func (s Set) Digest() string {
	var all bytes.Buffer
	part := func(text []byte) { fmt.Fprintf(&all, "%d:%s", len(text), text) }
	for _, r := range s {
		part([]byte(r.Unreadable))
		if r.Filter != nil {
			part(r.Filter.JSON())
		}
		for _, m := range r.Masks {
			part([]byte(m.Column))
			part([]byte(m.Action))
		}
		part([]byte(r.Policy))
	}
	sum := sha256.Sum256(all.Bytes())
	return string(sum[:])
}
