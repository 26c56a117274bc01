package middleware

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// What reading a body may end with, beside ErrBusy.
var (
	// ErrBodyTooLarge is returned when a body is over the limit.
	ErrBodyTooLarge = errors.New("request body is too large")
	// ErrBodyCut is returned when a body ends before it is complete.
	ErrBodyCut = errors.New("request body is incomplete")
	// ErrBodyEncoded is returned when a body is compressed in a way we do not read.
	ErrBodyEncoded = errors.New("request body has an unknown encoding")
	// ErrBodyCorrupt is returned when a body is not what its encoding says.
	ErrBodyCorrupt = errors.New("request body can't be decompressed")
	// ErrBodySlow is returned when a body does not arrive in time.
	ErrBodySlow = errors.New("request body did not arrive in time")
)

// BodyEncodings is how bodies may be compressed, as the header Accept-Encoding
// of an answer tells it.
const BodyEncodings = "gzip, identity"

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
	if r.ContentLength > b.maxBytes {
		return nil, release, b.refuse(r)
	}
	from, err := b.source(r)
	if err != nil {
		return nil, release, err
	}
	size := int64(firstRead)
	if !from.compressed && 0 <= r.ContentLength && r.ContentLength < size {
		size = r.ContentLength + 1 // one more, to see the end without growing
	}
	if !hold(size) {
		return nil, release, ErrBusy
	}
	body = make([]byte, 0, size)
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > b.maxBytes:
			return nil, release, b.refuse(r)
		case errors.Is(err, io.EOF):
			return body, release, nil
		case err != nil:
			if err = from.failure(err); errors.Is(err, ErrBodyTooLarge) {
				return nil, release, b.refuse(r)
			}
			return nil, release, err
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

// source is what a body is read from: the wire, or what decompresses it.
type source struct {
	io.Reader
	wire       *wire
	compressed bool
}

// wire is a body as it arrives. It remembers what it broke with, which a
// decompressor may tell in words of its own, and ends a stream that is long and
// holds nothing.
type wire struct {
	io.Reader
	left int64
	err  error
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.left -= int64(n); w.left < 0 {
		err = ErrBodyTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// source is where a request's body comes from. What a decompressor needs for
// itself, some tens of kilobytes, is not counted: requests are.
func (b *Bodies) source(r *http.Request) (*source, error) {
	from := &source{wire: &wire{Reader: r.Body, left: b.maxBytes}}
	switch encodings := strings.Join(r.Header.Values("Content-Encoding"), ", "); strings.ToLower(encodings) {
	case "", "identity":
		from.Reader = from.wire
	case "gzip", "x-gzip":
		from.compressed = true
		unpacked, err := gzip.NewReader(from.wire)
		if err != nil {
			return nil, from.failure(err)
		}
		from.Reader = unpacked
	default:
		return nil, fmt.Errorf("%w %q: these are read: %s", ErrBodyEncoded, encodings, BodyEncodings)
	}
	return from, nil
}

// failure tells what reading a body broke off with.
func (s *source) failure(err error) error {
	if s.wire.err != nil {
		if err = s.wire.err; errors.Is(err, ErrBodyTooLarge) {
			return err
		}
	} else if s.compressed {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it ends before its gzip stream does", ErrBodyCorrupt)
		}
		return fmt.Errorf("%w: %w", ErrBodyCorrupt, err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ErrBodySlow
	}
	return fmt.Errorf("%w: %w", ErrBodyCut, err)
}
