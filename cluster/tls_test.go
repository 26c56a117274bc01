package cluster_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// authority is a CA that writes the files of nodes.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes a node's files. The certificate names no address on purpose.
func (a *authority) issue(name string, serial int64) *cluster.TLSFiles {
	a.t.Helper()
	return a.issueLike(name, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
}

func (a *authority) issueLike(name string, template *x509.Certificate) *cluster.TLSFiles {
	a.t.Helper()
	key := newKey(a.t)
	template.Subject = pkix.Name{CommonName: name}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &cluster.TLSFiles{
		CA:   filepath.Join(a.dir, "ca.pem"),
		Cert: a.write(name+".pem", "CERTIFICATE", der),
		Key:  a.write(name+".key", "EC PRIVATE KEY", keyDER),
	}
}

// answered sends bytes on a connection and tells whether anything came back
// before the other side closed it.
func answered(t *testing.T, conn net.Conn, send []byte) bool {
	t.Helper()
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(send); err != nil {
		return false
	}
	var first [1]byte
	n, err := io.ReadFull(conn, first[:])
	if err == nil {
		return n == 1
	}
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		t.Errorf("the connection was left open")
	}
	return false
}

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(t), newAuthority(t)
	c := clustertest.Start(t, clustertest.Options{Adjust: func(i int, o *cluster.Options) {
		o.TLS = ca.issue(o.ID, int64(i+2))
	}})
	mustPropose(t, c.Node(0), put("a", "1"))
	if got := mustRead(t, c.Node(2), "a"); got != "1" {
		t.Errorf("read %q", got)
	}

	// A settings frame follows the preface of every HTTP/2 client.
	hello := append([]byte{0x02}, http2Preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"...)
	dial := func(conf *tls.Config) (net.Conn, error) {
		conf.InsecureSkipVerify = true // it is the server's check that is tested
		return tls.Dial("tcp", c.Address(0), conf)
	}
	pair := func(files *cluster.TLSFiles) []tls.Certificate {
		cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{cert}
	}
	t.Run("a node gets an answer", func(t *testing.T) {
		conn, err := dial(&tls.Config{Certificates: pair(ca.issue("guest", 50))})
		if err != nil {
			t.Fatal(err)
		}
		if !answered(t, conn, hello) {
			t.Error("nothing came back: the cases below show nothing")
		}
	})
	t.Run("plain", func(t *testing.T) {
		conn, err := net.Dial("tcp", c.Address(0))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(hello); err != nil {
			t.Fatal(err)
		}
		if data, _ := io.ReadAll(conn); len(data) > 0 {
			t.Errorf("a plain connection got %x", data)
		}
	})
	for name, conf := range map[string]*tls.Config{
		"no certificate": {},
		"a foreign CA":   {Certificates: pair(foreign.issue("intruder", 2))},
		"TLS 1.2":        {Certificates: pair(ca.issue("old", 51)), MaxVersion: tls.VersionTLS12},
		"an expired one": {Certificates: pair(ca.issueLike("late", &x509.Certificate{
			SerialNumber: big.NewInt(52), NotAfter: time.Now().Add(-time.Second),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}))},
		"one for servers": {Certificates: pair(ca.issueLike("server", &x509.Certificate{
			SerialNumber: big.NewInt(53), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}))},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := dial(conf)
			if err != nil {
				return
			}
			// In TLS 1.3 a client learns that it was refused with its first reading.
			if answered(t, conn, hello) {
				t.Error("it got an answer")
			}
		})
	}
}

// A node does not talk to a server that its CA does not vouch for.
func TestForeignServerIsRefused(t *testing.T) {
	t.Parallel()
	ours, foreign := newAuthority(t), newAuthority(t)
	c := clustertest.Start(t, clustertest.Options{Stopped: true, Adjust: func(i int, o *cluster.Options) {
		o.TLS = ours.issue(o.ID, int64(i+2))
		if i == 2 {
			o.TLS = foreign.issue(o.ID, 2)
		}
	}})
	c.StartAll()
	c.Await("all to see each other", func() string {
		for i := range 3 {
			if n := len(c.Node(i).Status().Peers); n != 3 {
				return fmt.Sprintf("%s sees %d", clustertest.ID(i), n)
			}
		}
		return ""
	})
	for range 10 {
		for i := range 3 {
			if c.Node(i).Status().Term != 0 {
				t.Fatalf("%s is in a cluster with a foreign node", clustertest.ID(i))
			}
		}
		time.Sleep(20 * time.Millisecond) // rounds of their bootstraps
	}
}
