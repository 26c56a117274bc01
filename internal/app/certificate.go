package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/internal/config"
)

// certificate is the HTTP listener's TLS identity, which can be read again
// while connections are open: they keep what they were made with.
type certificate struct {
	current atomic.Pointer[tls.Config]
}

// useHTTP is the listener's certificate among others.
const useHTTP = "http"

// expires is when its time is over.
func (c *certificate) expires() time.Time { return c.current.Load().Certificates[0].Leaf.NotAfter }

// openCertificate reads the files; nil where none are given.
func openCertificate(files config.Certificate) (*certificate, error) {
	if !files.Given() {
		return nil, nil
	}
	c := &certificate{}
	if err := c.reload(files); err != nil {
		return nil, err
	}
	return c, nil
}

// reload reads the files again; where they are no good, the ones in use stay.
func (c *certificate) reload(files config.Certificate) error {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return fmt.Errorf("tls-cert: %w", err)
	}
	next := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if files.CAFile != "" {
		pem, err := os.ReadFile(files.CAFile)
		if err != nil {
			return fmt.Errorf("tls-client-ca: %w", err)
		}
		next.ClientCAs = x509.NewCertPool()
		if !next.ClientCAs.AppendCertsFromPEM(pem) {
			return errors.New("tls-client-ca: the file holds no certificate")
		}
		next.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.current.Store(next)
	return nil
}

// config takes up the latest files for each connection.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}
}
