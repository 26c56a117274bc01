package middleware

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"
)

// ErrPanic is what a request is answered with whose handler panicked.
var ErrPanic = errors.New("panic")

// Recover turns a panic into an error of the request and a log line with the
// stack. An answer that was already begun can't be mended: its connection is
// broken instead, so that the client does not take a part for the whole.
func Recover(logger *slog.Logger, events Events) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			ctx := c.Request.Context()
			logger.LogAttrs(ctx, slog.LevelError, "panic while answering a request",
				slog.String("request_id", RequestID(ctx)),
				slog.String("method", knownMethod(c.Request.Method)),
				slog.String("path", c.Request.URL.EscapedPath()),
				slog.Any("panic", v),
				slog.String("stack", string(debug.Stack())))
			if events.Panicked != nil {
				events.Panicked()
			}
			if c.Writer.Written() {
				panic(http.ErrAbortHandler)
			}
			Fail(c, fmt.Errorf("%w: %v", ErrPanic, v))
		}()
		c.Next()
	}
}
