// Package client asks a floeberg over HTTP: what the commands for people at a
// terminal stand on. It knows several nodes and asks the next one where one is
// gone, and never sends a change twice that may have been made.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Options are what a client is made of.
type Options struct {
	// Addresses are the nodes, such as http://10.0.0.1:8181, asked in this order.
	// Required.
	Addresses []string
	// Key is the API key; "" sends none.
	Key string
	// Warehouse is the one that catalog paths speak of; "" is the server's default.
	Warehouse string
	// Timeout bounds each call with all its attempts. Default 45 s: a server gives
	// its own answer within 30.
	Timeout time.Duration
}

const (
	defaultTimeout = 45 * time.Second
	// dialTimeout is for one node: a machine that is gone does not refuse, it keeps
	// silent.
	dialTimeout = 3 * time.Second
	// maxRounds bounds how often all nodes are asked: an election fits in.
	maxRounds = 5
	// The pause between two rounds is as long as the server says, within bounds.
	minPause, maxPause = time.Second, 5 * time.Second
	// maxAnswer is more than any document that a catalog holds.
	maxAnswer = 512 << 20
	// maxErrorText bounds what is shown of an answer that is no error of a catalog.
	maxErrorText = 200
)

// Client asks a set of nodes. It is safe for concurrent use.
type Client struct {
	opts  Options
	bases []string
	reads *http.Client
	// changes each get a connection of their own: what a connection that was kept
	// open breaks at is unclear, and the transport would send them again by itself.
	changes *http.Client

	mu     sync.Mutex
	first  int     // the node that answered last
	config *config // nil until it was asked for
}

// New makes a client. It is closed with Close.
func New(opts Options) (*Client, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	c := &Client{opts: opts}
	for _, address := range opts.Addresses {
		base, err := parseAddress(address)
		if err != nil {
			return nil, err
		}
		c.bases = append(c.bases, base)
	}
	if len(c.bases) == 0 {
		return nil, errors.New("no address is given")
	}
	c.reads, c.changes = newHTTP(false), newHTTP(true)
	return c, nil
}

func newHTTP(oneRequest bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			IdleConnTimeout:     30 * time.Second,
			DisableKeepAlives:   oneRequest,
		},
		// A key goes to the address that it was meant for and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Each gives a client of each node by itself, with its address: for what nodes
// do not share. They are closed with Close.
func (c *Client) Each() map[string]*Client {
	each := make(map[string]*Client, len(c.bases))
	for _, base := range c.bases {
		if _, twice := each[base]; !twice {
			each[base] = &Client{opts: c.opts, bases: []string{base}, reads: newHTTP(false), changes: newHTTP(true)}
		}
	}
	return each
}

// Close gives the connections back.
func (c *Client) Close() { c.reads.CloseIdleConnections() }

// parseAddress reads an address; without a scheme it is one of plain HTTP.
func parseAddress(address string) (string, error) {
	text := strings.TrimSpace(address)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("expected an address such as http://127.0.0.1:8181, not %q", address)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// Get asks for what is under a path and reads it into a value.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) error {
	return c.call(ctx, &request{method: http.MethodGet, path: path, query: query}, into)
}

// Post asks for a change and reads the answer into a value; nil takes none. It
// carries an Idempotency-Key of its own.
func (c *Client) Post(ctx context.Context, path string, body, into any) error {
	return c.change(ctx, http.MethodPost, path, body, into)
}

// Put is Post for what is put in the place of something.
func (c *Client) Put(ctx context.Context, path string, body, into any) error {
	return c.change(ctx, http.MethodPut, path, body, into)
}

// Patch is Post for what is changed in parts.
func (c *Client) Patch(ctx context.Context, path string, body, into any) error {
	return c.change(ctx, http.MethodPatch, path, body, into)
}

// Delete is Post for what is taken away.
func (c *Client) Delete(ctx context.Context, path string) error {
	return c.change(ctx, http.MethodDelete, path, nil, nil)
}

func (c *Client) change(ctx context.Context, method, path string, body, into any) error {
	r := &request{method: method, path: path, key: uuid.NewString()}
	if body != nil {
		var err error
		if r.body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	return c.call(ctx, r, into)
}

// request is one call, however often it is sent.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	body   []byte
	key    string // the Idempotency-Key of a change
}

func (r *request) change() bool { return r.key != "" }

func (c *Client) call(ctx context.Context, r *request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	raw, err := c.ask(ctx, r)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s %s: the answer can't be read: %w", r.method, r.path, err)
	}
	return nil
}

// ask goes round the nodes until one gives an answer that counts. Where none
// does, the error is what a node said, in this round or before, and else why each
// did not answer.
func (c *Client) ask(ctx context.Context, r *request) ([]byte, error) {
	var before *Error // what a node said in the last round
	for round := 1; ; round++ {
		var said *Error
		var silent []error
		for _, i := range c.order() {
			raw, err := c.once(ctx, c.bases[i], r)
			var refusal *Error
			switch {
			case err == nil:
				c.prefer(i)
				return raw, nil
			case errors.As(err, &refusal):
				if !refusal.again(r) {
					c.prefer(i)
					return nil, err
				}
				said = refusal
			case !mayRepeat(r, err):
				return nil, after(cmp.Or(said, before), err)
			default:
				silent = append(silent, err)
			}
			if ctx.Err() != nil {
				break
			}
		}
		switch {
		case said == nil:
			return nil, after(before, errors.Join(silent...))
		case round == maxRounds || !pause(ctx, min(max(said.retryAfter, minPause), maxPause)):
			return nil, said
		}
		before = said
	}
}

// after adds to why a repeat got no answer what a node had said to the request
// before: most often that is the reason.
func after(said *Error, err error) error {
	if said == nil {
		return err
	}
	return fmt.Errorf("%w; before that: %s", err, said.Error())
}

// order is the nodes from the one that answered last, round.
func (c *Client) order() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]int, len(c.bases))
	for i := range out {
		out[i] = (c.first + i) % len(c.bases)
	}
	return out
}

func (c *Client) prefer(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = i
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mayRepeat tells whether a request that got no answer may go to another node:
// a read always, a change only where it was certainly not sent.
func mayRepeat(r *request, err error) bool {
	if !r.change() {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// once sends a request to one node. The error is an *Error where that answered.
func (c *Client) once(ctx context.Context, base string, r *request) ([]byte, error) {
	target := base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if c.opts.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Key)
	}
	by := c.reads
	if r.change() {
		by = c.changes
		req.Header.Set("Idempotency-Key", r.key)
	}
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := by.Do(req)
	if err != nil {
		return nil, noAnswer(base, r, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, noAnswer(base, r, err)
	}
	if slices.Contains([]int{http.StatusOK, http.StatusAccepted, http.StatusNoContent}, res.StatusCode) {
		return raw, nil
	}
	return nil, refusal(base, res, raw)
}

// noAnswer says which node did not answer, and what that means.
func noAnswer(base string, r *request, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without method and URL: the address is said already
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer in time: %w", err)
	case errors.Is(err, context.Canceled):
		err = fmt.Errorf("given up: %w", err)
	case errors.Is(err, io.EOF):
		// The ports of the cluster and of gossip do so, too.
		err = fmt.Errorf("the connection was closed without an answer: is that the node's address for HTTP? (%w)", err)
	}
	if r.change() && !mayRepeat(r, err) {
		return fmt.Errorf("%s: %w; the change may have been made or not: look before you repeat it", base, err)
	}
	return fmt.Errorf("%s: %w", base, err)
}
