package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Object is a JSON object.
type Object = map[string]any

// Escape encodes one path segment as clients do: a plus sign too, which would
// otherwise be read as the space that older clients mean by it.
func Escape(segment string) string {
	return strings.ReplaceAll(url.PathEscape(segment), "+", "%2B")
}

// NamespacePath is the path of a namespace in this client's warehouse; no
// level at all is the collection.
func (c *Client) NamespacePath(levels ...string) string {
	path := "/v1/" + Escape(c.options.Warehouse) + "/namespaces"
	if len(levels) > 0 {
		path += "/" + Escape(strings.Join(levels, "\x1f"))
	}
	return path
}

// TablePath is the path of a table in a namespace of one level.
func (c *Client) TablePath(namespace, table string) string {
	return c.NamespacePath(namespace) + "/tables/" + Escape(table)
}

// CreateNamespace makes a namespace.
func (c *Client) CreateNamespace(ctx context.Context, properties map[string]string, levels ...string) (*Response, error) {
	return c.Do(ctx, NamespaceRequest(c, properties, levels...))
}

// NamespaceRequest is the request of CreateNamespace.
func NamespaceRequest(c *Client, properties map[string]string, levels ...string) Request {
	return Request{Method: http.MethodPost, Path: c.NamespacePath(), Body: Object{"namespace": levels, "properties": properties}}
}

// CreateTable makes a table of two columns.
func (c *Client) CreateTable(ctx context.Context, namespace, table string) (*Response, error) {
	return c.Do(ctx, CreateTableRequest(c, namespace, table))
}

// CreateTableRequest is the request of CreateTable.
func CreateTableRequest(c *Client, namespace, table string) Request {
	return Request{
		Method: http.MethodPost,
		Path:   c.NamespacePath(namespace) + "/tables",
		Body:   Object{"name": table, "schema": Schema()},
	}
}

// Schema is the schema of the tests' tables.
func Schema() Object {
	return Object{"type": "struct", "schema-id": 0, "fields": []Object{
		{"id": 1, "name": "id", "type": "long", "required": true},
		{"id": 2, "name": "data", "type": "string", "required": false},
	}}
}

// LoadTable reads a table.
func (c *Client) LoadTable(ctx context.Context, namespace, table string) (*Response, error) {
	return c.Do(ctx, Request{Method: http.MethodGet, Path: c.TablePath(namespace, table)})
}

// HeadTable asks whether a table exists.
func (c *Client) HeadTable(ctx context.Context, namespace, table string) (*Response, error) {
	return c.Do(ctx, Request{Method: http.MethodHead, Path: c.TablePath(namespace, table)})
}

// DropTable drops a table; its files stay.
func (c *Client) DropTable(ctx context.Context, namespace, table string) (*Response, error) {
	return c.Do(ctx, Request{Method: http.MethodDelete, Path: c.TablePath(namespace, table)})
}

// Commit changes a table.
func (c *Client) Commit(ctx context.Context, namespace, table string, requirements, updates []Object) (*Response, error) {
	return c.Do(ctx, CommitRequest(c, namespace, table, requirements, updates))
}

// CommitRequest is the request of Commit.
func CommitRequest(c *Client, namespace, table string, requirements, updates []Object) Request {
	if requirements == nil {
		requirements = []Object{}
	}
	return Request{
		Method: http.MethodPost,
		Path:   c.TablePath(namespace, table),
		Body:   Object{"requirements": requirements, "updates": updates},
	}
}
