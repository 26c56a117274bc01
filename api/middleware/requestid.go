// Package middleware is what every request passes through, whatever it asks for.
package middleware

import (
	"context"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// RequestIDHeader carries a request's name, which all log lines about it bear on
// whichever node.
const RequestIDHeader = "X-Request-Id"

const maxRequestIDBytes = 128

type requestIDKey struct{}

// WithRequestID puts a request's name into a context.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the name of the request that a context belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// NameRequests gives each request a name: the client's own, where it is fit for
// a header and a log line, else a new one. It goes back in the answer and into
// the request's context; bridge, where it is not nil, hands it to others that
// keep it in a context of their own.
func NameRequests(bridge func(ctx context.Context, id string) context.Context) gin.HandlerFunc {
	return func(c *gin.Context) {
		id := c.Request.Header.Get(RequestIDHeader)
		if !saneRequestID(id) {
			id = uuid.NewString()
		}
		c.Header(RequestIDHeader, id)
		ctx := WithRequestID(c.Request.Context(), id)
		if bridge != nil {
			ctx = bridge(ctx, id)
		}
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

func saneRequestID(id string) bool {
	if id == "" || len(id) > maxRequestIDBytes {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case b == '-', b == '_', b == '.', b == ':', b == '/', b == '+', b == '=', b == '@':
		default:
			return false
		}
	}
	return true
}
