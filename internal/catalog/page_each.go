package catalog

import (
	"errors"

	"github.com/floeberg/floeberg/fsm/state"
)

// EachOf goes through the entries of a range that a page asks for, in byte order, and
// returns the token of the next page, "" where there is none. Look is given each
// entry and returns what takes it; nil is an entry that is as if it were not there.
func EachOf(v *state.View, all state.KeyRange, page Page, look func(key []byte, value state.Value) (take func(), err error)) (next string, err error) {
	start, err := pageStart(all, page.Token)
	if err != nil {
		return "", err
	}
	size := page.Size
	if size <= 0 {
		size = defaultPageSize
	}
	size = min(size, maxPageSize)
	var failed error
	var last []byte
	taken := 0
	err = v.Scan(state.KeyRange{Start: start, End: all.End}, func(key []byte, value state.Value) bool {
		var take func()
		take, failed = look(key, value)
		switch {
		case failed != nil:
			return false
		case take == nil:
			return true
		case taken == size:
			next = pageToken(all, last)
			return false
		}
		take()
		taken++
		last = append(last[:0], key...)
		return true
	})
	if err := errors.Join(err, failed); err != nil {
		return "", broken(err)
	}
	return next, nil
}
