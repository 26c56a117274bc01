package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"

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
	// The smallest key after the last one.
	return append(last, 0), nil
}

// scanPage calls fn for each key of a page in order and returns the token of the
// next page, "" where there is none.
func scanPage(v *state.View, r state.KeyRange, page Page, fn func(key []byte) error) (next string, err error) {
	start, err := pageStart(r, page.Token)
	if err != nil {
		return "", err
	}
	size := page.Size
	if size <= 0 {
		size = defaultPageSize
	}
	size = min(size, maxPageSize)

	var last []byte
	var failed error
	seen := 0
	scanErr := v.Scan(state.KeyRange{Start: start, End: r.End}, func(key []byte, _ state.Value) bool {
		if page.Paged && seen == size {
			next = pageToken(r, last)
			return false
		}
		if failed = fn(key); failed != nil {
			return false
		}
		last = append(last[:0], key...)
		seen++
		return true
	})
	if scanErr != nil {
		return "", broken(scanErr)
	}
	return next, failed
}

// ListNamespaces returns the direct children of a namespace, or the top level
// where parent is empty, in byte order.
func (c *Catalog) ListNamespaces(ctx context.Context, read Read, warehouse string, parent Namespace, page Page) (*NamespaceList, error) {
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if len(parent) > 0 {
		if err := checkNamespace(parent); err != nil {
			return nil, err
		}
		if _, _, err := c.namespace(v, wh.Name, parent); err != nil {
			return nil, err
		}
	}
	list := &NamespaceList{Index: v.Index, Namespaces: []Namespace{}}
	list.Next, err = scanPage(v, state.ChildNamespaces(wh.Name, parent), page, func(key []byte) error {
		_, path, err := state.NamespacePath(key)
		if err != nil {
			return broken(err)
		}
		list.Namespaces = append(list.Namespaces, path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ListTables returns the tables of a namespace in byte order.
func (c *Catalog) ListTables(ctx context.Context, read Read, warehouse string, path Namespace, page Page) (*IdentifierList, error) {
	return c.list(ctx, read, warehouse, path, page, state.TablesOf, state.TableName)
}

// ListViews returns the views of a namespace in byte order.
func (c *Catalog) ListViews(ctx context.Context, read Read, warehouse string, path Namespace, page Page) (*IdentifierList, error) {
	return c.list(ctx, read, warehouse, path, page, state.ViewsOf, state.ViewName)
}

func (c *Catalog) list(
	ctx context.Context, read Read, warehouse string, path Namespace, page Page,
	all func(warehouse string, path []string) state.KeyRange,
	identify func(key []byte) (warehouse string, path []string, name string, err error),
) (*IdentifierList, error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if _, _, err := c.namespace(v, wh.Name, path); err != nil {
		return nil, err
	}
	list := &IdentifierList{Index: v.Index, Identifiers: []Identifier{}}
	list.Next, err = scanPage(v, all(wh.Name, path), page, func(key []byte) error {
		_, ns, name, err := identify(key)
		if err != nil {
			return broken(err)
		}
		list.Identifiers = append(list.Identifiers, Identifier{Namespace: ns, Name: name})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
