package storage

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
)

// webStore keeps objects in a store that we speak to in plain HTTP, without a
// client library: what is done around each request is here, what the requests
// look like is the dialect's.
type webStore struct {
	dialect dialect
	lane    *lane
	client  *http.Client
}

// dialect is the protocol of one kind of store. Each method sends one request
// and classifies how it ended.
type dialect interface {
	// create writes a new object; errTaken where there is one.
	create(ctx context.Context, location string, body []byte) error

	// fetch opens an object, or what header asks for of it. What is none to us, such
	// as a folder, is ErrNotFound.
	fetch(ctx context.Context, location string, header http.Header) (*http.Response, error)

	// look asks whether there is an object; ErrNotFound where there is none.
	look(ctx context.Context, location string) error

	// erase removes an object; it may give ErrNotFound where there is none.
	erase(ctx context.Context, location string) error

	// eraseMany removes up to batch objects of one bucket, and returns those that
	// the answer did not confirm.
	eraseMany(ctx context.Context, bucket string, locations []string) (left []string, err error)
	batch() int

	// page lists objects below a location from where the last page ended, and tells
	// where the next one begins; "" at both ends.
	page(ctx context.Context, location, from string) (objects []Object, next string, err error)

	// initiate begins an object of several parts; errTaken where there is one already,
	// if the store says so at this time.
	initiate(ctx context.Context, location string) (transfer, error)

	// renew drops credentials that the store no longer accepts.
	renew()
}

func newWebStore(cfg Config, d dialect, client *http.Client) *webStore {
	return &webStore{
		dialect: d,
		client:  client,
		lane:    &lane{gate: newGate(cfg.MaxConcurrent, cfg.MaxQueued), timeouts: cfg.Timeouts},
	}
}

// webCall runs an operation with retries.
func webCall[T any](ctx context.Context, s *webStore, size int64, attempt func(context.Context, *budget) (T, error)) (T, error) {
	var value T
	err := s.lane.timeouts.retry(ctx, func(int) (err error) {
		value, err = webOnce(ctx, s, size, attempt)
		return err
	})
	return value, err
}

// webOnce makes one attempt.
func webOnce[T any](ctx context.Context, s *webStore, size int64, attempt func(context.Context, *budget) (T, error)) (T, error) {
	value, err := run(ctx, s.lane, size, attempt)
	if errors.Is(err, errExpired) {
		s.dialect.renew() // The next attempt fetches new ones.
	}
	return value, err
}

// nothing is for what only succeeds or fails.
type nothing = struct{}

func (s *webStore) put(ctx context.Context, location string, body []byte) error {
	return s.lane.timeouts.retry(ctx, func(n int) error {
		_, err := webOnce(ctx, s, int64(len(body)), func(ctx context.Context, _ *budget) (nothing, error) {
			return nothing{}, s.dialect.create(ctx, location, body)
		})
		switch {
		case errors.Is(err, errTaken):
			return taken(n, body, func() ([]byte, error) {
				return webOnce(ctx, s, int64(len(body)), func(ctx context.Context, b *budget) ([]byte, error) {
					return s.download(ctx, b, location, int64(len(body)))
				})
			})
		}
		return noBucket(err)
	})
}

func (s *webStore) get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	return webCall(ctx, s, 0, func(ctx context.Context, b *budget) ([]byte, error) {
		return s.download(ctx, b, location, maxBytes)
	})
}

func (s *webStore) download(ctx context.Context, b *budget, location string, maxBytes int64) ([]byte, error) {
	response, err := s.dialect.fetch(ctx, location, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	b.extend(response.ContentLength)
	body, err := readAtMost(response.Body, response.ContentLength, maxBytes)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return nil, classifyTransport(err)
	}
	return body, err
}

func (s *webStore) exists(ctx context.Context, location string) (bool, error) {
	_, err := webCall(ctx, s, 0, func(ctx context.Context, _ *budget) (nothing, error) {
		return nothing{}, s.dialect.look(ctx, location)
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *webStore) remove(ctx context.Context, location string) error {
	_, err := webCall(ctx, s, 0, func(ctx context.Context, _ *budget) (nothing, error) {
		return nothing{}, s.dialect.erase(ctx, location)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// removeMany deletes with requests that name many objects. What such a request
// does not confirm is deleted by one of its own, which tells apart properly what
// can't be deleted.
func (s *webStore) removeMany(ctx context.Context, locations []string) error {
	byBucket := make(map[string][]string)
	for _, location := range locations {
		bucket, _ := splitBucket(location)
		byBucket[bucket] = append(byBucket[bucket], location)
	}
	for bucket, all := range byBucket {
		for chunk := range slices.Chunk(all, s.dialect.batch()) {
			// A store deletes one after the other: the time grows with their number.
			const perKey = 16 << 10
			left, err := webCall(ctx, s, int64(len(chunk))*perKey, func(ctx context.Context, _ *budget) ([]string, error) {
				return s.dialect.eraseMany(ctx, bucket, chunk)
			})
			if errors.Is(err, errUnsupported) {
				left, err = chunk, nil
			}
			if err != nil {
				return err
			}
			for _, location := range left {
				if err := s.remove(ctx, location); err != nil {
					return fmt.Errorf("%q: %w", location, err)
				}
			}
		}
	}
	return nil
}

// ensureFolder does nothing: an object that pretends to be a folder would make
// engines think that the location is not empty.
func (s *webStore) ensureFolder(context.Context, string) error { return nil }

// list asks for one page at a time, each with retries and a slot of its own,
// so that a consumer may take its time between two objects.
func (s *webStore) list(ctx context.Context, location string) iter.Seq2[Object, error] {
	type listed struct {
		objects []Object
		next    string
	}
	return func(yield func(Object, error) bool) {
		for from := ""; ; {
			p, err := webCall(ctx, s, 0, func(ctx context.Context, _ *budget) (p listed, err error) {
				p.objects, p.next, err = s.dialect.page(ctx, location, from)
				return p, err
			})
			if err != nil {
				yield(Object{}, noBucket(err))
				return
			}
			for _, object := range p.objects {
				if !yield(object, nil) {
					return
				}
			}
			if p.next == "" {
				return
			}
			from = p.next
		}
	}
}

func (s *webStore) close() error {
	s.client.CloseIdleConnections()
	return nil
}

// newWebClient makes the HTTP client of a store. A redirect is an answer like any
// other: following one would carry credentials to where nobody sent them.
func newWebClient(cfg Config, transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = newTransport(cfg)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exchange sends a request. Errors of the client repeat its URL, which may hold a
// signature that is as good as a password, and are said without.
func exchange(client *http.Client, r *http.Request) (*http.Response, error) {
	response, err := client.Do(r)
	var inner *url.Error
	if errors.As(err, &inner) {
		err = fmt.Errorf("%s %s: %w", r.Method, r.URL.Host, inner.Err)
	}
	return response, err
}

// maxAnswer bounds what is read of an answer that is no object: a page of a
// thousand keys of the longest kind, with what XML and JSON make of them.
const maxAnswer = 16 << 20

// readAnswer reads an answer that is no object and closes it.
func readAnswer(response *http.Response) ([]byte, error) {
	defer response.Body.Close()
	body, err := readAtMost(response.Body, -1, maxAnswer)
	if err != nil {
		return nil, classifyTransport(err)
	}
	return body, nil
}

// refusal is an answer that is no success, as it was read.
type refusal struct {
	status        int
	code, message string
}

// classify gives a refusal its class by its HTTP status; what a store says by
// other means its dialect looks at first.
func (r refusal) classify() error {
	switch {
	case r.status == http.StatusNotFound:
		return ErrNotFound
	case r.status == http.StatusPreconditionFailed:
		return &failure{kind: ErrExists, cause: errTaken}
	case r.status == http.StatusUnauthorized:
		return &failure{kind: ErrDenied, cause: fmt.Errorf("%w: %w", errExpired, r.cause()), retry: true}
	case r.status == http.StatusRequestedRangeNotSatisfiable:
		return &failure{kind: ErrUnavailable, cause: fmt.Errorf("%w: %w", errRange, r.cause())}
	case r.status == http.StatusRequestEntityTooLarge:
		return &failure{kind: ErrTooLarge, cause: r.cause()}
	case r.status == http.StatusNotImplemented, r.status == http.StatusMethodNotAllowed:
		return &failure{kind: ErrDenied, cause: fmt.Errorf("%w: %w", errUnsupported, r.cause())}
	case r.status == http.StatusRequestTimeout, r.status == http.StatusConflict, r.status == http.StatusTooManyRequests,
		r.status == http.StatusTemporaryRedirect, r.status >= 500:
		return &failure{kind: ErrUnavailable, cause: r.cause(), retry: true}
	default:
		return &failure{kind: ErrDenied, cause: r.cause()}
	}
}

func (r refusal) cause() error {
	return fmt.Errorf("the store answered %s", sayAnswer(r.status, r.code, r.message))
}

// md5Of is what a store compares a body with after its journey.
func md5Of(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// newWebRequest makes a request whose body is parts, one after the other without a
// copy. It can be sent again, as the transport does when a connection that was kept
// turns out to be dead.
func newWebRequest(ctx context.Context, method, target string, parts ...[]byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		return nil, &failure{kind: ErrInvalidLocation, cause: err}
	}
	for _, part := range parts {
		r.ContentLength += int64(len(part))
	}
	if r.ContentLength == 0 {
		return r, nil
	}
	r.GetBody = func() (io.ReadCloser, error) {
		readers := make([]io.Reader, len(parts))
		for i, part := range parts {
			readers[i] = bytes.NewReader(part)
		}
		return io.NopCloser(io.MultiReader(readers...)), nil
	}
	r.Body, err = r.GetBody()
	return r, err
}
