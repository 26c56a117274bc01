// Package rest speaks the Iceberg REST protocol: it reads requests, asks the
// catalog, and writes answers. It holds no state of its own.
package rest

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
)

// NodeHeader says which node answered.
const NodeHeader = "Floeberg-Node"

// api is the handlers' common ground.
type api struct {
	opts      Options
	catalog   Catalog
	bodies    *middleware.Bodies
	endpoints []string
}

// New makes the handler of all paths that this node answers under HTTP.
func New(opts Options) (http.Handler, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	a := &api{
		opts: opts, catalog: opts.Catalog,
		bodies: middleware.NewBodies(opts.MaxBodyBytes, opts.MaxBodyBytesInFlight),
	}
	routes := a.routes()
	a.endpoints = endpoints(routes)

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	// The path is matched as it was sent, and each parameter decoded once: "%2F" is
	// part of a name, and a "+" is a space, as old Java clients write it.
	engine.UseEscapedPath = true
	engine.UnescapePathValues = true
	engine.HandleMethodNotAllowed = true
	// Clients do not follow redirects with their credentials.
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	if err := engine.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	engine.Use(
		middleware.NameRequests(opts.RequestContext),
		a.commonHeaders,
		middleware.Access(opts.Logger, opts.Events),
		middleware.AnswerErrors(a.answerError),
		middleware.Recover(opts.Logger, opts.Events),
		middleware.BoundWrites(opts.WriteTimeout),
		middleware.BoundReads(opts.BodyTimeout),
	)
	engine.NoRoute(func(g *gin.Context) { middleware.Fail(g, errNoRoute) })
	engine.NoMethod(func(g *gin.Context) { middleware.Fail(g, errNoMethod) })

	a.registerProbes(engine)
	// Changes may wait for a slow object store; reads do not need it and must not
	// be turned away because of it.
	reads, changes := middleware.Limit(opts.MaxRequests), middleware.Limit(opts.MaxRequests)
	for _, r := range routes {
		if r.action.Class() == authz.ClassNone || r.resource == nil {
			return nil, fmt.Errorf("rest: route %s %s has no action or resource: nobody could be asked for the right to it", r.method, r.path)
		}
		limit := reads
		if r.change {
			limit = changes
		}
		engine.Handle(r.method, ginPath(r.path), noteRoute(r.path), limit, a.serve(r))
	}
	return engine, nil
}

func noteRoute(template string) gin.HandlerFunc {
	return func(g *gin.Context) { middleware.SetRoute(g, template) }
}

// commonHeaders are those of every answer. What a principal gets is nobody
// else's, and is good only as long as the catalog says so.
func (a *api) commonHeaders(g *gin.Context) {
	h := g.Writer.Header()
	h.Set(NodeHeader, a.opts.NodeID)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization, X-API-Key, X-Iceberg-Access-Delegation, Accept-Encoding, "+ConsistencyHeader)
	h.Set("X-Content-Type-Options", "nosniff")
}
