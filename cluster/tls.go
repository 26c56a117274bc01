package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSFiles are PEM files for mutual TLS between nodes.
type TLSFiles struct {
	// CA signs the certificates of all nodes and of nothing else: whoever holds a
	// certificate of it is a node.
	CA string
	// Cert and Key are this node's certificate chain and its key.
	Cert, Key string
}

// credentials are the files' contents. They are read again when a file changed,
// at the next handshake: certificates are renewed without a restart.
type credentials struct {
	files  TLSFiles
	logger *slog.Logger

	mu      sync.Mutex
	stamp   [3]fileStamp
	cert    *tls.Certificate
	ca      *x509.CertPool
	refused [3]fileStamp
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func newCredentials(files TLSFiles, logger *slog.Logger) (*credentials, error) {
	c := &credentials{files: files, logger: logger}
	stamp, err := c.stat()
	if err != nil {
		return nil, err
	}
	if err := c.load(stamp); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *credentials) stat() (stamp [3]fileStamp, err error) {
	for i, name := range []string{c.files.CA, c.files.Cert, c.files.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("cluster: certificate file: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}

// load reads the files; the mutex is held or the value not yet shared.
func (c *credentials) load(stamp [3]fileStamp) error {
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("cluster: %s, %s: %w", c.files.Cert, c.files.Key, err)
	}
	pem, err := os.ReadFile(c.files.CA)
	if err != nil {
		return fmt.Errorf("cluster: certificate file: %w", err)
	}
	ca := x509.NewCertPool()
	if !ca.AppendCertsFromPEM(pem) {
		return fmt.Errorf("cluster: %s holds no certificate", c.files.CA)
	}
	c.cert, c.ca, c.stamp = &cert, ca, stamp
	return nil
}

// current returns what is in the files now. Files that can't be read leave the
// old contents in force: a renewal that goes wrong must not stop a node.
func (c *credentials) current() (*tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := c.stat()
	if err == nil && (stamp == c.stamp || stamp == c.refused) {
		return c.cert, c.ca
	}
	if err == nil {
		err = c.load(stamp)
	}
	if err != nil {
		c.refused = stamp
		c.logger.Error("changed certificates are not used", "error", err)
	} else {
		c.logger.Info("certificates of the cluster port were read again")
	}
	return c.cert, c.ca
}

func (c *credentials) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, ca := c.current()
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{*cert},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    ca,
				// Each connection is authenticated by certificate; a ticket would
				// outlive a change of the CA.
				SessionTicketsDisabled: true,
			}, nil
		},
	}
}

var errNoPeerCertificate = errors.New("the peer shows no certificate")

func (c *credentials) client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, _ := c.current()
			return cert, nil
		},
		// The chain is verified below. The name is not: a node is who the cluster's
		// own CA vouches for, whatever address it has today.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errNoPeerCertificate
			}
			_, ca := c.current()
			between := x509.NewCertPool()
			for _, cert := range state.PeerCertificates[1:] {
				between.AddCert(cert)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: ca, Intermediates: between,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			})
			return err
		},
	}
}
