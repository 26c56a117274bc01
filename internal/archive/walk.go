package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/floeberg/floeberg/fsm"
)

// Position is an entry of the log, by index and term.
type Position struct{ Index, Term uint64 }

// After yields the entries that follow a position, in order and without a hole, some
// at a time, to the end of what is archived. Where entries are missing and later ones are
// there, it ends with ErrGap; where those that are needed are damaged and in no other
// segment, with that segment's error.
func (a *Archive) After(ctx context.Context, from Position) iter.Seq2[[]fsm.Entry, error] {
	return func(yield func([]fsm.Entry, error) bool) {
		segments, err := a.List(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			next, err := a.follow(ctx, segments, from)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(next) == 0 || !yield(next, nil) {
				return
			}
			last := next[len(next)-1]
			from = Position{last.Index, last.Term}
			segments = slices.DeleteFunc(segments, func(s Segment) bool { return s.Last <= from.Index })
		}
	}
}

// candidate is a segment that goes on from a position.
type candidate struct {
	entries []fsm.Entry
	// certain tells whether the entry before its first is known to be the one that
	// was asked for, and not only at the right index.
	certain bool
}

// follow returns the entries after a position that one segment has. Among several it
// takes those of the highest term, up to where another one has a higher.
func (a *Archive) follow(ctx context.Context, segments []Segment, from Position) ([]fsm.Entry, error) {
	var found []candidate
	var broken error
	later := uint64(0)
	for _, s := range segments {
		if s.First > from.Index+1 {
			if later == 0 {
				later = s.First
			}
			continue
		}
		if s.Last <= from.Index {
			continue
		}
		h, entries, err := a.Read(ctx, s)
		switch {
		case errors.Is(err, ErrDamaged):
			broken = errors.Join(broken, err)
			continue
		case err != nil:
			return nil, err
		}
		if c, ok := goesOn(h, entries, from); ok {
			found = append(found, c)
		}
	}
	switch {
	case len(found) > 0:
	case broken != nil:
		return nil, broken
	case later > 0:
		return nil, fmt.Errorf("%w: entries %d to %d are missing", ErrGap, from.Index+1, later-1)
	default:
		return nil, nil
	}
	return a.cut(ctx, segments, from, choose(found))
}

// cut ends a run of entries where another history, of a higher term, parts from it.
func (a *Archive) cut(ctx context.Context, segments []Segment, from Position, run []fsm.Entry) ([]fsm.Entry, error) {
	for _, s := range segments {
		last := run[len(run)-1]
		if s.First <= from.Index+1 || s.First > last.Index || s.Term <= last.Term {
			continue
		}
		_, entries, err := a.Read(ctx, s)
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i, e := range entries {
			at := s.First - run[0].Index + uint64(i)
			if at >= uint64(len(run)) {
				break
			}
			if e.Term > run[at].Term {
				run = run[:at]
				break
			}
		}
	}
	return run, nil
}

// goesOn cuts a segment to what follows a position, if it is of the same history.
func goesOn(h Header, entries []fsm.Entry, from Position) (candidate, bool) {
	if h.First > from.Index {
		known := h.PrevTerm != 0 && from.Term != 0
		return candidate{entries, known}, !known || h.PrevTerm == from.Term
	}
	at := entries[from.Index-h.First]
	return candidate{entries[from.Index-h.First+1:], true}, from.Term == 0 || at.Term == from.Term
}

// choose takes the history of the highest term: at the first index where two
// segments differ, the higher one counts.
func choose(found []candidate) []fsm.Entry {
	best := found[0]
	for _, c := range found[1:] {
		n := min(len(best.entries), len(c.entries))
		i := 0
		for i < n && best.entries[i].Term == c.entries[i].Term {
			i++
		}
		switch {
		case i < n && c.entries[i].Term > best.entries[i].Term:
			best = c
		case i == n && (c.certain && !best.certain || c.certain == best.certain && len(c.entries) > len(best.entries)):
			best = c
		}
	}
	return best.entries
}
