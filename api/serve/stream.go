package serve

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/floeberg/floeberg/api/middleware"
)

// streamBuffer is how much of a body is held before any of it is sent: what is
// not larger is sent as if it had been made at once.
const streamBuffer = 32 << 10

// stream sends a body while it is made.
func (s *server) stream(g *gin.Context, c *Call, rep *Reply) {
	w := &streamWriter{begin: func() (io.WriteCloser, error) {
		e := c.accepted.best
		to, err := s.packer.stream(e, takenWriter{g.Writer})
		if err == nil {
			s.writeHeaders(g, rep, e)
			g.Writer.WriteHeader(rep.Status)
		}
		return to, err
	}}
	start := time.Now()
	err := rep.Stream(w)
	if err == nil {
		err = w.finish()
	}
	switch {
	case err == nil && w.to == nil:
		s.writeBody(g, c, &Reply{Status: rep.Status, Body: [][]byte{w.held.Bytes()}, ETag: rep.ETag, Index: rep.Index})
	case err != nil:
		if w.failed {
			s.notTaken(g.Request.Context(), start, err)
		} else if w.to != nil {
			s.brokenOff(g.Request.Context(), err)
		}
		middleware.Fail(g, err)
	}
}

func (s *server) brokenOff(ctx context.Context, err error) {
	s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "an answer was broken off",
		slog.String("request_id", middleware.RequestID(ctx)), slog.Any("error", err))
}

// streamWriter holds what it gets until it is too much, and sends it from then on.
type streamWriter struct {
	held   bytes.Buffer
	begin  func() (io.WriteCloser, error)
	to     io.WriteCloser
	failed bool // the client does not take it
}

// Write implements io.Writer.
func (w *streamWriter) Write(p []byte) (int, error) {
	n, _ := w.held.Write(p) // it never fails
	if w.held.Len() < streamBuffer {
		return n, nil
	}
	return n, w.flush()
}

func (w *streamWriter) flush() (err error) {
	if w.to == nil {
		if w.to, err = w.begin(); err != nil {
			return err
		}
	}
	if _, err = w.to.Write(w.held.Bytes()); err != nil {
		w.failed = true
	}
	w.held.Reset()
	return err
}

// finish sends what is held, where anything was sent before.
func (w *streamWriter) finish() error {
	if w.to == nil {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	err := w.to.Close()
	w.failed = err != nil
	return err
}

// takenWriter is an answer's body, which ends by itself.
type takenWriter struct{ io.Writer }

// Close implements io.Closer.
func (takenWriter) Close() error { return nil }

// stream compresses what is written to it.
func (p *packer) stream(e encoding, to io.WriteCloser) (io.WriteCloser, error) {
	switch e {
	case encodingGzip:
		return gzip.NewWriterLevel(to, gzipLevel)
	case encodingZstd:
		return zstd.NewWriter(to, append(zstdOptions(), zstd.WithEncoderConcurrency(1))...)
	default:
		return to, nil
	}
}
