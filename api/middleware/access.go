package middleware

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/internal/catalog"
)

const (
	routeKey     = "floeberg.route"
	errorTypeKey = "floeberg.error-type"
	principalKey = "floeberg.principal"
)

// SetRoute notes the template of the route that a request came to.
func SetRoute(c *gin.Context, template string) { c.Set(routeKey, template) }

// SetErrorType notes the type of the error that a request was answered with.
func SetErrorType(c *gin.Context, errorType string) { c.Set(errorTypeKey, errorType) }

// SetPrincipal notes who asked.
func SetPrincipal(c *gin.Context, id string) { c.Set(principalKey, id) }

// Access writes one log line per request and tells events of it. Reads are
// logged at debug level, changes at info, failures of ours at warn: a busy
// catalog reads thousands of times a second, and each change costs a disk sync
// next to which a line is nothing.
func Access(logger *slog.Logger, events Events) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		// Answers that break off end with a panic.
		defer func() { accessed(c, logger, events, time.Since(start)) }()
		c.Next()
	}
}

func accessed(c *gin.Context, logger *slog.Logger, events Events, elapsed time.Duration) {
	route := c.GetString(routeKey)
	if route == "" {
		route = "none"
	}
	method, status := knownMethod(c.Request.Method), c.Writer.Status()
	if events.RequestDone != nil {
		events.RequestDone(Done{
			Method: method, Route: route, Status: status,
			ErrorType: c.GetString(errorTypeKey), Elapsed: elapsed,
		})
	}
	ctx, level := c.Request.Context(), accessLevel(route, method, status)
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", RequestID(ctx)),
		slog.String("method", method),
		slog.String("route", route),
		slog.String("path", c.Request.URL.EscapedPath()),
		slog.Int("status", status),
		slog.Duration("elapsed", elapsed),
		slog.Int("bytes", max(0, c.Writer.Size())),
		slog.String("remote", c.Request.RemoteAddr),
	}
	// Behind proxies that are trusted it is another.
	if from := Client(ctx); from != peerAddress(c.Request.RemoteAddr) {
		attrs = append(attrs, slog.String("client", from.String()))
	}
	if id := c.GetString(principalKey); id != "" {
		attrs = append(attrs, slog.String("principal", id))
	}
	if last := c.Errors.Last(); last != nil {
		attrs = append(attrs, slog.String("error", catalog.Brief(last.Err.Error())))
	}
	logger.LogAttrs(ctx, level, "request", attrs...)
}

func accessLevel(route, method string, status int) slog.Level {
	switch {
	case route == "/ready" || route == "/health":
		// Probes come all the time and have the answer themselves.
		return slog.LevelDebug
	case status >= http.StatusInternalServerError:
		return slog.LevelWarn
	case method == http.MethodGet || method == http.MethodHead:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// knownMethod keeps what clients invent out of logs and labels.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "OTHER"
}
