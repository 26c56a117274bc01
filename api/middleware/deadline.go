package middleware

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// writePart is what a client must have taken of an answer before it gets another
// while to take the next.
const writePart = 128 << 10

// BoundWrites gives every answer a time by which the client must have taken it, and
// each part of it a shorter one, so that a client that stops reading, or reads a byte
// now and then, does not hold its connection and what is kept for it.
func BoundWrites(whole, stalled time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		w := &boundWriter{
			ResponseWriter: c.Writer, control: http.NewResponseController(c.Writer),
			end: time.Now().Add(whole), stalled: stalled,
		}
		if err := w.control.SetWriteDeadline(w.end); !usable(err) {
			Fail(c, err)
			return
		}
		c.Writer = w
		c.Next()
	}
}

// boundWriter writes in parts, each with a time of its own.
type boundWriter struct {
	gin.ResponseWriter
	control *http.ResponseController
	end     time.Time // of all
	stalled time.Duration
}

// Unwrap lets http.ResponseController reach what is below.
func (w *boundWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements io.Writer.
func (w *boundWriter) Write(p []byte) (n int, err error) {
	for {
		if err := w.control.SetWriteDeadline(sooner(w.end, w.stalled)); !usable(err) {
			return n, err
		}
		part, err := w.ResponseWriter.Write(p[n:min(len(p), n+writePart)])
		if n += part; err != nil || n == len(p) {
			return n, err
		}
	}
}

// WriteString implements io.StringWriter.
func (w *boundWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// sooner is when a while from now is over, or all of the time is.
func sooner(end time.Time, while time.Duration) time.Time {
	if next := time.Now().Add(while); next.Before(end) {
		return next
	}
	return end
}

// unreadBody is how long the server waits for a body that nobody wanted, before
// it sends the answer and closes the connection. It does wait: many clients come
// to read only when all is written.
const unreadBody = 2 * time.Second

// BoundReads gives every body a time by which it must have arrived, and a shorter
// one in which something of it must. Once it has, the time is lifted: the server goes
// on to watch the connection, and a passed deadline would look like a client that
// went away.
func BoundReads(whole, stalled time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.Body == nil || c.Request.Body == http.NoBody {
			c.Next()
			return
		}
		body := &boundBody{
			ReadCloser: c.Request.Body, control: http.NewResponseController(c.Writer),
			end: time.Now().Add(whole), stalled: stalled,
		}
		if err := body.setDeadline(body.end); err != nil {
			Fail(c, err)
			return
		}
		c.Request.Body = body
		c.Next()
		if body.ended {
			return
		}
		// A failure leaves the deadline that it has, which is only longer.
		_ = body.setDeadline(time.Now().Add(unreadBody))
	}
}

// boundBody is a body that lifts its own deadline at its end.
type boundBody struct {
	io.ReadCloser
	control *http.ResponseController
	end     time.Time // of all
	stalled time.Duration
	ended   bool
}

func (b *boundBody) setDeadline(t time.Time) error {
	if err := b.control.SetReadDeadline(t); !usable(err) {
		return err
	}
	return nil
}

func (b *boundBody) Read(p []byte) (int, error) {
	if b.ended {
		return b.ReadCloser.Read(p)
	}
	if err := b.setDeadline(sooner(b.end, b.stalled)); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended = true
		if mend := b.setDeadline(time.Time{}); mend != nil {
			return n, mend
		}
	}
	return n, err
}

// usable tells whether a deadline was set, or is not needed: where the writer
// knows none there is no connection to hold.
func usable(err error) bool { return err == nil || errors.Is(err, http.ErrNotSupported) }
