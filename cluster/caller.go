package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	// maxCallBytes bounds a node-to-node message: the largest transaction and room.
	maxCallBytes = 80 << 20
	// dialTimeout bounds a connection with its handshake.
	dialTimeout = 2 * time.Second
	// pingAfter and pingTimeout are how long a connection may be silent before it
	// is asked whether it lives, and how long that may take.
	pingAfter   = time.Second
	pingTimeout = time.Second

	headerCluster = "Floeberg-Cluster"
	contentType   = "application/x-protobuf"
)

// The node-to-node calls. A path is a name that old and new programs share.
const (
	pathBelonging  = "/cluster/v1/belonging"
	pathHello      = "/cluster/v1/hello"
	pathKeyring    = "/cluster/v1/keyring"
	pathMembership = "/cluster/v1/membership"
	pathOverview   = "/cluster/v1/overview"
	pathPropose    = "/cluster/v1/propose"
	pathReadIndex  = "/cluster/v1/read-index"
	pathStatus     = "/cluster/v1/status"
	pathVerify     = "/cluster/v1/verify"
	pathCondemn    = "/cluster/v1/condemn"
)

func callProtocols() *http.Protocols {
	p := new(http.Protocols)
	// TLS, where there is any, is below: the cluster port does it for all streams.
	p.SetUnencryptedHTTP2(true)
	return p
}

// caller makes calls to other nodes over one kept connection each.
type caller struct {
	transport *http.Transport
	clusterID func() string

	mu       sync.Mutex
	attempts map[*attempt]struct{}
}

// attempt is a call that is only worth its wait as long as its target leads.
type attempt struct {
	target string
	cancel context.CancelCauseFunc
}

var errLeaderMoved = errors.New("another node leads now")

func newCaller(p *port, clusterID func() string) *caller {
	return &caller{
		clusterID: clusterID,
		attempts:  make(map[*attempt]struct{}),
		transport: &http.Transport{
			Protocols: callProtocols(),
			HTTP2:     &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: transportTimeout},
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				conn, err := p.dial(ctx, address, []byte{streamCall})
				if err != nil {
					return nil, fmt.Errorf("%w: %w", errNotDialled, err)
				}
				return conn, nil
			},
		},
	}
}

// call makes one call. An error that is errNotDialled is certain not to have
// reached the other side; any other may have.
func (c *caller) call(ctx context.Context, address, path string, in, out proto.Message) error {
	body, err := proto.Marshal(in)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotDialled, err)
	}
	target := url.URL{Scheme: "http", Host: address, Path: path}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errNotDialled, err)
	}
	req.Header.Set("Content-Type", contentType)
	if id := c.clusterID(); id != "" {
		req.Header.Set(headerCluster, id)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("call to %s: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }() // what was read is what counts
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxCallBytes))
	if err != nil {
		return fmt.Errorf("answer from %s: %w", address, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		if err := proto.Unmarshal(data, out); err != nil {
			return fmt.Errorf("answer from %s: %w", address, err)
		}
		return nil
	case http.StatusMisdirectedRequest:
		return fmt.Errorf("%w: %s: %w", errNotDialled, address, errOtherCluster)
	default:
		return fmt.Errorf("answer from %s: %s: %s", address, resp.Status, bytes.TrimSpace(data))
	}
}

// whileLeading returns a context that ends as well when a node other than target
// becomes the leader: a paused leader would otherwise keep its callers waiting.
func (c *caller) whileLeading(ctx context.Context, target string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &attempt{target: target, cancel: cancel}
	c.mu.Lock()
	c.attempts[a] = struct{}{}
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		delete(c.attempts, a)
		c.mu.Unlock()
		cancel(nil)
	}
}

// leads ends the attempts at any other node.
func (c *caller) leads(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.attempts {
		if a.target != id {
			a.cancel(errLeaderMoved)
		}
	}
}

func (c *caller) close() { c.transport.CloseIdleConnections() }
