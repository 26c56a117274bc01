package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// The first byte on a connection, inside TLS where there is TLS, says what it is
// for. A connection that begins with anything else is closed.
const (
	streamRaft byte = 0x01
	streamCall byte = 0x02
)

const (
	// handshakeTimeout bounds TLS and the first byte: a peer that connects and
	// says nothing must not hold anything for long.
	handshakeTimeout = 5 * time.Second
	// maxHandshakes bounds connections that have not said what they are for.
	maxHandshakes = 256
	// idleProbe and the others let the kernel notice a peer that is gone without
	// a word within three seconds.
	idleProbe     = time.Second
	probeInterval = time.Second
	probeCount    = 2
)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: idleProbe, Interval: probeInterval, Count: probeCount,
	}}
	return d.DialContext(ctx, "tcp", address)
}

// port is the one cluster port: it accepts connections, does TLS and hands them
// to whom they are for, and it dials the same way.
type port struct {
	listener  net.Listener
	advertise string
	tls       *credentials
	dialer    Dial
	logger    *slog.Logger

	// takes tells whether a stream of Raft is for this node.
	takes func(hash []byte, node string) error

	raft *lane
	call *lane

	mu     sync.Mutex
	conns  map[*trackedConn]struct{}
	closed bool
	wg     sync.WaitGroup
	slots  chan struct{}
}

func openPort(opts Options, takes func(hash []byte, node string) error) (*port, error) {
	p := &port{
		takes:  takes,
		dialer: opts.Dial,
		logger: opts.Logger.With("component", "port"),
		conns:  make(map[*trackedConn]struct{}),
		slots:  make(chan struct{}, maxHandshakes),
	}
	if opts.TLS != nil {
		creds, err := newCredentials(*opts.TLS, p.logger, &opts.Events, p.recheck)
		if err != nil {
			return nil, err
		}
		p.tls = creds
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: idleProbe, Interval: probeInterval, Count: probeCount,
	}}
	l, err := lc.Listen(context.Background(), "tcp", opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: cluster address: %w", err)
	}
	p.listener = l
	p.advertise = advertised(opts.Advertise, l.Addr())
	addr := nodeAddr(p.advertise)
	p.raft = newLane(addr)
	p.call = newLane(addr)
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// advertised fills in the port that the system chose where 0 was asked for.
func advertised(address string, bound net.Addr) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "0" {
		return address
	}
	_, port, err = net.SplitHostPort(bound.String())
	if err != nil {
		return address
	}
	return net.JoinHostPort(host, port)
}

func (p *port) accept() {
	defer p.wg.Done()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, mostly: others need the time to free some.
			p.logger.Error("a connection was not accepted", "error", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		select {
		case p.slots <- struct{}{}:
		default:
			p.logger.Warn("too many connections wait for their handshake", "remote", conn.RemoteAddr().String())
			_ = conn.Close() // refused: there is nothing to tell it
			continue
		}
		tracked, ok := p.track(conn)
		if !ok {
			<-p.slots
			return
		}
		p.wg.Add(1)
		go p.sort(tracked)
	}
}

// sort finds out what a connection is for, off the accept loop.
func (p *port) sort(raw *trackedConn) {
	defer p.wg.Done()
	kind, conn, err := p.greet(raw)
	<-p.slots
	if err != nil {
		// A port scan or a client of something else; nothing that operators act on.
		p.logger.Debug("a connection was refused", "remote", conn.RemoteAddr().String(), "error", err)
		_ = conn.Close()
		return
	}
	to := p.raft
	if kind == streamCall {
		to = p.call
	}
	if !to.offer(conn) {
		_ = conn.Close()
	}
}

func (p *port) greet(raw *trackedConn) (byte, net.Conn, error) {
	var conn net.Conn = raw
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return 0, conn, err
	}
	if p.tls != nil {
		secured := tls.Server(conn, p.tls.server())
		err := secured.Handshake()
		if err == nil {
			err = p.admit(raw, peerOf{secured.ConnectionState().PeerCertificates, x509.ExtKeyUsageClientAuth})
		}
		if err != nil {
			return 0, conn, err
		}
		conn = &secretConn{secured}
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return 0, conn, err
	}
	switch first[0] {
	case streamCall:
	case streamRaft:
		hash, node, err := readGreeting(conn)
		if err == nil {
			err = p.takes(hash, node)
		}
		if err != nil {
			return 0, conn, err
		}
	default:
		return 0, conn, fmt.Errorf("stream kind %#x is not known", first[0])
	}
	return first[0], conn, conn.SetDeadline(time.Time{})
}

// secretConn hides that there is TLS from net/http, which would negotiate the
// protocol there; the first byte has done that.
type secretConn struct{ net.Conn }

// dial opens a connection to another node, which begins with its kind.
func (p *port) dial(ctx context.Context, address string, begin []byte) (net.Conn, error) {
	raw, err := p.dialer(ctx, address)
	if err != nil {
		return nil, err
	}
	tracked, ok := p.track(raw)
	if !ok {
		return nil, ErrClosed
	}
	var conn net.Conn = tracked
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if p.tls != nil {
		secured := tls.Client(conn, p.tls.client())
		err := secured.HandshakeContext(ctx)
		if err == nil {
			err = p.admit(tracked, peerOf{secured.ConnectionState().PeerCertificates, x509.ExtKeyUsageServerAuth})
		}
		if err != nil {
			_ = conn.Close() // the handshake's error is the one to tell
			return nil, err
		}
		conn = &secretConn{secured}
	}
	if _, err := conn.Write(begin); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// track remembers a connection until it is closed, so that close can end them
// all: raft's handlers and pools would otherwise wait for the other side.
func (p *port) track(conn net.Conn) (*trackedConn, bool) {
	tracked := &trackedConn{Conn: conn, port: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return nil, false
	}
	p.conns[tracked] = struct{}{}
	return tracked, true
}

type trackedConn struct {
	net.Conn
	port *port
	peer *peerOf // nil before it is known; guarded by port.mu
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.port.mu.Lock()
	delete(c.port.conns, c)
	c.port.mu.Unlock()
	return c.Conn.Close()
}

// stopAccepting closes the listener; open connections go on.
func (p *port) stopAccepting() {
	_ = p.listener.Close() // it can only be closed already
}

// close ends everything.
func (p *port) close() {
	p.stopAccepting()
	p.mu.Lock()
	p.closed = true
	conns := make([]net.Conn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // the other side sees it either way
	}
	p.raft.shut()
	p.call.shut()
	p.wg.Wait()
}

// nodeAddr is an advertised address.
type nodeAddr string

// Network implements net.Addr.
func (nodeAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a nodeAddr) String() string { return string(a) }

// lane is the listener of one kind of stream.
type lane struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newLane(addr net.Addr) *lane {
	return &lane{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *lane) offer(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed:
		return false
	}
}

func (l *lane) shut() { l.once.Do(func() { close(l.closed) }) }

// Accept implements net.Listener.
func (l *lane) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *lane) Close() error {
	l.shut()
	return nil
}

// Addr implements net.Listener: where others reach it, which raft tells them.
func (l *lane) Addr() net.Addr { return l.addr }
