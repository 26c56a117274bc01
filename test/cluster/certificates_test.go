package cluster_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	workload "github.com/floeberg/floeberg/test/load"
	"github.com/floeberg/floeberg/test/port"
)

// pki is a folder of certificates, made by the program as the docs say.
type pki struct {
	t   *testing.T
	dir string
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	needProcesses(t)
	p := &pki{t: t, dir: t.TempDir()}
	p.cert("ca", "--out", p.at("ca"))
	return p
}

func (p *pki) at(name ...string) string {
	return filepath.Join(append([]string{p.dir}, name...)...)
}

// cert runs floeberg cert.
func (p *pki) cert(args ...string) {
	p.t.Helper()
	if code, stdout, stderr := floeberg(p.t, "", append([]string{"cert"}, args...)...); code != 0 {
		p.t.Fatalf("cert %v: exit code %d, %s%s", args, code, stdout, stderr)
	}
}

// node makes a node's files, and its bundle of authorities.
func (p *pki) node(id, host string) {
	p.t.Helper()
	p.cert("node", "--ca", p.at("ca"), "--id", id, "--host", host, "--out", p.at(id))
	p.trust(id, "ca")
}

// trust has a node trust authorities.
func (p *pki) trust(id string, authorities ...string) {
	p.t.Helper()
	var bundle []byte
	for _, ca := range authorities {
		raw, err := os.ReadFile(p.at(ca, "ca.crt"))
		if err != nil {
			p.t.Fatal(err)
		}
		bundle = append(bundle, raw...)
	}
	next := p.at(id, "ca.crt.new")
	if err := os.WriteFile(next, bundle, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(next, p.at(id, "ca.crt")); err != nil {
		p.t.Fatal(err)
	}
}

// args are the settings of a node that has its files from here.
func (p *pki) args(id string) []string {
	return []string{"--cluster-ca", p.at(id, "ca.crt"), "--cluster-cert", p.at(id, "node.crt"), "--cluster-key", p.at(id, "node.key")}
}

func (p *pki) pair(id string) []tls.Certificate {
	p.t.Helper()
	pair, err := tls.LoadX509KeyPair(p.at(id, "node.crt"), p.at(id, "node.key"))
	if err != nil {
		p.t.Fatal(err)
	}
	return []tls.Certificate{pair}
}

// shownSerial is that of the certificate that a node shows.
func shownSerial(n *cluster.Node) (string, error) {
	conn, err := tls.Dial("tcp", n.ClusterAddress(), &tls.Config{InsecureSkipVerify: true}) // it is looked at, not trusted
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// hello is the begin of a call of another node: what it is for, HTTP/2's preface
// and settings.
const hello = "\x02PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// replyOn is what comes back on a connection until the other side closes it, or
// the first byte.
func replyOn(conn net.Conn) (string, error) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, hello); err != nil {
		return "", nil // closed already
	}
	first := make([]byte, 1)
	n, err := conn.Read(first)
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return "", errors.New("the connection was left open")
	}
	return string(first[:n]), nil
}

// knock is what a stranger gets who shows these certificates.
func knock(address string, certificates []tls.Certificate) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	// It is the node's check that is tested, and in TLS 1.3 a client learns with its
	// first reading that it was refused.
	return replyOn(tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: certificates}))
}

// TestCertificates makes a cluster's certificates as the docs say, lets strangers
// knock, and changes the nodes' certificates and then the authority while clients
// work: no request fails.
func TestCertificates(t *testing.T) {
	p, foreign := newPKI(t), newPKI(t)
	ids := []string{"n1", "n2", "n3"}
	for _, id := range ids {
		p.node(id, "127.0.0.1,localhost")
	}
	p.node("guest", "127.0.0.1")
	foreign.node("n1", "127.0.0.1")
	c := start(t, cluster.Options{ArgsOf: p.args})

	for _, n := range c.Nodes {
		for name, tc := range map[string]struct {
			shows   []tls.Certificate
			answers bool
		}{
			"a node": {p.pair("guest"), true}, "nothing": {nil, false}, "a foreign certificate": {foreign.pair("n1"), false},
		} {
			got, err := knock(n.ClusterAddress(), tc.shows)
			if err != nil || (got != "") != tc.answers {
				t.Errorf("%s to who shows %s: %q, %v", n.ID, name, got, err)
			}
		}
		plain, err := net.Dial("tcp", n.ClusterAddress())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := replyOn(plain); err != nil || got != "" {
			t.Errorf("%s to a plain connection: %q, %v", n.ID, got, err)
		}
	}

	l, err := workload.New(within(t, time.Minute), c.Client(), workload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), 6)
	// changed waits until a node shows another certificate, by itself or told to look.
	changed := func(n *cluster.Node, before string) {
		t.Helper()
		err := cluster.Await(within(t, 30*time.Second), n.ID+" to show another certificate", func(context.Context) error {
			now, err := shownSerial(n)
			if err == nil && now == before {
				err = errors.New("it shows the old one")
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	reads := func(n *cluster.Node, result string) float64 {
		t.Helper()
		m, err := n.Metrics(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return m[fmt.Sprintf(`floeberg_certificate_reloads_total{result=%q,use="cluster"}`, result)]
	}
	trust := func(authorities ...string) {
		t.Helper()
		for i, id := range ids {
			before := reads(c.Nodes[i], "ok")
			p.trust(id, authorities...)
			if err := c.Nodes[i].Hangup(); err != nil {
				t.Fatal(err)
			}
			err := cluster.Await(within(t, 30*time.Second), id+" to read its files again", func(context.Context) error {
				if reads(c.Nodes[i], "ok") == before {
					return errors.New("not yet")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	renew := func(authority string) {
		t.Helper()
		for i, id := range ids {
			before, err := shownSerial(c.Nodes[i])
			if err != nil {
				t.Fatal(err)
			}
			p.cert("node", "--ca", p.at(authority), "--id", id, "--host", "127.0.0.1", "--out", p.at(id), "--renew")
			changed(c.Nodes[i], before)
		}
	}
	began := time.Now()
	renew("ca")
	p.cert("ca", "--out", p.at("ca2"), "--name", "second")
	trust("ca", "ca2")
	renew("ca2")
	trust("ca2")
	t.Logf("certificates and authority of three nodes were changed in %s", time.Since(began).Round(time.Millisecond))

	// A certificate that the others would refuse is not taken up, and is told of.
	before, err := shownSerial(c.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	p.cert("node", "--ca", p.at("ca"), "--id", "n1", "--host", "127.0.0.1", "--out", p.at("n1"), "--renew")
	err = cluster.Await(within(t, 30*time.Second), "n1 to refuse a certificate", func(context.Context) error {
		if reads(c.Nodes[0], "failed") == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if now, err := shownSerial(c.Nodes[0]); err != nil || now != before || !strings.Contains(c.Nodes[0].Log(50), "no authority in") {
		t.Errorf("%v, shows %s after %s", err, now, before)
	}
	if got, err := knock(c.Nodes[1].ClusterAddress(), p.pair("guest")); err != nil || got != "" {
		t.Errorf("who has a certificate of the old authority gets %q, %v", got, err)
	}
	time.Sleep(time.Second) // of work after the last change
	cancel()
	l.Wait()
	judgeLoad(t, c, l)
}

// judgeLoad holds that every request was answered as if nothing had happened.
func judgeLoad(t *testing.T, c *cluster.Cluster, l *workload.Load) {
	t.Helper()
	if _, err := l.Last(within(t, time.Minute), c.Client()); err != nil {
		t.Error(err)
	}
	report := l.Report()
	t.Log(report)
	for _, err := range append(report.Failed, report.Wrong...) {
		t.Error(err)
	}
	if report.Codes["200"] == 0 {
		t.Error("nothing was done")
	}
	if err := l.History.Check(time.Minute); err != nil {
		t.Error(err)
	}
	if err := c.Verify(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

// outside is an address of this machine that others reach, or "" where there is none.
func outside(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return ""
}

// TestOffLoopback holds that a node that others reach needs certificates and a
// gossip key, and runs with them.
func TestOffLoopback(t *testing.T) {
	needProcesses(t)
	ip := outside(t)
	if ip == "" {
		ip = "192.0.2.1" // of nobody: enough to be refused
	}
	address := func() string {
		number, err := port.Take()
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort(ip, strconv.Itoa(number))
	}
	p := newPKI(t)
	p.node("n1", ip)
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	clusterListen, gossipListen := []string{"--cluster-listen", address()}, []string{"--gossip-listen", address()}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no certificates":   {clusterListen, "cluster-ca"},
		"no gossip key":     {append(append([]string{}, gossipListen...), p.args("n1")...), "gossip-key"},
		"half of them":      {append(append([]string{}, clusterListen...), p.args("n1")[:2]...), "cluster-cert"},
		"a key of too few":  {append(append(append([]string{}, gossipListen...), p.args("n1")...), "--gossip-key", "c2hvcnQ="), "gossip-key"},
		"all but the hosts": {append(append(append([]string{}, clusterListen...), gossipListen...), "--gossip-key", key), "cluster-ca"},
	} {
		code, stdout, stderr := floeberg(t, "", append([]string{"serve", "--data-dir", t.TempDir()}, tc.args...)...)
		if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s: exit code %d, %q %q", name, code, stdout, stderr)
		}
	}
	if outside(t) == "" {
		t.Log("this machine has no address but loopback: nothing is served on another one")
		return
	}
	// The harness listens on loopback; what comes later on the command line counts.
	c := start(t, cluster.Options{Nodes: 1, Args: append(append(append(p.args("n1"), clusterListen...), gossipListen...), "--gossip-key", key, "--join", gossipListen[1])})
	if err := c.AwaitReady(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	plain, err := net.Dial("tcp", clusterListen[1])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := replyOn(plain); err != nil || got != "" {
		t.Errorf("a plain connection gets %q, %v", got, err)
	}
	if got, err := knock(clusterListen[1], p.pair("n1")); err != nil || got == "" {
		t.Errorf("a node gets %q, %v", got, err)
	}
}
