package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/config"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue writes a certificate for loopback with this name.
func (a *authority) issue(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	der2, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der2}))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func withTLS(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, dir, files := newAuthority(t), t.TempDir(), t.TempDir()
	certFile, keyFile := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	ca.issue(t, certFile, keyFile, "first")
	set := flags{"bootstrap-key": adminKey, "tls-cert": certFile, "tls-key": keyFile}

	r := &running{node: newNode(t, dir, set), signals: make(chan os.Signal, 2), ended: make(chan error, 1)}
	r.client = withTLS(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12})
	a, err := app.New(app.Options{Config: settings(t, dir, set), Log: r.log, Out: r.out, Reload: func() (*config.Config, error) {
		return settings(t, dir, set), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.App = a
	go func() { r.ended <- a.Run(context.WithoutCancel(t.Context()), r.signals) }()
	await(t, "the node to start", func() bool { return strings.Contains(r.log.String(), "the node has started") })
	r.awaitReady(t)
	r.must(t, 200, "GET", namespaces, "")

	plain := &http.Client{}
	if res, err := plain.Get("http://" + a.Addr() + "/health"); err == nil {
		if res.StatusCode == http.StatusOK {
			t.Error("it answers in the clear")
		}
		res.Body.Close()
	}
	old := &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", a.Addr(), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}

	shown := func() string {
		conn, err := tls.Dial("tcp", a.Addr(), &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if shown() != "first" {
		t.Error(shown())
	}
	write(t, keyFile, []byte("half a file"))
	r.signals <- syscall.SIGHUP
	await(t, "the failure to be logged", func() bool { return strings.Contains(r.log.String(), "those in use stay") })
	if shown() != "first" {
		t.Error(shown())
	}
	ca.issue(t, certFile, keyFile, "second")
	r.signals <- syscall.SIGHUP
	await(t, "the new certificate", func() bool { return shown() == "second" })

	r.signals <- syscall.SIGTERM
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func TestTLSClientAuthority(t *testing.T) {
	t.Parallel()
	ca, foreign, files := newAuthority(t), newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(files, name) }
	ca.issue(t, at("cert"), at("key"), "server")
	ca.issue(t, at("client-cert"), at("client-key"), "client")
	foreign.issue(t, at("foreign-cert"), at("foreign-key"), "foreign")
	write(t, at("ca"), ca.pem)

	n := start(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "tls-cert": at("cert"), "tls-key": at("key"), "tls-client-ca": at("ca"),
	})
	showing := func(cert, key string) *http.Client {
		pair, err := tls.LoadX509KeyPair(at(cert), at(key))
		if err != nil {
			t.Fatal(err)
		}
		return withTLS(&tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	n.client = showing("client-cert", "client-key")
	n.awaitReady(t)
	for name, client := range map[string]*http.Client{
		"none":    withTLS(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}),
		"foreign": showing("foreign-cert", "foreign-key"),
	} {
		other := &node{App: n.App, client: client}
		if code, answer := other.try(t, "GET", "/health", ""); code != 0 {
			t.Errorf("%s: %d %s", name, code, answer)
		}
	}
}

// A client's certificate names who asks, where it is to: who shows none of this
// authority gets no connection, and who presents a key is who the key says.
func TestTLSClientCertificatesAsIdentity(t *testing.T) {
	t.Parallel()
	ca, files := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(files, name) }
	ca.issue(t, at("cert"), at("key"), "server")
	write(t, at("ca"), ca.pem)
	n := start(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "tls-cert": at("cert"), "tls-key": at("key"), "tls-client-ca": at("ca"),
		"tls-client-name": "cn", "tls-client-groups": "spark=writer,trino=reader",
	})
	as := func(name, key string) *node {
		ca.issue(t, at(name+"-cert"), at(name+"-key"), name)
		pair, err := tls.LoadX509KeyPair(at(name+"-cert"), at(name+"-key"))
		if err != nil {
			t.Fatal(err)
		}
		return &node{App: n.App, key: key, client: withTLS(&tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})}
	}
	as("spark", "").awaitReady(t)
	as("spark", "").must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	as("trino", "").must(t, 200, "GET", namespaces, "")
	as("trino", "").must(t, 403, "POST", namespaces, `{"namespace":["b"]}`)
	as("nobody", "").must(t, 404, "GET", namespaces, "")
	as("proxy", adminKey).must(t, 200, "GET", "/management/v1/cluster", "")
	as("spark", "fb_nobody_knows_this_one").must(t, 401, "GET", namespaces, "")
}

func TestUnreadableCertificates(t *testing.T) {
	t.Parallel()
	ca, files := newAuthority(t), t.TempDir()
	cert, key, junk := filepath.Join(files, "cert"), filepath.Join(files, "key"), filepath.Join(files, "junk")
	ca.issue(t, cert, key, "server")
	write(t, junk, []byte("junk"))
	for name, set := range map[string]flags{
		"tls-cert":      {"tls-cert": junk, "tls-key": key},
		"tls-client-ca": {"tls-cert": cert, "tls-key": key, "tls-client-ca": junk},
	} {
		n := newNode(t, t.TempDir(), set)
		if err := n.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClusterWithCertificatesAndGossipKey(t *testing.T) {
	t.Parallel()
	ca, files := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(files, name) }
	ca.issue(t, at("cert"), at("key"), "node")
	write(t, at("ca"), ca.pem)
	nodes := threeNodes(t, flags{
		"bootstrap-key": adminKey, "cluster-ca": at("ca"), "cluster-cert": at("cert"), "cluster-key": at("key"),
		"gossip-key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	})
	for i, n := range nodes {
		n.must(t, 200, "POST", namespaces, fmt.Sprintf(`{"namespace":["n%d"]}`, i))
		nodes[(i+1)%3].must(t, 200, "GET", fmt.Sprintf("%s/n%d", namespaces, i), "")
	}
	metrics := nodes[0].must(t, 200, "GET", "/metrics", "")
	for _, use := range []string{"cluster_node", "cluster_ca"} {
		if !strings.Contains(metrics, fmt.Sprintf("floeberg_certificate_expiry_seconds{use=%q} 3", use)) { // less than an hour
			t.Errorf("the metrics do not tell of %s", use)
		}
	}
}
