package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/internal/config"
)

// certificate is the HTTP listener's TLS identity, which can be read again
// while connections are open: they keep what they were made with.
type certificate struct {
	oldest  uint16 // version of TLS
	current atomic.Pointer[tls.Config]

	mu    sync.Mutex
	files config.Certificate
	seen  certificateStamps // what the files were when they were last looked at
	tried certificateStamps // what they were when they were last read
}

// useHTTP is the listener's certificate among others.
const useHTTP = "http"

// certificateWatch is how often the files are looked at.
const certificateWatch = time.Second

// suites are those of TLS 1.2 that encrypt and authenticate in one and keep what
// was said a secret when the key is lost; all of TLS 1.3 do. Every client of the
// last ten years has one of them.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// certificateStamps tells the three files from later ones.
type certificateStamps [3]struct {
	modified time.Time
	size     int64
}

func stampsOf(files config.Certificate) (out certificateStamps) {
	for i, name := range []string{files.CertFile, files.KeyFile, files.CAFile} {
		if info, err := os.Stat(name); err == nil {
			out[i].modified, out[i].size = info.ModTime(), info.Size()
		}
	}
	return out
}

// expires is when its time is over.
func (c *certificate) expires() time.Time { return c.current.Load().Certificates[0].Leaf.NotAfter }

// openCertificate reads the files; nil where none are given.
func openCertificate(files config.Certificate, oldest config.TLSVersion) (*certificate, error) {
	if !files.Given() {
		return nil, nil
	}
	c := &certificate{oldest: tls.VersionTLS12}
	if oldest == config.TLS13 {
		c.oldest = tls.VersionTLS13
	}
	if err := c.reload(files); err != nil {
		return nil, err
	}
	return c, nil
}

// reload reads the files again, from other places where they are given; where they
// are no good, the ones in use stay.
func (c *certificate) reload(files config.Certificate) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(files, stampsOf(files))
}

// look reads files that have changed and have then stayed as they are from one
// look to the next: those of one identity are replaced one after the other.
func (c *certificate) look() (read bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps := stampsOf(c.files)
	settled := stamps == c.seen
	c.seen = stamps
	if !settled || stamps == c.tried {
		return false, nil
	}
	return true, c.load(c.files, stamps)
}

// load puts another identity in force; the mutex is held.
func (c *certificate) load(files config.Certificate, stamps certificateStamps) error {
	c.tried, c.seen = stamps, stamps
	next, err := c.read(files)
	if err != nil {
		return err
	}
	c.files = files
	c.current.Store(next)
	return nil
}

func (c *certificate) read(files config.Certificate) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("tls-cert: %w", err)
	}
	next := c.base()
	next.Certificates = []tls.Certificate{pair}
	if files.CAFile == "" {
		return next, nil
	}
	pem, err := os.ReadFile(files.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tls-client-ca: %w", err)
	}
	next.ClientCAs = x509.NewCertPool()
	if !next.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("tls-client-ca: the file holds no certificate")
	}
	next.ClientAuth = tls.RequireAndVerifyClientCert
	return next, nil
}

// base is what does not depend on the files.
func (c *certificate) base() *tls.Config {
	return &tls.Config{MinVersion: c.oldest, CipherSuites: suites, NextProtos: []string{"h2", "http/1.1"}}
}

// config takes up the latest files for each connection.
func (c *certificate) config() *tls.Config {
	config := c.base()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil }
	return config
}

// watchCertificate takes up files that change, until the node stops.
func (a *App) watchCertificate(ctx context.Context, c *certificate) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(certificateWatch)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if read, err := c.look(); read {
					// Said in the log, and counted.
					_ = a.certificateRead(err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	a.undo.add("watching the certificate", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// certificateRead tells what became of reading the files again, and gives the error back.
func (a *App) certificateRead(err error) error {
	a.metrics.CertificatesRead(useHTTP, err == nil)
	if err != nil {
		a.logger.Error("the changed certificate of HTTP is not used; the one in force stays", slog.Any("error", err))
		return err
	}
	a.logger.Info("the certificate of HTTP was read again", slog.Time("expires", a.certificate.expires()))
	return nil
}
