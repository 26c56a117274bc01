package rest

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/rest/wire"
)

// registerProbes adds what is answered to everybody: a supervisor that asks
// whether the process lives has no key.
func (a *api) registerProbes(engine *gin.Engine) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		engine.Handle(method, "/health", noteRoute("/health"), func(g *gin.Context) {
			writeJSON(g, http.StatusOK, status{Status: "up"})
		})
		engine.Handle(method, "/ready", noteRoute("/ready"), a.ready)
	}
	if a.opts.Metrics != nil {
		engine.GET("/metrics", noteRoute("/metrics"), gin.WrapH(a.opts.Metrics))
	}
	engine.POST("/v1/oauth/tokens", noteRoute("/v1/oauth/tokens"), a.tokens)
}

type status struct {
	Status string `json:"status"`
}

func (a *api) ready(g *gin.Context) {
	if err := a.opts.Ready(); err != nil {
		middleware.Fail(g, fmt.Errorf("%w: %w", errNotReady, err))
		return
	}
	writeJSON(g, http.StatusOK, status{Status: "ready"})
}

// tokens tells clients that were given a credential instead of a token what to
// do. They come here before anything else and without a key, and print the text
// of an OAuth error only with this status.
func (a *api) tokens(g *gin.Context) {
	middleware.SetErrorType(g, "unsupported_grant_type")
	writeJSON(g, http.StatusBadRequest, wire.OAuthError{
		Error:       "unsupported_grant_type",
		Description: "This catalog issues no tokens: set the client's property token to an API key, and leave credential unset",
	})
}
