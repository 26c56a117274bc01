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

// lookLimit is how many entries are looked at for one page, and then as far as to the
// next one that is seen: where a condition hides nearly all of very many, a page ends
// before it is full rather than keep a client, and a processor, for seconds. A token
// tells of no entry that is hidden, and clients take an empty page for the last, so
// there is no better place to go on from.
const lookLimit = 1_000_000

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
	most   int    // the most entries that are looked at
	filter Filter // nil lets all through
	entry  func(key []byte) (T, error)
}

// newList makes a listing of a range, or the part of it that page asks for. The
// view is the listing's from then on.
func newList[T any](v *state.View, all state.KeyRange, page Page, entry func(key []byte) (T, error)) (*List[T], error) {
	start, err := pageStart(all, page.Token)
	if err != nil {
		return nil, err
	}
	l := &List[T]{Index: v.Index, view: v, all: all, start: start, most: lookLimit, filter: page.Filter, entry: entry}
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
// returns the token of the next page, "" where there is none. It is called once,
// and gives up when ctx is done.
func (l *List[T]) Each(ctx context.Context, fn func(T) error) (next string, err error) {
	w := walk[T]{List: l, take: fn}
	names := []state.NameRange{{}}
	if l.filter != nil {
		names = l.filter.Ranges()
	}
	for _, r := range names {
		keys := state.KeysIn(l.all, r)
		if bytes.Compare(keys.End, l.start) <= 0 {
			continue
		}
		if r.One() && l.filter != nil {
			err = w.one(r.From)
		} else {
			err = w.through(ctx, keys)
		}
		if err != nil {
			return "", err
		}
		if w.full {
			return pageToken(l.all, w.last), nil
		}
	}
	return "", nil
}

// walk is a listing under way.
type walk[T any] struct {
	*List[T]
	take   func(T) error
	last   []byte // the key of the last entry that was seen
	seen   int
	looked int
	full   bool
}

// through goes through a range of keys.
func (w *walk[T]) through(ctx context.Context, keys state.KeyRange) error {
	if bytes.Compare(keys.Start, w.start) < 0 {
		keys.Start = w.start
	}
	chunk := make([]T, 0, listChunk)
	for more := true; more && !w.full; {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk, more = chunk[:0], false
		var failed error
		var at []byte
		looked := 0
		err := w.view.Scan(keys, func(key []byte, _ state.Value) bool {
			if more = len(chunk) == listChunk || looked == scanChunk; more {
				return false
			}
			at = append(at[:0], key...)
			looked++
			w.looked++
			var seen bool
			if seen, failed = w.sees(key); failed != nil || !seen {
				return failed == nil
			}
			// Only what is seen tells that there is more: a last page that is empty would
			// tell of what is not.
			if w.full = w.ends(); w.full {
				return false
			}
			var entry T
			if entry, failed = w.entry(key); failed != nil {
				return false
			}
			chunk = append(chunk, entry)
			w.last = append(w.last[:0], key...)
			w.seen++
			return true
		})
		if err := errors.Join(err, failed); err != nil {
			return broken(err)
		}
		for _, entry := range chunk {
			if err := w.take(entry); err != nil {
				return err
			}
		}
		keys.Start = after(at)
	}
	return nil
}

// ends tells whether the page ends before an entry that is seen.
func (w *walk[T]) ends() bool {
	return w.size > 0 && (w.seen == w.size || w.seen > 0 && w.looked > w.most)
}

// sees tells whether the entry of a key is seen.
func (w *walk[T]) sees(key []byte) (bool, error) {
	if w.filter == nil {
		return true, nil
	}
	name, err := state.NameIn(w.all, key)
	return err == nil && w.filter.Allows(name), err
}

// one looks for the entry of a name. Whether it is seen is found first, so that
// what is hidden takes as long as what is not there.
func (w *walk[T]) one(name string) error {
	key := state.KeyIn(w.all, name)
	if bytes.Compare(key, w.start) < 0 || !w.filter.Allows(name) {
		return nil
	}
	if _, ok, err := w.view.Get(key); err != nil {
		return broken(err)
	} else if !ok {
		return nil
	}
	if w.full = w.ends(); w.full {
		return nil
	}
	entry, err := w.entry(key)
	if err != nil {
		return broken(err)
	}
	w.last = key
	w.seen++
	return w.take(entry)
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
	})
}

// ListTables returns the tables of a namespace in byte order.
func (c *Catalog) ListTables(ctx context.Context, read Read, warehouse string, path Namespace, page Page) (*List[Identifier], error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	return list(ctx, c, read, warehouse, path, page, state.TablesOf, identifiedBy(state.TableName))
}

// ListViews returns the views of a namespace in byte order.
func (c *Catalog) ListViews(ctx context.Context, read Read, warehouse string, path Namespace, page Page) (*List[Identifier], error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	return list(ctx, c, read, warehouse, path, page, state.ViewsOf, identifiedBy(state.ViewName))
}

// identifiedBy reads an entry's key.
func identifiedBy(read func(key []byte) (warehouse string, namespace []string, name string, err error)) func(key []byte) (Identifier, error) {
	return func(key []byte) (Identifier, error) {
		_, namespace, name, err := read(key)
		return Identifier{Namespace: namespace, Name: name}, err
	}
}

// list lists what is inside a namespace; an empty one is the top.
func list[T any](
	ctx context.Context, c *Catalog, read Read, warehouse string, inside Namespace, page Page,
	all func(warehouse string, path []string) state.KeyRange, entry func(key []byte) (T, error),
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
	l, err := newList(v, all(wh.Name, inside), page, entry)
	if err != nil {
		v.Close()
		return nil, err
	}
	return l, nil
}
