package cluster

import "context"

type requestIDKey struct{}

// WithRequestID returns a context whose calls to other nodes carry the id of the
// request that they are made for.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that WithRequestID put in, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
