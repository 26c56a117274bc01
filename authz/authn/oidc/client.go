package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// maxDocument is the longest answer of an issuer that is read.
const maxDocument = 1 << 20

// maxRedirects is how many are followed, all on one host.
const maxRedirects = 3

// CheckURL tells why something can't be the address of an issuer or of its keys: it
// must be HTTPS, or anybody on the way could put keys of its own there. On loopback
// there is no way.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("it is no URL: %w", err)
	case u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("expected a URL, https://…, without user or fragment")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("is http://, where anybody on the way could answer: use https://")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Client asks issuers. It waits for nobody for long, reads no more than a document, and
// is led to no other host.
type Client struct {
	*http.Client
	transport *transport
}

// NewClient makes a client that trusts these authorities; nil are the machine's.
func NewClient(authorities *x509.CertPool) *Client {
	t := &transport{}
	c := &Client{transport: t, Client: &http.Client{
		Timeout:   fetchTimeout,
		Transport: t,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			first := via[0].URL
			if req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
				return fmt.Errorf("%s leads to %s: another host is not asked", first.Host, req.URL.Host)
			}
			if len(via) > maxRedirects {
				return errors.New("it leads around in circles")
			}
			return nil
		},
	}}
	c.Trust(authorities)
	return c
}

// Trust makes it trust other authorities from now on; nil are the machine's.
func (c *Client) Trust(authorities *x509.CertPool) {
	c.transport.current.Store(&http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		// Minutes pass between two questions, and no connection outlives what it trusts.
		DisableKeepAlives: true,
	})
}

// transport breaks off answers that are too long.
type transport struct {
	current atomic.Pointer[http.Transport]
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.current.Load().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxDocument}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxDocument)
	}
	return n, err
}
