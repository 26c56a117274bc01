package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// TLSFiles are PEM files for mutual TLS between nodes.
type TLSFiles struct {
	// CA signs the certificates of all nodes and of nothing else: whoever holds a
	// certificate of it is a node. It may be a bundle, of the old and the new one
	// while the authority is changed.
	CA string
	// Cert and Key are this node's certificate chain and its key.
	Cert, Key string
}

// watchEvery is how often the files are looked at.
const watchEvery = time.Second

// bothSides are the usages that a node's certificate must allow: it is shown by
// who dials and by who is dialled.
var bothSides = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// identity is what the files said when they were read: who this node is, and whom
// it trusts. It never changes.
type identity struct {
	cert           *tls.Certificate
	ca             *x509.CertPool
	chain          []*x509.Certificate // from this node's certificate to its authority
	server, client *tls.Config
}

// credentials are the identity that is in force. Files are read again when they
// change and when that is asked for; files that make no sense leave it as it is: a
// renewal that goes wrong must not stop a node.
type credentials struct {
	logger *slog.Logger
	events *Events
	// changed is called when another identity is in force.
	changed func()

	current atomic.Pointer[identity]

	mu     sync.Mutex // one reading at a time
	files  TLSFiles
	seen   fileStamps // what the files were when they were last looked at
	tried  fileStamps // what they were when they were last read
	warned time.Time
}

type fileStamps [3]fileStamp

// fileStamp tells a file from a later one; zero is no file.
type fileStamp struct {
	modified time.Time
	size     int64
}

func newCredentials(files TLSFiles, logger *slog.Logger, events *Events, changed func()) (*credentials, error) {
	c := &credentials{files: files, logger: logger, events: events, changed: changed}
	c.tried = stamps(files)
	c.seen = c.tried
	id, err := c.read(files)
	if err != nil {
		return nil, err
	}
	c.current.Store(id)
	c.warn(time.Now())
	return c, nil
}

func stamps(files TLSFiles) (out fileStamps) {
	for i, name := range []string{files.CA, files.Cert, files.Key} {
		if info, err := os.Stat(name); err == nil {
			out[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return out
}

// read makes an identity of the files, and refuses one that other nodes would
// refuse.
func (c *credentials) read(files TLSFiles) (*identity, error) {
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster: %s, %s: %w", files.Cert, files.Key, err)
	}
	ca, err := readAuthorities(files.CA)
	if err != nil {
		return nil, err
	}
	id := &identity{cert: &cert, ca: ca}
	peer := []*x509.Certificate{cert.Leaf}
	for _, der := range cert.Certificate[1:] {
		between, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("cluster: %s: %w", files.Cert, err)
		}
		peer = append(peer, between)
	}
	for _, usage := range bothSides {
		if id.chain, err = vouched(peer, ca, usage); err != nil {
			return nil, fmt.Errorf("cluster: other nodes would not accept %s: %w", files.Cert, ownFault(err, files))
		}
	}
	id.server = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca,
		// Each connection is authenticated by certificate; a ticket would outlive a
		// change of the authority.
		SessionTicketsDisabled: true,
	}
	id.client = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		// The chain is verified below. The name is not: a node is who the cluster's
		// own authority vouches for, whatever address it has today.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := vouched(state.PeerCertificates, ca, x509.ExtKeyUsageServerAuth)
			return err
		},
	}
	return id, nil
}

// ownFault says what to do about a certificate of this node that is no good.
func ownFault(err error, files TLSFiles) error {
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("no authority in %s signed it: make one with floeberg cert node, or add its authority to that file", files.CA)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: renew it with floeberg cert node --renew", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return errors.New("it must be good for servers and for clients: make one with floeberg cert node")
	}
	return err
}

// readAuthorities reads a bundle. A certificate in it that can't be read is an
// error: to skip it would be to distrust nodes without a word.
func readAuthorities(path string) (*x509.CertPool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	pool := x509.NewCertPool()
	found := false
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cluster: %s: %w", path, err)
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("cluster: %s holds no certificate", path)
	}
	return pool, nil
}

var errNoPeerCertificate = errors.New("the peer shows no certificate")

// vouched verifies what a peer showed, and returns its way to an authority.
func vouched(peer []*x509.Certificate, ca *x509.CertPool, usage x509.ExtKeyUsage) ([]*x509.Certificate, error) {
	if len(peer) == 0 {
		return nil, errNoPeerCertificate
	}
	between := x509.NewCertPool()
	for _, cert := range peer[1:] {
		between.AddCert(cert)
	}
	chains, err := peer[0].Verify(x509.VerifyOptions{Roots: ca, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// watch reads the files again when they have changed, and warns of the end of
// their time, until the context ends.
func (c *credentials) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.look()
			c.warn(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// look reads files that have changed and have then stayed as they are for a
// while: those of one identity are replaced one after the other.
func (c *credentials) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := stamps(c.files)
	settled := stamp == c.seen
	c.seen = stamp
	if settled && stamp != c.tried {
		// Said in the log, and told to Events.
		_ = c.load(c.files, stamp)
	}
}

// reload reads the files now, from other places where they are given.
func (c *credentials) reload(files TLSFiles) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(files, stamps(files))
}

// load puts another identity in force; the mutex is held.
func (c *credentials) load(files TLSFiles, stamp fileStamps) error {
	c.tried, c.seen = stamp, stamp
	id, err := c.read(files)
	c.events.certificatesRead(err)
	if err != nil {
		c.logger.Error("changed certificates are not used; those in force stay", "error", err)
		return err
	}
	c.files = files
	c.current.Store(id)
	c.warned = time.Time{}
	c.logger.Info("the certificates between nodes were read again",
		"serial", id.cert.Leaf.SerialNumber.Text(16), "expires", id.cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	c.changed()
	return nil
}

// server and client are how a connection is secured now.
func (c *credentials) server() *tls.Config { return c.current.Load().server }
func (c *credentials) client() *tls.Config { return c.current.Load().client }

// trusts tells whether a peer that was let in would be let in now.
func (c *credentials) trusts(peer []*x509.Certificate, usage x509.ExtKeyUsage) error {
	_, err := vouched(peer, c.current.Load().ca, usage)
	return err
}
