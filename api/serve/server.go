// Package serve is what all operations have in common: who asks and may they,
// how a request is read and an answer written, and what a client is told of an
// error. It holds no state of its own.
package serve

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/newest"
)

// NodeHeader says which node answered.
const NodeHeader = "Floeberg-Node"

// server is the common ground of all operations.
type server struct {
	opts   Options
	bodies *middleware.Bodies
	packer *packer
	// lineages are the schemas of tables that were loaded with restrictions.
	lineages *newest.Cache[*iceberg.Lineage]
}

// New makes the handler of all paths that this node answers under HTTP.
func New(opts Options, routes []Route) (http.Handler, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	packer, err := newPacker(opts.PackedBytes)
	if err != nil {
		return nil, err
	}
	lineages, err := newest.New[*iceberg.Lineage](lineageBytes)
	if err != nil {
		return nil, fmt.Errorf("serve: cache of schemas: %w", err)
	}
	s := &server{opts: opts, bodies: middleware.NewBodies(opts.MaxBodyBytes, opts.MaxBodyBytesInFlight), packer: packer, lineages: lineages}

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
		middleware.LocateClients(opts.Proxies),
		s.commonHeaders,
		middleware.Access(opts.Logger, opts.Events),
		middleware.AnswerErrors(s.answerError),
		middleware.Recover(opts.Logger, opts.Events),
		middleware.BoundWrites(opts.WriteTimeout, opts.WriteStall),
		middleware.BoundReads(opts.BodyTimeout, opts.BodyStall),
		middleware.BoundHeaders(opts.MaxHeaders),
		opts.Rates.LimitAddresses("/health", "/ready"),
		middleware.Origins(opts.Origins),
	)
	engine.NoRoute(func(g *gin.Context) { middleware.Fail(g, errNoRoute) })
	engine.NoMethod(func(g *gin.Context) { middleware.Fail(g, errNoMethod) })

	s.registerProbes(engine)
	// Changes may wait for a slow object store; reads do not need it and must not
	// be turned away because of it.
	reads, changes := middleware.Limit(opts.MaxRequests), middleware.Limit(opts.MaxRequests)
	for _, r := range routes {
		if r.Action.Class() == authz.ClassNone || r.Resource == nil {
			return nil, fmt.Errorf("serve: route %s %s has no action or resource: nobody could be asked for the right to it", r.Method, r.Path)
		}
		limit := reads
		if r.Change || r.Store {
			limit = changes
		}
		engine.Handle(r.Method, ginPath(r.Path), noteRoute(r.Path), limit, s.serve(r))
	}
	return engine, nil
}

func noteRoute(template string) gin.HandlerFunc {
	return func(g *gin.Context) { middleware.SetRoute(g, template) }
}

// commonHeaders are those of every answer. What a principal gets is nobody
// else's, and is good only as long as the catalog says so.
func (s *server) commonHeaders(g *gin.Context) {
	h := g.Writer.Header()
	h.Set(NodeHeader, s.opts.NodeID)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization, X-API-Key, X-Iceberg-Access-Delegation, Accept-Encoding, "+CapabilitiesHeader+", "+ConsistencyHeader)
	middleware.SecureHeaders(h, g.Request.TLS != nil)
}
