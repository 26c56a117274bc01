package client

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"
)

// config is what the server says of how to speak to a warehouse.
type config struct {
	prefix    string // escaped
	separator string
}

// defaultSeparator stands between the levels of a namespace where the server
// says nothing else.
const defaultSeparator = "\x1f"

// configured asks for the warehouse's configuration once.
func (c *Client) configured(ctx context.Context) (*config, error) {
	c.mu.Lock()
	known := c.config
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	var body struct {
		Overrides, Defaults map[string]string
	}
	query := url.Values{}
	if c.opts.Warehouse != "" {
		query.Set("warehouse", c.opts.Warehouse)
	}
	if err := c.Get(ctx, "/v1/config", query, &body); err != nil {
		return nil, err
	}
	cfg := &config{separator: defaultSeparator}
	for _, from := range []map[string]string{body.Defaults, body.Overrides} {
		if prefix := strings.Trim(from["prefix"], "/"); prefix != "" {
			cfg.prefix = "/" + prefix
		}
		if text, ok := from["namespace-separator"]; ok {
			separator, err := url.QueryUnescape(text)
			if err != nil || separator == "" {
				return nil, fmt.Errorf("the server's configuration can't be used: namespace-separator is %q", text)
			}
			cfg.separator = separator
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = cfg
	return cfg, nil
}

// Warehouse is the warehouse that catalog paths speak of, by name.
func (c *Client) Warehouse(ctx context.Context) (string, error) {
	cfg, err := c.configured(ctx)
	if err != nil {
		return "", err
	}
	return url.PathUnescape(strings.TrimPrefix(cfg.prefix, "/"))
}

// Segment is a name as one part of a path. A plus sign in a path is a space for
// old clients' sake, so it never stands for itself.
func Segment(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "+", "%2B")
}

// NamespaceSegment is a namespace as one part of a management path.
func NamespaceSegment(path []string) string {
	return Segment(strings.Join(path, defaultSeparator))
}

// path is a catalog path of the warehouse: the words of the protocol as they
// are, then names.
func (c *Client) path(ctx context.Context, namespace []string, more ...string) (string, error) {
	cfg, err := c.configured(ctx)
	if err != nil {
		return "", err
	}
	path := "/v1" + cfg.prefix + "/namespaces"
	if len(namespace) > 0 {
		path += "/" + Segment(strings.Join(namespace, cfg.separator))
	}
	for _, part := range more {
		path += "/" + Segment(part)
	}
	return path, nil
}

// pages yields the pages of a listing, each read anew into a value of its type.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values, tokenParameter string, next func(*T) string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		ask := url.Values{}
		for name, values := range query {
			ask[name] = values
		}
		// The first, empty token asks for pages at all.
		for token := ""; ; {
			ask.Set(tokenParameter, token)
			page := new(T)
			if err := c.Get(ctx, path, ask, page); err != nil {
				yield(nil, err)
				return
			}
			if !yield(page, nil) {
				return
			}
			last := token
			if token = next(page); token == "" {
				return
			}
			if token == last {
				yield(nil, fmt.Errorf("GET %s: the listing does not go on: page token %s leads to itself", path, token))
				return
			}
		}
	}
}

// Pages yields the pages of a listing under /management, each read into a value;
// next is the token in it.
func Pages[T any](ctx context.Context, c *Client, path string, query url.Values, next func(*T) string) iter.Seq2[*T, error] {
	return pages(ctx, c, path, query, "page_token", next)
}

// listed is a page of any listing of the protocol.
type listed struct {
	Namespaces  [][]string
	Identifiers []struct {
		Namespace []string
		Name      string
	}
	Next string `json:"next-page-token"`
}

func (l *listed) next() string { return l.Next }

// Namespaces yields the direct children of a namespace, or the top level.
func (c *Client) Namespaces(ctx context.Context, parent []string) iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		cfg, err := c.configured(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		path, err := c.path(ctx, nil)
		if err != nil {
			yield(nil, err)
			return
		}
		query := url.Values{}
		if len(parent) > 0 {
			query.Set("parent", strings.Join(parent, cfg.separator))
		}
		for page, err := range pages(ctx, c, path, query, "pageToken", (*listed).next) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, name := range page.Namespaces {
				if !yield(name, nil) {
					return
				}
			}
		}
	}
}

// AllNamespaces yields what is below a namespace, or below the top, at any
// depth: each one before its children.
func (c *Client) AllNamespaces(ctx context.Context, parent []string) iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		c.descend(ctx, parent, yield)
	}
}

func (c *Client) descend(ctx context.Context, parent []string, yield func(Name, error) bool) bool {
	for child, err := range c.Namespaces(ctx, parent) {
		if err != nil {
			// Dropped since its name was read: what is gone has nothing below it.
			if len(parent) > 0 && IsNotFound(err) {
				return true
			}
			yield(nil, err)
			return false
		}
		if !yield(child, nil) || !c.descend(ctx, child, yield) {
			return false
		}
	}
	return true
}

// Tables yields the tables of a namespace, full names.
func (c *Client) Tables(ctx context.Context, namespace []string) iter.Seq2[Name, error] {
	return c.entries(ctx, namespace, "tables")
}

// Views yields the views of a namespace, full names.
func (c *Client) Views(ctx context.Context, namespace []string) iter.Seq2[Name, error] {
	return c.entries(ctx, namespace, "views")
}

func (c *Client) entries(ctx context.Context, namespace []string, kind string) iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		path, err := c.path(ctx, namespace, kind)
		if err != nil {
			yield(nil, err)
			return
		}
		for page, err := range pages(ctx, c, path, nil, "pageToken", (*listed).next) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, id := range page.Identifiers {
				if !yield(append(append(Name{}, id.Namespace...), id.Name), nil) {
					return
				}
			}
		}
	}
}

// Namespace returns a namespace's properties.
func (c *Client) Namespace(ctx context.Context, namespace []string) (map[string]string, error) {
	var body struct {
		Properties map[string]string `json:"properties"`
	}
	path, err := c.path(ctx, namespace)
	if err != nil {
		return nil, err
	}
	err = c.Get(ctx, path, nil, &body)
	return body.Properties, err
}

// document is a table or a view as it was loaded.
type document[T any] struct {
	MetadataLocation string `json:"metadata-location"`
	Metadata         T      `json:"metadata"`
}

// load reads a table or a view.
func load[T any](ctx context.Context, c *Client, name Name, kind string) (*document[T], error) {
	namespace, last := name.Split()
	path, err := c.path(ctx, namespace, kind, last)
	if err != nil {
		return nil, err
	}
	doc := &document[T]{}
	if err := c.Get(ctx, path, nil, doc); err != nil {
		return nil, err
	}
	return doc, nil
}
