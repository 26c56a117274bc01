package middleware

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
)

// ErrOrigin is returned when a page of another origin has a browser change something.
var ErrOrigin = errors.New("requests from pages of other origins are not taken")

// What pages of allowed origins may send and read, besides what any page may, and
// for how many seconds their browsers remember it.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Encoding, Content-Type, Floeberg-Consistency, Idempotency-Key, If-None-Match, X-Api-Key, X-Iceberg-Access-Delegation, X-Iceberg-Client-Capabilities, X-Request-Id"
	corsExposed = "ETag, Floeberg-Index, Floeberg-Node, Idempotency-Key-Used, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
	corsMaxAge  = "600"
)

// Origins decides for which pages of others a browser may speak to this node. Those
// of the allowed ones may do what any client may. From all others nothing is
// taken that could change something, whoever the browser says that it is: where
// authentication is off, or a network is trusted, any page on the web could else
// use a visitor's browser to get in. No cookies are used, so none are allowed.
func Origins(allowed []string) gin.HandlerFunc {
	known := make(map[string]bool, len(allowed))
	for _, origin := range allowed {
		known[origin] = true
	}
	foreign := http.NewCrossOriginProtection()
	return func(c *gin.Context) {
		h := c.Writer.Header()
		if len(known) > 0 {
			h.Add("Vary", "Origin")
		}
		origin := c.Request.Header.Get("Origin")
		switch {
		case known[origin]:
			h.Set("Access-Control-Allow-Origin", origin)
			if c.Request.Method == http.MethodOptions && c.Request.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", corsMethods)
				h.Set("Access-Control-Allow-Headers", corsHeaders)
				h.Set("Access-Control-Max-Age", corsMaxAge)
				c.Writer.WriteHeader(http.StatusNoContent)
				c.Writer.WriteHeaderNow()
				c.Abort()
				return
			}
			h.Set("Access-Control-Expose-Headers", corsExposed)
		case foreign.Check(c.Request) != nil:
			Fail(c, ErrOrigin)
			return
		}
		c.Next()
	}
}
