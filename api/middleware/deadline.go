package middleware

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// BoundWrites gives every answer a time by which the client must have taken it,
// so that a client that stops reading does not hold its connection for ever.
func BoundWrites(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		err := http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(d))
		if !usable(err) {
			Fail(c, err)
			return
		}
		c.Next()
	}
}

// unreadBody is how long the server waits for a body that nobody wanted, before
// it sends the answer and closes the connection. It does wait: many clients come
// to read only when all is written.
const unreadBody = 2 * time.Second

// BoundReads gives every body a time by which it must have arrived. Once it has,
// the time is lifted: the server goes on to watch the connection, and a passed
// deadline would look like a client that went away.
func BoundReads(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.Body == nil || c.Request.Body == http.NoBody {
			c.Next()
			return
		}
		body := &boundBody{ReadCloser: c.Request.Body, control: http.NewResponseController(c.Writer)}
		if err := body.setDeadline(time.Now().Add(d)); err != nil {
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
	ended   bool
}

func (b *boundBody) setDeadline(t time.Time) error {
	if err := b.control.SetReadDeadline(t); !usable(err) {
		return err
	}
	return nil
}

func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.ended {
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
