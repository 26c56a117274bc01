package middleware

import (
	"errors"

	"github.com/gin-gonic/gin"
)

// ErrBusy is returned when as many requests are under way as are allowed, or
// their bodies take as much memory: nothing was begun.
var ErrBusy = errors.New("too many requests are under way")

// Limit lets at most n requests through at once and fails the others at once:
// a queue here would only hide the load from the client.
func Limit(n int) gin.HandlerFunc {
	slots := make(chan struct{}, n)
	return func(c *gin.Context) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			c.Next()
		default:
			Fail(c, ErrBusy)
		}
	}
}
