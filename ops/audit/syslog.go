package audit

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Syslog speaks RFC 5424 to a collector: over UDP a datagram each, over TCP and
// unix streams with the length before each message (RFC 6587), so that none can run
// into the next.
type Syslog struct {
	network, address string
	timeout          time.Duration
	now              func() time.Time
	host             string

	conn net.Conn
}

const (
	syslogTimeout = 5 * time.Second
	syslogPort    = "514"
	maxDatagram   = 60 << 10
	// syslogPriority is facility 13, "log audit", at severity 6, informational.
	syslogPriority = 13*8 + 6
)

// ParseSyslog reads syslog://HOST[:PORT] (UDP), syslog+tcp://HOST[:PORT], or
// syslog+unix:///PATH of a local socket.
func ParseSyslog(text string) (network, address string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", errBadSyslog
	}
	switch u.Scheme {
	case "syslog", "syslog+udp":
		network = "udp"
	case "syslog+tcp":
		network = "tcp"
	case "syslog+unix":
		if u.Host != "" || u.Path == "" {
			return "", "", errBadSyslog
		}
		return "unix", u.Path, nil
	default:
		return "", "", errBadSyslog
	}
	if u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return "", "", errBadSyslog
	}
	port := u.Port()
	if port == "" {
		port = syslogPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", errBadSyslog
	}
	return network, net.JoinHostPort(u.Hostname(), port), nil
}

var errBadSyslog = errors.New("expected syslog://HOST:PORT, syslog+tcp://HOST:PORT or syslog+unix:///PATH")

// NewSyslog makes a sink of a collector. It connects when there is something to
// write: a collector that is down does not keep a node from starting.
func NewSyslog(text string, now func() time.Time) (*Syslog, error) {
	network, address, err := ParseSyslog(text)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return &Syslog{network: network, address: address, timeout: syslogTimeout, now: now, host: token(host)}, nil
}

// token is text as the header of a message may hold it.
func token(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7F {
			return '_'
		}
		return r
	}, text[:min(len(text), 255)])
}

// Name implements Sink.
func (s *Syslog) Name() string { return "syslog" }

// Write implements Sink. What was sent before a connection broke is sent again over
// the next one: a collector may have a line twice, and has none in part.
func (s *Syslog) Write(lines []byte) error {
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return errors.Join(err, s.Close())
	}
	var framed []byte
	for line := range bytes.Lines(lines) {
		message := s.message(bytes.TrimSuffix(line, []byte("\n")))
		if s.datagrams() {
			// One that is too long for the network would be refused for ever.
			message = message[:min(len(message), maxDatagram)]
			if _, err := s.conn.Write(message); err != nil {
				return errors.Join(err, s.Close())
			}
			continue
		}
		framed = append(strconv.AppendInt(framed, int64(len(message)), 10), ' ')
		framed = append(framed, message...)
	}
	if len(framed) == 0 {
		return nil
	}
	if _, err := s.conn.Write(framed); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

func (s *Syslog) datagrams() bool {
	network := s.conn.RemoteAddr().Network()
	return network == "udp" || network == "unixgram"
}

// message is a line with its header: the record's own time is in the line.
func (s *Syslog) message(line []byte) []byte {
	out := fmt.Appendf(make([]byte, 0, len(line)+128), "<%d>1 %s %s floeberg %d audit - ",
		syslogPriority, s.now().UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, os.Getpid())
	return append(out, line...)
}

func (s *Syslog) dial() error {
	networks := []string{s.network}
	if s.network == "unix" { // most local ones take datagrams
		networks = []string{"unixgram", "unix"}
	}
	var errs []error
	for _, network := range networks {
		conn, err := net.DialTimeout(network, s.address, s.timeout)
		if err == nil {
			s.conn = conn
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Sync implements Sink: a collector's disk is its own affair.
func (s *Syslog) Sync() error { return nil }

// Reopen implements Sink.
func (s *Syslog) Reopen() error { return s.Close() }

// Close implements Sink.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
