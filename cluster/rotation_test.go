package cluster_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// serial is that of the certificate that a node shows.
func serial(t *testing.T, address string) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func awaitSerial(c *clustertest.Cluster, t *testing.T, i int, want int64) {
	t.Helper()
	c.Await(fmt.Sprintf("certificate %d on %s", want, clustertest.ID(i)), func() string {
		if got := serial(t, c.Address(i)); got != want {
			return fmt.Sprintf("it shows %d", got)
		}
		return ""
	})
}

func replaceFile(t *testing.T, path string, parts ...string) {
	t.Helper()
	var all []byte
	for _, part := range parts {
		raw, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw...)
	}
	if err := os.WriteFile(path+".new", all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(t), newAuthority(t)
	var read, refused atomic.Int64
	c := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) {
		o.TLS = ca.issue("n1", 100)
		o.Events.CertificatesRead = func(err error) {
			if err != nil {
				refused.Add(1)
				return
			}
			read.Add(1)
		}
	}})
	if got := serial(t, c.Address(0)); got != 100 {
		t.Fatalf("serial %d, want 100", got)
	}
	ca.issue("n1", 101)
	awaitSerial(c, t, 0, 101)

	// Files that make no sense leave the old certificate in force; so does one that
	// the others would not accept.
	cert := filepath.Join(ca.dir, "n1.pem")
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Await("the broken file to be seen", func() string { return orMissing(refused.Load() >= 1) })
	other := foreign.issue("n1", 102)
	replaceFile(t, filepath.Join(ca.dir, "n1.key"), other.Key)
	replaceFile(t, cert, other.Cert)
	c.Await("the foreign certificate to be seen", func() string { return orMissing(refused.Load() >= 2) })
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	c.Await("the missing file to be seen", func() string { return orMissing(refused.Load() >= 3) })
	if got := serial(t, c.Address(0)); got != 101 {
		t.Errorf("serial %d with broken files, want 101", got)
	}

	// What is asked for is done at once, from other places too.
	if err := c.Node(0).ReloadCertificates(*other); err != nil {
		t.Error(err)
	}
	if got := serial(t, c.Address(0)); got != 102 {
		t.Errorf("serial %d, want 102", got)
	}
	if err := c.Node(0).ReloadCertificates(*ca.issue("n1", 103)); err != nil {
		t.Error(err)
	}
	if got := serial(t, c.Address(0)); got != 103 || read.Load() < 3 {
		t.Errorf("serial %d, read %d times", got, read.Load())
	}
}

func orMissing(there bool) string {
	if there {
		return ""
	}
	return "not yet"
}

// An authority is changed in three steps, none of which stops anything: both are
// trusted, certificates of the new one are shown, the old one is trusted no more.
// Then whoever has only a certificate of the old one is out, open connections too.
func TestAuthorityIsChanged(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	oldCA, newCA := filepath.Join(before.dir, "ca.pem"), filepath.Join(after.dir, "ca.pem")
	files := make([]*cluster.TLSFiles, 3)
	for i := range files {
		issued := before.issue(clustertest.ID(i), int64(i+1))
		files[i] = &cluster.TLSFiles{CA: filepath.Join(dir, clustertest.ID(i)+".ca"), Cert: issued.Cert, Key: issued.Key}
		replaceFile(t, files[i].CA, oldCA)
	}
	c := clustertest.Start(t, clustertest.Options{Adjust: func(i int, o *cluster.Options) { o.TLS = files[i] }})

	pair, err := tls.LoadX509KeyPair(before.issue("left behind", 50).Cert, filepath.Join(before.dir, "left behind.key"))
	if err != nil {
		t.Fatal(err)
	}
	left, err := tls.Dial("tcp", c.Address(0), &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = left.Close() }()
	if _, err := left.Write([]byte("\x02" + http2Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}

	reload := func(i int) {
		t.Helper()
		if err := c.Node(i).ReloadCertificates(*files[i]); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	proposeAll := func() {
		t.Helper()
		for i := range 3 {
			n++
			mustPropose(t, c.Node(i), put("key", fmt.Sprint(n)))
			if got := mustRead(t, c.Node((i+1)%3), "key"); got != fmt.Sprint(n) {
				t.Errorf("read %q, want %d", got, n)
			}
		}
	}
	for i := range 3 {
		replaceFile(t, files[i].CA, oldCA, newCA)
		reload(i)
		proposeAll()
	}
	for i := range 3 {
		issued := after.issue(clustertest.ID(i), int64(i+11))
		files[i].Cert, files[i].Key = issued.Cert, issued.Key
		reload(i)
		awaitSerial(c, t, i, int64(i+11))
		proposeAll()
	}
	for i := range 3 {
		replaceFile(t, files[i].CA, newCA)
		reload(i)
		proposeAll()
	}
	// The node's own answers come first, then the end.
	if err := left.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var netErr net.Error
	for {
		_, err := left.Read(make([]byte, 4096))
		if errors.As(err, &netErr) && netErr.Timeout() {
			t.Error("a connection of the old authority was left open")
		}
		if err != nil {
			break
		}
	}
	// A certificate of the old one is refused as this node's own, too.
	late := before.issue("n1", 60)
	late.CA = files[0].CA
	if err := c.Node(0).ReloadCertificates(*late); err == nil || !strings.Contains(err.Error(), files[0].CA) {
		t.Errorf("got %v", err)
	}
}

func TestUselessCertificatesStopTheStart(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(t), newAuthority(t)
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	stranger := foreign.issue("n1", 7)
	stranger.CA = filepath.Join(ca.dir, "ca.pem")
	mixed := *ca.issue("n1", 8)
	mixed.Key = ca.issue("n2", 9).Key
	broken := *ca.issue("n3", 10)
	broken.CA = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(broken.CA, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		files *cluster.TLSFiles
		says  string
	}{
		"another authority's": {stranger, "no authority in"},
		"an expired one":      {ca.issueLike("late", &x509.Certificate{SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: both}), "floeberg cert node --renew"},
		"one for servers only": {ca.issueLike("server", &x509.Certificate{
			SerialNumber: big.NewInt(4), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: both[1:],
		}), "for servers and for clients"},
		"another key":      {&mixed, "n1.pem"},
		"no authority":     {&broken, "holds no certificate"},
		"no such file":     {&cluster.TLSFiles{CA: mixed.CA, Cert: mixed.Cert, Key: "/nonexistent/key"}, "/nonexistent/key"},
		"no such bundle":   {&cluster.TLSFiles{CA: "/nonexistent/ca", Cert: mixed.Cert, Key: ca.issue("n1", 8).Key}, "/nonexistent/ca"},
		"a key as a chain": {&cluster.TLSFiles{CA: mixed.CA, Cert: mixed.Key, Key: mixed.Key}, "n2.key"},
	} {
		t.Run(name, func(t *testing.T) {
			c := clustertest.Start(t, clustertest.Options{Nodes: 1, Stopped: true, Adjust: func(_ int, o *cluster.Options) { o.TLS = tc.files }})
			err := c.TryStartNode(0)
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

func TestCertificatesAreWarnedOf(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	c := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) { o.TLS = ca.issue("n1", 5) }})
	got := c.Node(0).Certificates()
	if len(got) != 2 || got[0].Use != cluster.CertificateNode || got[0].Subject != "CN=n1" || got[1].Use != cluster.CertificateAuthority || got[1].Subject != "CN=cluster CA" {
		t.Fatalf("%+v", got)
	}
	identified(c)
	// Its certificates are of an hour: every node that looks at the cluster is told.
	overview, err := c.Node(0).Overview(t.Context())
	if err != nil || len(overview.Warnings) != 2 || !strings.HasPrefix(overview.Warnings[0], "n1: the certificate of this node expires") {
		t.Errorf("%v, %q", err, overview.Warnings)
	}
	const days = 24 * time.Hour
	for before, want := range map[time.Duration]string{
		31 * days: "", 29*days + time.Hour: "in 29 days", time.Hour: "in 0 days", 0: "has expired", -5 * days: "has expired",
	} {
		text := got[0].Warning(got[0].Expires.Add(-before))
		if (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s before the end: %q, want %q", before, text, want)
		}
	}
}
