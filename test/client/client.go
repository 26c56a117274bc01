// Package client is a small Iceberg REST client for tests: it hides nothing.
// Every answer comes back as it was sent, and the only thing that is tried
// again is what may be tried again: where a connection is refused or breaks,
// the same request, under the same Idempotency-Key, goes to the next node.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Options is whom to ask and as whom.
type Options struct {
	// URLs are the nodes. Requests go round them.
	URLs []string
	// Token is sent as a bearer token; "" sends none.
	Token string
	// Warehouse is the path prefix; "" is "default".
	Warehouse string
	// HTTP sends the requests; nil is a client with its own connections.
	HTTP *http.Client
	// Dial makes those connections; nil dials the address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client asks a set of nodes. It may be used by many goroutines.
type Client struct {
	options Options
	next    atomic.Uint64
}

// New makes a client.
func New(o Options) *Client {
	if o.Warehouse == "" {
		o.Warehouse = "default"
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: 2 * time.Second}).DialContext
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: &http.Transport{
			DialContext:         o.Dial,
			MaxIdleConnsPerHost: 128,
			IdleConnTimeout:     30 * time.Second,
		}}
	}
	return &Client{options: o}
}

// With is a client of the same nodes and connections with changed options.
func (c *Client) With(change func(*Options)) *Client {
	o := c.options
	change(&o)
	return New(o)
}

// Request is one call.
type Request struct {
	Method string
	// Path is sent as it stands, from the leading slash on: encoding is the
	// caller's, so that tests can send what they like. It may hold a query.
	Path string
	// Body is sent as JSON; []byte and string are sent as they are.
	Body any
	// Header is added to the request's.
	Header http.Header
	// Key is the Idempotency-Key. "" mints one for a mutation; "none" sends none.
	Key string
}

func (r Request) changes() bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// NoKey as Request.Key sends no Idempotency-Key.
const NoKey = "none"

// Response is an answer, whatever its status.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// URL is the node that answered; Attempts how many were asked.
	URL      string
	Attempts int
	// Unsure tells that an earlier attempt was sent and broke off: that node may
	// have done what was asked, now or later.
	Unsure bool
}

// Error is the Iceberg error body.
type Error struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    int    `json:"code"`
}

// Error reads the body as an Iceberg error; its zero value where it is none.
func (r *Response) Error() Error {
	var body struct {
		Error Error `json:"error"`
	}
	if json.Unmarshal(r.Body, &body) != nil {
		return Error{}
	}
	return body.Error
}

// String is the answer for messages.
func (r *Response) String() string {
	body := string(r.Body)
	if len(body) > 300 {
		body = body[:300] + "…"
	}
	return fmt.Sprintf("%d %s (from %s)", r.Status, strings.TrimSpace(body), r.URL)
}

// Decode reads the body as JSON.
func (r *Response) Decode(into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return fmt.Errorf("reading %s: %w", r, err)
	}
	return nil
}

// Do asks the next node in turn, and the ones after it while a connection is
// refused or breaks, until ctx ends. An answer of any status ends it. A change
// without a key is not sent again once it may have reached a node.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	return c.DoAt(ctx, int(c.next.Add(1)), r)
}

// DoAt is Do with node i (modulo the number of nodes) as the first.
func (c *Client) DoAt(ctx context.Context, i int, r Request) (*Response, error) {
	body, err := encode(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Key == "" && r.changes() {
		r.Key = uuid.NewString()
	}
	var last error
	unsure := false
	for attempt := 1; ; attempt++ {
		url := c.options.URLs[i%len(c.options.URLs)]
		res, sent, err := c.once(ctx, url, r, body)
		if err == nil {
			res.Attempts, res.Unsure = attempt, unsure
			return res, nil
		}
		if ctx.Err() != nil {
			if last == nil {
				last = err
			}
			return nil, fmt.Errorf("%s %s: gave up after %d attempts: %w", r.Method, r.Path, attempt, last)
		}
		if r.changes() && r.Key == NoKey && sent {
			return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
		}
		last, unsure = err, unsure || sent
		i++
		// All nodes refused once: a short breath before the next round.
		if attempt%len(c.options.URLs) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// once asks one node. Where there is no answer, sent tells whether the node may
// have got the request. The error alone does not tell: where a connection that was
// kept open breaks, net/http sends what has an Idempotency-Key again by itself,
// and a node that is gone by then refuses that.
func (c *Client) once(ctx context.Context, url string, r Request, body []byte) (res *Response, sent bool, err error) {
	var wrote atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	res, err = c.exchange(ctx, url, r, body)
	return res, wrote.Load(), err
}

func (c *Client) exchange(ctx context.Context, url string, r Request, body []byte) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// Opaque is sent as it stands, which net/url would refuse for some paths.
	req.URL.Opaque = r.Path
	req.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.options.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	if r.Key != "" && r.Key != NoKey {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	res, err := c.options.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: raw, URL: url}, nil
}

func encode(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return b, nil
	case string:
		return []byte(b), nil
	default:
		return json.Marshal(b)
	}
}
