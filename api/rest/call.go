package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

// ConsistencyHeader asks for a read that is as current as it says.
const ConsistencyHeader = "Floeberg-Consistency"

// separator stands between the levels of a namespace in paths and parameters.
const separator = "\x1f"

// call is a request that was read.
type call struct {
	route     *route
	request   *http.Request
	principal authz.Principal
	warehouse string
	namespace catalog.Namespace
	table     string
	query     url.Values
	read      catalog.Read
	// delegation is how the client can be given access to files, sorted.
	delegation []string
	key        string
	body       []byte
	bodyRead   bool
}

func (c *call) identifier() catalog.Identifier {
	return catalog.Identifier{Namespace: c.namespace, Name: c.table}
}

// newCall reads all of a request but its body.
func (a *api) newCall(g *gin.Context, r *route) (*call, error) {
	c := &call{
		route: r, request: g.Request,
		warehouse: g.Param("prefix"), table: g.Param("table"),
		namespace:  splitNamespace(g.Param("namespace")),
		delegation: accessDelegation(g.Request.Header),
	}
	for _, param := range g.Params {
		if param.Value == "" {
			// The router takes "//" for an empty name; nothing has one, and an empty
			// warehouse would be the default one.
			return nil, errNoRoute
		}
	}
	var err error
	if c.query, err = url.ParseQuery(g.Request.URL.RawQuery); err != nil {
		return nil, badRequest("Invalid query: %v", err)
	}
	for name, values := range c.query {
		if len(values) > 1 && singleParameters[name] {
			return nil, badRequest("Invalid query: parameter %s is given %d times", name, len(values))
		}
	}
	if r.change {
		c.key, err = idempotencyKey(g.Request.Header)
	} else {
		c.read, err = a.consistency(g.Request.Header)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// singleParameters are those that we read: which of two values would be meant
// can't be told.
var singleParameters = map[string]bool{
	"warehouse": true, "parent": true, "pageToken": true, "pageSize": true,
	"snapshots": true, "purgeRequested": true,
}

// splitNamespace reads the levels of a namespace; "" has none.
func splitNamespace(joined string) catalog.Namespace {
	if joined == "" {
		return nil
	}
	return strings.Split(joined, separator)
}

func (a *api) consistency(h http.Header) (catalog.Read, error) {
	read := catalog.Read{Consistency: a.opts.Consistency, MaxStaleness: a.opts.MaxStaleness}
	values := h.Values(ConsistencyHeader)
	switch {
	case len(values) == 0:
		return read, nil
	case len(values) > 1:
		return read, badRequest("Header %s is given %d times", ConsistencyHeader, len(values))
	}
	switch strings.ToLower(strings.TrimSpace(values[0])) {
	case "linearizable":
		read.Consistency = catalog.Linearizable
	case "bounded":
		read.Consistency = catalog.Bounded
	case "stale":
		read.Consistency = catalog.Stale
	default:
		return read, badRequest("Header %s must be linearizable, bounded or stale, not %q", ConsistencyHeader, values[0])
	}
	return read, nil
}

// accessDelegation reads how the client can be given access to files. What is
// not known is skipped, as the protocol says: the server picks what it can.
func accessDelegation(h http.Header) []string {
	var out []string
	for _, line := range h.Values("X-Iceberg-Access-Delegation") {
		for item := range strings.SplitSeq(line, ",") {
			switch item = strings.ToLower(strings.TrimSpace(item)); item {
			case "vended-credentials", "remote-signing":
				out = append(out, item)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
