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
	w := &streamWriter{begin: func() (*streaming, error) {
		e := c.accepted.best
		to, err := s.packer.stream(e, g.Writer)
		if err == nil {
			s.writeHeaders(g, rep, e)
			g.Writer.WriteHeader(rep.Status)
		}
		return to, err
	}}
	defer w.giveBack()
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
	begin  func() (*streaming, error)
	to     *streaming
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

func (w *streamWriter) giveBack() {
	if w.to != nil {
		w.to.back()
	}
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

// streaming is a body on its way, compressed or not. Close ends the body, not
// what is below it.
type streaming struct {
	io.Writer
	end  func() error
	back func()
}

// Close implements io.Closer.
func (s *streaming) Close() error { return s.end() }

// stream compresses what is written to it. The compressor goes back to its pool
// when the body is done with, whole or broken off: one is a megabyte.
func (p *packer) stream(e encoding, to io.Writer) (*streaming, error) {
	switch e {
	case encodingGzip:
		w, ok := p.gzips.Get().(*gzip.Writer)
		if !ok {
			var err error
			if w, err = gzip.NewWriterLevel(nil, gzipLevel); err != nil {
				return nil, err
			}
		}
		w.Reset(to)
		return &streaming{w, w.Close, func() { w.Reset(nil); p.gzips.Put(w) }}, nil
	case encodingZstd:
		w, ok := p.zstds.Get().(*zstd.Encoder)
		if !ok {
			var err error
			if w, err = zstd.NewWriter(nil, append(zstdOptions(), zstd.WithEncoderConcurrency(1))...); err != nil {
				return nil, err
			}
		}
		w.Reset(to)
		return &streaming{w, w.Close, func() { w.Reset(nil); p.zstds.Put(w) }}, nil
	default:
		return &streaming{to, func() error { return nil }, func() {}}, nil
	}
}
