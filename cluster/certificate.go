package cluster

import (
	"crypto/x509"
	"fmt"
	"time"
)

// The uses of certificates between nodes.
const (
	// CertificateNode is what this node shows.
	CertificateNode = "cluster_node"
	// CertificateAuthority is what vouches for it.
	CertificateAuthority = "cluster_ca"
)

// expiresSoon is how long before the end of its time a certificate is warned of:
// enough to notice, and to find who can make another one.
const expiresSoon = 30 * 24 * time.Hour

// warnEvery is how often a warning that still holds is logged again.
const warnEvery = 24 * time.Hour

// Certificate is one that this node depends on.
type Certificate struct {
	// Use is CertificateNode or CertificateAuthority.
	Use     string
	Subject string
	Expires time.Time
}

// Warning says what is wrong with the certificate's time, or "".
func (c Certificate) Warning(now time.Time) string {
	what := "the certificate of this node"
	if c.Use == CertificateAuthority {
		what = "the authority of the nodes' certificates"
	}
	left := c.Expires.Sub(now)
	on := c.Expires.UTC().Format(time.DateOnly)
	switch {
	case left <= 0:
		return fmt.Sprintf("%s has expired on %s", what, on)
	case left <= expiresSoon:
		return fmt.Sprintf("%s expires on %s, in %d days", what, on, int(left/(24*time.Hour)))
	}
	return ""
}

// Certificates returns those that are in force between nodes; none without TLS.
func (n *Node) Certificates() []Certificate {
	if n.port.tls == nil {
		return nil
	}
	return n.port.tls.certificates()
}

// ReloadCertificates reads the files now, from other places where they are given.
// On an error those in force stay. Without TLS it does nothing: that takes a restart.
func (n *Node) ReloadCertificates(files TLSFiles) error {
	if n.port.tls == nil {
		return nil
	}
	return n.port.tls.reload(files)
}

func (c *credentials) certificates() []Certificate {
	chain := c.current.Load().chain
	own := Certificate{Use: CertificateNode, Subject: chain[0].Subject.String(), Expires: chain[0].NotAfter}
	root := chain[len(chain)-1]
	// What stands between the two ends with the one that goes first.
	for i := 1; i < len(chain)-1; i++ {
		if between := chain[i]; between.NotAfter.Before(own.Expires) {
			own.Expires = between.NotAfter
		}
	}
	return []Certificate{own, {Use: CertificateAuthority, Subject: root.Subject.String(), Expires: root.NotAfter}}
}

// warn logs what is wrong with the certificates' time, now and then.
func (c *credentials) warn(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.warned) < warnEvery {
		return
	}
	c.warned = now
	for _, cert := range c.certificates() {
		if text := cert.Warning(now); text != "" {
			c.logger.Warn(text, "subject", cert.Subject, "mend", "make a new one, see Certificates in docs/operations.md")
		}
	}
}

// peerOf is whom an open connection goes to, and on which side of it that is.
type peerOf struct {
	chain []*x509.Certificate
	usage x509.ExtKeyUsage
}

// admit notes whom a connection goes to. Whoever is no longer trusted by the time
// that this is noted is not let in: a change of the authority sees all others.
func (p *port) admit(conn *trackedConn, peer peerOf) error {
	p.mu.Lock()
	conn.peer = &peer
	p.mu.Unlock()
	return p.tls.trusts(peer.chain, peer.usage)
}

// recheck closes the connections of those who are not trusted any more: an
// authority is taken out of the bundle to keep its nodes out.
func (p *port) recheck() {
	p.mu.Lock()
	open := make(map[*trackedConn]peerOf, len(p.conns))
	for c := range p.conns {
		if c.peer != nil {
			open[c] = *c.peer
		}
	}
	p.mu.Unlock()
	for c, peer := range open {
		if err := p.tls.trusts(peer.chain, peer.usage); err != nil {
			p.logger.Warn("a connection was closed: its certificate is not trusted any more",
				"remote", c.RemoteAddr().String(), "subject", peer.chain[0].Subject.String(), "error", err)
			_ = c.Close() // the other side sees it either way
		}
	}
}
