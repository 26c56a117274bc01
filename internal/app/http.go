package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/middleware"
)

// Limits of the HTTP server. Bodies and answers have limits of their own, in
// the protocol's handler.
const (
	// headerTimeout is how long a request's head may take.
	headerTimeout = 5 * time.Second
	// idleTimeout is longer than that of common load balancers, so that they, and
	// not we, close connections that nobody uses.
	idleTimeout = 120 * time.Second
	// maxHeaderBytes is for long tokens and long names in paths.
	maxHeaderBytes = 64 << 10
	// maxStreams is how many requests of HTTP/2 may share a connection.
	maxStreams = 128
	// pingAfter is how long an HTTP/2 connection may be silent before it is asked
	// whether anybody is there, and stalled is how long it may take no byte. The
	// deadlines of requests do not hold there for the connection below them.
	pingAfter, stalled = 30 * time.Second, 30 * time.Second
)

// protocols are those that a listener speaks: HTTP/2 is chosen by TLS, or begun
// without asking where there is none.
func protocols() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// listen takes the port of HTTP and answers probes once its door is open.
func (a *App) listen(ctx context.Context) error {
	certificate, err := openCertificate(a.config.TLS, a.config.Walls.TLSMinVersion)
	if err != nil {
		return err
	}
	a.certificate = certificate
	if certificate != nil {
		a.watchCertificate(context.WithoutCancel(ctx), certificate)
	}
	door, err := newDoor(ctx, a.config.HTTP.Listen, a.returning())
	if err != nil {
		return fmt.Errorf("http-listen: %w", err)
	}
	a.door = door
	// However long the steps take that come before the node can hear its leader.
	a.patience = time.AfterFunc(doorPatience, func() {
		if err := door.open(); err != nil {
			a.halt(fmt.Errorf("http-listen: %w", err))
		}
	})
	a.handler = newGate(a.config.NodeID)
	requests, giveUp := context.WithCancel(context.Background())
	a.giveUp = giveUp
	a.server = &http.Server{
		Handler:           a.handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         protocols(),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, WriteByteTimeout: stalled},
		ConnState:         a.metrics.ConnState,
		ErrorLog:          slog.NewLogLogger(a.logger.With(slog.String("room", "http")).Handler(), slog.LevelInfo),
	}
	guests := newGuests(door, a.config.Walls, a.proxies(), a.metrics.ConnectionRefused)
	serve := func() error { return a.server.Serve(guests) }
	if certificate != nil {
		a.server.TLSConfig = certificate.config()
		serve = func() error { return a.server.ServeTLS(guests, "", "") }
	}
	go func() {
		<-door.opened
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			a.halt(fmt.Errorf("serving HTTP: %w", err))
		}
	}()
	// What is left of it when nothing else is: by then it serves nobody.
	a.undo.add("closing the HTTP listener", func(context.Context) error {
		a.patience.Stop()
		giveUp()
		// The server knows of the door only once it serves there.
		return errors.Join(a.server.Close(), door.Close())
	})
	return nil
}

// answerGrace is how long before the end of a stop requests are given up.
const answerGrace = 5 * time.Second

// endHTTP lets requests under way finish. Those that would take too long are given
// up in time to say what is known of them: a broken connection tells a client
// nothing. Where even that does not end them they are broken off.
func (a *App) endHTTP(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.AfterFunc(time.Until(deadline)-answerGrace, a.giveUp)
		defer timer.Stop()
	}
	// The server closes the door where it serves there; one that is still shut would
	// be opened yet.
	err := errors.Join(a.server.Shutdown(ctx), a.door.Close())
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.Join(fmt.Errorf("requests under way did not finish in time: %w", err), a.server.Close())
	}
	return err
}

// maxStartWait bounds how long a request waits for the node to start. Clients
// that reach a restarted node see a pause and no error.
const maxStartWait = 30 * time.Second

// gate answers probes from the start and lets every other request wait until
// the protocol is served: a client that got a connection would take an error for
// the catalog's.
type gate struct {
	node    string
	opened  chan struct{}
	handler http.Handler // set before opened is closed
}

func newGate(node string) *gate { return &gate{node: node, opened: make(chan struct{})} }

// open serves with h from now on. It is called once.
func (g *gate) open(h http.Handler) {
	g.handler = h
	close(g.opened)
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-g.opened:
		g.handler.ServeHTTP(w, r)
		return
	default:
	}
	switch path := strings.TrimSuffix(r.URL.Path, "/"); path {
	case "/health":
		g.answer(w, r, http.StatusOK, `{"status":"ok"}`)
		return
	case "/ready", "/metrics":
	default:
		timer := time.NewTimer(maxStartWait)
		defer timer.Stop()
		select {
		case <-g.opened:
			g.handler.ServeHTTP(w, r)
			return
		case <-r.Context().Done():
		case <-timer.C:
		}
	}
	w.Header().Set("Retry-After", "2")
	g.answer(w, r, http.StatusServiceUnavailable,
		`{"error":{"message":"This node is starting","type":"ServiceUnavailableException","code":503}}`)
}

func (g *gate) answer(w http.ResponseWriter, r *http.Request, status int, body string) {
	middleware.SecureHeaders(w.Header(), r.TLS != nil)
	w.Header().Set("Floeberg-Node", g.node)
	w.Header().Set(middleware.RequestIDHeader, uuid.NewString())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	// Who hung up needs no answer.
	_, _ = io.WriteString(w, body)
}
