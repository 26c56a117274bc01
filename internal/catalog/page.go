package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/floeberg/floeberg/fsm/state"
)

// Sizes of pages: what a client gets that does not say, and the most it can ask for.
const (
	defaultPageSize = 1000
	maxPageSize     = 10000
)

// A page token is the key that the last page ended with, bound to the listing it
// came from, so that a token of another namespace or another kind is refused
// instead of seeking there.
const tokenScopeBytes = 8

func tokenScope(r state.KeyRange) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), r.Start...), r.End...))
	return sum[:tokenScopeBytes]
}

func pageToken(r state.KeyRange, last []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(tokenScope(r), last...))
}

func pageStart(r state.KeyRange, token string) ([]byte, error) {
	if token == "" {
		return r.Start, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) <= tokenScopeBytes || !bytes.Equal(raw[:tokenScopeBytes], tokenScope(r)) {
		return nil, refuse(KindInvalid, "Invalid page token: it is not one that this listing gave; start without a token")
	}
	last := raw[tokenScopeBytes:]
	if bytes.Compare(last, r.Start) < 0 || bytes.Compare(last, r.End) >= 0 {
		return nil, refuse(KindInvalid, "Invalid page token: it is not one that this listing gave; start without a token")
	}
	return after(last), nil
}

// after is the smallest key after another one.
func after(key []byte) []byte { return append(bytes.Clone(key), 0) }

// listChunk is how many entries are read at a time, and scanChunk how many are
// looked at, of which few may be seen. Between two chunks nothing is open but the
// view: a client that takes its time holds no iterator.
const (
	listChunk = 500
	scanChunk = 5000
)

// List is a listing of one state that is read while it is written, so that what
// a client gets may be larger than what a node wants to hold. It is closed
// exactly once.
type List[T any] struct {
	// Index is the log index that the listing reflects.
	Index uint64

	view   *state.View
	all    state.KeyRange
	start  []byte
	size   int    // the most entries; 0 is all
	filter Filter // nil lets all through
	entry  func(key []byte) (T, error)
	name   func(T) string
}

// newList makes a listing of a range, or the part of it that page asks for. The
// view is the listing's from then on.
func newList[T any](v *state.View, all state.KeyRange, page Page, entry func(key []byte) (T, error), name func(T) string) (*List[T], error) {
	start, err := pageStart(all, page.Token)
	if err != nil {
		return nil, err
	}
	l := &List[T]{Index: v.Index, view: v, all: all, start: start, filter: page.Filter, entry: entry, name: name}
	if page.Paged {
		l.size = page.Size
		if l.size <= 0 {
			l.size = defaultPageSize
		}
		l.size = min(l.size, maxPageSize)
	}
	return l, nil
}

// Close gives back what the listing is read from.
func (l *List[T]) Close() { l.view.Close() }

// Each calls fn for each entry in byte order until it returns an error, and
// returns the token of the next page, "" where there is none. It is called once.
func (l *List[T]) Each(fn func(T) error) (next string, err error) {
	if l.filter != nil {
		if names, ok := l.filter.Names(); ok {
			return l.eachOf(names, fn)
		}
	}
	var last, at []byte
	chunk := make([]T, 0, listChunk)
	for seen, more := 0, true; more; {
		chunk, more = chunk[:0], false
		var failed error
		full, scanned := false, 0
		err := l.view.Scan(state.KeyRange{Start: l.start, End: l.all.End}, func(key []byte, _ state.Value) bool {
			if more = len(chunk) == listChunk || scanned == scanChunk; more {
				return false
			}
			at = append(at[:0], key...)
			scanned++
			entry, err := l.entry(key)
			if err != nil {
				failed = err
				return false
			}
			if l.filter != nil && !l.filter.Allows(l.name(entry)) {
				return true
			}
			// Only what is seen tells that there is more: a last page that is empty would
			// tell of what is not.
			if full = l.size > 0 && seen == l.size; full {
				return false
			}
			chunk = append(chunk, entry)
			last = append(last[:0], key...)
			seen++
			return true
		})
		if err := errors.Join(err, failed); err != nil {
			return "", broken(err)
		}
		for _, entry := range chunk {
			if err := fn(entry); err != nil {
				return "", err
			}
		}
		if full {
			return pageToken(l.all, last), nil
		}
		l.start = after(at)
	}
	return "", nil
}

// eachOf is Each where nothing but some names can be seen: what else there is is
// not even looked at, however much it is.
func (l *List[T]) eachOf(names []string, fn func(T) error) (next string, err error) {
	var last []byte
	seen := 0
	for _, name := range names {
		key := state.KeyIn(l.all, name)
		if bytes.Compare(key, l.start) < 0 {
			continue
		}
		if _, ok, err := l.view.Get(key); err != nil {
			return "", broken(err)
		} else if !ok {
			continue
		}
		if l.size > 0 && seen == l.size {
			return pageToken(l.all, last), nil
		}
		entry, err := l.entry(key)
		if err != nil {
			return "", broken(err)
		}
		if err := fn(entry); err != nil {
			return "", err
		}
		last = key
		seen++
	}
	return "", nil
}

// ListNamespaces returns the direct children of a namespace, or the top level
// where parent is empty, in byte order.
func (c *Catalog) ListNamespaces(ctx context.Context, read Read, warehouse string, parent Namespace, page Page) (*List[Namespace], error) {
	if len(parent) > 0 {
		if err := checkNamespace(parent); err != nil {
			return nil, err
		}
	}
	return list(ctx, c, read, warehouse, parent, page, state.ChildNamespaces, func(key []byte) (Namespace, error) {
		_, path, err := state.NamespacePath(key)
		return path, err
	}, func(path Namespace) string { return path[len(path)-1] })
}

// ListTables returns the tables of a namespace in byte order.
func (c *Catalog) ListTables(ctx context.Context, read Read, warehouse string, path Namespace, page Page) (*List[Identifier], error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	return list(ctx, c, read, warehouse, path, page, state.TablesOf, identifiedBy(state.TableName), nameOf)
}

// ListViews returns the views of a namespace in byte order.
func (c *Catalog) ListViews(ctx context.Context, read Read, warehouse string, path Namespace, page Page) (*List[Identifier], error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	return list(ctx, c, read, warehouse, path, page, state.ViewsOf, identifiedBy(state.ViewName), nameOf)
}

// identifiedBy reads an entry's key.
func identifiedBy(read func(key []byte) (warehouse string, namespace []string, name string, err error)) func(key []byte) (Identifier, error) {
	return func(key []byte) (Identifier, error) {
		_, namespace, name, err := read(key)
		return Identifier{Namespace: namespace, Name: name}, err
	}
}

func nameOf(id Identifier) string { return id.Name }

// list lists what is inside a namespace; an empty one is the top.
func list[T any](
	ctx context.Context, c *Catalog, read Read, warehouse string, inside Namespace, page Page,
	all func(warehouse string, path []string) state.KeyRange, entry func(key []byte) (T, error), name func(T) string,
) (*List[T], error) {
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, err
	}
	if len(inside) > 0 {
		if _, _, err := c.namespace(v, wh.Name, inside); err != nil {
			v.Close()
			return nil, err
		}
	}
	l, err := newList(v, all(wh.Name, inside), page, entry, name)
	if err != nil {
		v.Close()
		return nil, err
	}
	return l, nil
}
