package serve

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/ops/audit"
)

// ConsistencyHeader asks for a read that is as current as it says.
const ConsistencyHeader = "Floeberg-Consistency"

// Separator stands between the levels of a namespace in paths and parameters.
const Separator = "\x1f"

// Call is a request that was read, but for its body, which comes last.
type Call struct {
	Route     *Route
	Request   *http.Request
	Principal authz.Principal
	// Warehouse, Namespace and Name are those of the path; Name is a table's or a view's.
	Warehouse string
	Namespace catalog.Namespace
	Name      string
	Query     url.Values
	// Read is how current the answer to a read must be.
	Read catalog.Read
	Body []byte

	params   gin.Params
	accepted accepted
	key      string
	bodyRead bool
	recheck  func(context.Context) error
	judge    func(context.Context, authz.Action, authz.Resource) error
	ensure   func(context.Context, audit.Record) error
	source   string // the address that it came from
	allowed  bool   // it is a change that was allowed, and this is on record
	sees     func(context.Context, authz.Action, authz.Resource) bool
	sift     func(context.Context, authz.Action, authz.Resource, authz.Kind) (catalog.Filter, error)
	// referencedBy are the views through which the caller says that it reads.
	referencedBy []authz.Resource
	// evidence is what the rights rest on that were asked for, if any was.
	evidence []authz.Evidence
	asked    bool
	// loads are the tables that may be loaded, as far as that was asked.
	loads []load
	read  func(context.Context, authz.Resource) (Reading, error)
}

// Param is a part of the path by the name that the route gives it.
func (c *Call) Param(name string) string { return c.params.ByName(name) }

// Identifier is the table or view that the path names.
func (c *Call) Identifier() catalog.Identifier {
	return catalog.Identifier{Namespace: c.Namespace, Name: c.Name}
}

// Recheck proves on this node's state that the right which the call was judged by
// still holds.
func (c *Call) Recheck(ctx context.Context) error { return c.recheck(ctx) }

// newCall reads all of a request but its body.
func (s *server) newCall(g *gin.Context, r *Route) (*Call, error) {
	c := &Call{
		Route: r, Request: g.Request, params: g.Params,
		Warehouse: g.Param("prefix"), Namespace: SplitNamespace(g.Param("namespace")),
		Name: g.Param("table") + g.Param("view"), source: source(g.Request.Context()), ensure: s.opts.Audit.Ensure,
	}
	c.judge = func(ctx context.Context, action authz.Action, resource authz.Resource) error {
		return s.authorize(ctx, c, action, resource)
	}
	c.sees = func(ctx context.Context, action authz.Action, resource authz.Resource) bool {
		return s.sees(ctx, c, action, resource)
	}
	c.sift = func(ctx context.Context, action authz.Action, in authz.Resource, kind authz.Kind) (catalog.Filter, error) {
		return s.filter(ctx, c, action, in, kind)
	}
	c.read = func(ctx context.Context, table authz.Resource) (Reading, error) { return s.reading(ctx, c, table) }
	c.recheck = func(ctx context.Context) error { return s.holds(ctx, c) }
	for _, param := range g.Params {
		if param.Value == "" {
			// The router takes "//" for an empty name; nothing has one, and an empty
			// warehouse would be the default one.
			return nil, errNoRoute
		}
	}
	var err error
	if c.Query, err = url.ParseQuery(g.Request.URL.RawQuery); err != nil {
		return nil, BadRequest("Invalid query: %v", err)
	}
	for _, name := range r.Query {
		if n := len(c.Query[name]); n > 1 {
			// Which of them is meant can't be told.
			return nil, BadRequest("Invalid query: parameter %s is given %d times", name, n)
		}
	}
	if c.accepted, err = accept(g.Request.Header); err != nil {
		return nil, err
	}
	if slices.Contains(r.Query, referencedBy) {
		if c.referencedBy, err = referringViews(c.Warehouse, c.Query.Get(referencedBy)); err != nil {
			return nil, err
		}
	}
	if r.Change {
		c.key, err = idempotencyKey(g.Request.Header)
	} else {
		c.Read, err = s.consistency(g.Request.Header)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// SplitNamespace reads the levels of a namespace; "" has none.
func SplitNamespace(joined string) catalog.Namespace {
	if joined == "" {
		return nil
	}
	return strings.Split(joined, Separator)
}

// referencedBy is the parameter in which engines name the views that a read goes through.
const referencedBy = "referenced-by"

// maxReferences bounds how many views may be named.
const maxReferences = 64

// referringViews reads the views that a read goes through, outermost first.
func referringViews(warehouse, text string) ([]authz.Resource, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Count(text, ",") >= maxReferences {
		return nil, BadRequest("Invalid query: %s names more than %d views", referencedBy, maxReferences)
	}
	var out []authz.Resource
	for item := range strings.SplitSeq(text, ",") {
		// A comma in a name comes encoded once more than the rest.
		name, err := url.PathUnescape(item)
		levels := SplitNamespace(name)
		if err != nil || len(levels) < 2 || slices.Contains(levels, "") {
			return nil, BadRequest("Invalid query: %s must be views with their namespaces, separated by commas, not %q", referencedBy, item)
		}
		last := len(levels) - 1
		out = append(out, authz.Resource{Kind: authz.KindView, Warehouse: warehouse, Namespace: levels[:last], Name: levels[last]})
	}
	return out, nil
}

func (s *server) consistency(h http.Header) (catalog.Read, error) {
	read := catalog.Read{Consistency: s.opts.Consistency, MaxStaleness: s.opts.MaxStaleness}
	values := h.Values(ConsistencyHeader)
	switch {
	case len(values) == 0:
		return read, nil
	case len(values) > 1:
		return read, BadRequest("Header %s is given %d times", ConsistencyHeader, len(values))
	}
	switch strings.ToLower(strings.TrimSpace(values[0])) {
	case "linearizable":
		read.Consistency = catalog.Linearizable
	case "bounded":
		read.Consistency = catalog.Bounded
	case "stale":
		read.Consistency = catalog.Stale
	default:
		return read, BadRequest("Header %s must be linearizable, bounded or stale, not %q", ConsistencyHeader, values[0])
	}
	return read, nil
}
