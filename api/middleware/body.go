package middleware

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// What reading a body may end with, beside ErrBusy.
var (
	// ErrBodyTooLarge is returned when a body is over the limit.
	ErrBodyTooLarge = errors.New("request body is too large")
	// ErrBodyCut is returned when a body ends before it is complete.
	ErrBodyCut = errors.New("request body is incomplete")
	// ErrBodyEncoded is returned when a body is compressed in a way we do not read.
	ErrBodyEncoded = errors.New("request body has an unknown encoding")
	// ErrBodySlow is returned when a body does not arrive in time.
	ErrBodySlow = errors.New("request body did not arrive in time")
)

const (
	// firstRead is what a body gets before it has shown that it is larger,
	// whatever its header claims.
	firstRead = 16 << 10
	// drainFactor is how many times the limit is read off the wire and dropped:
	// many clients see a broken connection, and no answer, where the other side
	// stops reading.
	drainFactor = 4
)

// Bodies reads request bodies whole, within limits of size, and of memory for
// all of them together. Their time is BoundReads' matter.
type Bodies struct {
	maxBytes    int64
	maxInFlight int64
	inFlight    atomic.Int64
}

// NewBodies makes a reader for bodies of at most maxBytes; all that are held at
// one time take at most maxInFlight.
func NewBodies(maxBytes, maxInFlight int64) *Bodies {
	// A body that grows is held twice while it is copied.
	return &Bodies{maxBytes: maxBytes, maxInFlight: max(maxInFlight, 2*maxBytes+firstRead)}
}

// MaxBytes is the most that a body may have.
func (b *Bodies) MaxBytes() int64 { return b.maxBytes }

// Read reads a request's body. The caller calls release when it does not need
// the bytes any more, whether or not there was an error.
func (b *Bodies) Read(r *http.Request) (body []byte, release func(), err error) {
	held := int64(0)
	release = func() { b.inFlight.Add(-held) }
	hold := func(n int64) bool {
		if b.inFlight.Add(n) > b.maxInFlight {
			b.inFlight.Add(-n)
			return false
		}
		held += n
		return true
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, release, nil
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, release, fmt.Errorf("%w: send it as it is", ErrBodyEncoded)
	}
	if r.ContentLength > b.maxBytes {
		return nil, release, b.refuse(r)
	}
	size := int64(firstRead)
	if 0 <= r.ContentLength && r.ContentLength < size {
		size = r.ContentLength + 1 // one more, to see the end without growing
	}
	if !hold(size) {
		return nil, release, ErrBusy
	}
	body = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > b.maxBytes:
			return nil, release, b.refuse(r)
		case err == io.EOF:
			return body, release, nil
		case err != nil:
			return nil, release, readFailure(err)
		}
		if len(body) == cap(body) {
			next := min(2*int64(cap(body)), b.maxBytes+1)
			if !hold(next) {
				return nil, release, ErrBusy
			}
			old := int64(cap(body))
			body = append(make([]byte, 0, next), body...)
			b.inFlight.Add(-old)
			held -= old
		}
	}
}

// refuse reads on for a while, so that the client comes to read the answer.
func (b *Bodies) refuse(r *http.Request) error {
	if r.ContentLength <= drainFactor*b.maxBytes {
		// Whether it ends well or not, the answer is the same.
		_, _ = io.CopyN(io.Discard, r.Body, drainFactor*b.maxBytes)
	}
	return fmt.Errorf("%w: at most %d bytes are possible", ErrBodyTooLarge, b.maxBytes)
}

func readFailure(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ErrBodySlow
	}
	return fmt.Errorf("%w: %w", ErrBodyCut, err)
}
