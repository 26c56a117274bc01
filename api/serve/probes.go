package serve

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
)

// registerProbes adds what is answered to everybody: a supervisor that asks
// whether the process lives has no key.
func (s *server) registerProbes(engine *gin.Engine) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		engine.Handle(method, "/health", noteRoute("/health"), func(g *gin.Context) {
			WriteJSON(g, http.StatusOK, status{Status: "up"})
		})
		engine.Handle(method, "/ready", noteRoute("/ready"), s.ready)
	}
	if s.opts.Metrics != nil {
		engine.GET("/metrics", noteRoute("/metrics"), gin.WrapH(s.opts.Metrics))
	}
	for _, r := range s.opts.Open {
		engine.Handle(r.Method, r.Path, noteRoute(r.Path), r.Handle)
	}
}

type status struct {
	Status string `json:"status"`
	// Warnings are no reason to send requests elsewhere.
	Warnings []string `json:"warnings,omitempty"`
}

func (s *server) ready(g *gin.Context) {
	if err := s.opts.Ready(); err != nil {
		middleware.Fail(g, fmt.Errorf("%w: %w", errNotReady, err))
		return
	}
	WriteJSON(g, http.StatusOK, status{Status: "ready", Warnings: s.opts.Warnings()})
}
