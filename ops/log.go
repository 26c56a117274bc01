package ops

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// The log formats.
const (
	// FormatText is lines for people.
	FormatText = "text"
	// FormatJSON is one JSON object a line.
	FormatJSON = "json"
)

// LogOptions are how a node logs.
type LogOptions struct {
	// Writer is where lines go; each line is one Write.
	Writer io.Writer
	// Format is FormatText, the default, or FormatJSON.
	Format string
	// Level is the least level that is logged; changing it takes effect at once.
	Level *slog.LevelVar
	// RequestID gives the id of the request that a context belongs to, or "": it
	// is added to every line that is logged with that context.
	RequestID func(context.Context) string
}

// NewLogger makes the logger that all rooms of a node share.
func NewLogger(opts LogOptions) (*slog.Logger, error) {
	handlerOptions := &slog.HandlerOptions{}
	if opts.Level != nil {
		handlerOptions.Level = opts.Level
	}
	var handler slog.Handler
	switch opts.Format {
	case FormatText, "":
		handler = slog.NewTextHandler(opts.Writer, handlerOptions)
	case FormatJSON:
		handler = slog.NewJSONHandler(opts.Writer, handlerOptions)
	default:
		return nil, fmt.Errorf("ops: unknown log format %q", opts.Format)
	}
	if opts.RequestID != nil {
		handler = &requestIDHandler{Handler: handler, requestID: opts.RequestID}
	}
	return slog.New(handler), nil
}

// RequestIDKey is the attribute under which lines carry their request's id.
const RequestIDKey = "request_id"

// requestIDHandler adds the request's id where the line does not have it yet.
type requestIDHandler struct {
	slog.Handler
	requestID func(context.Context) string
	has       bool // among the attributes of With
}

// Handle implements slog.Handler.
func (h *requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := h.requestID(ctx); id != "" && !h.has && !carriesID(record) {
		record = record.Clone()
		record.AddAttrs(slog.String(RequestIDKey, id))
	}
	return h.Handler.Handle(ctx, record)
}

func carriesID(record slog.Record) bool {
	found := false
	record.Attrs(func(a slog.Attr) bool {
		found = a.Key == RequestIDKey
		return !found
	})
	return found
}

// WithAttrs implements slog.Handler.
func (h *requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	has := h.has
	for _, a := range attrs {
		has = has || a.Key == RequestIDKey
	}
	return &requestIDHandler{Handler: h.Handler.WithAttrs(attrs), requestID: h.requestID, has: has}
}

// WithGroup implements slog.Handler.
func (h *requestIDHandler) WithGroup(name string) slog.Handler {
	return &requestIDHandler{Handler: h.Handler.WithGroup(name), requestID: h.requestID, has: h.has}
}
