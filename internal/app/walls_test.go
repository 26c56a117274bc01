package app_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// secured is a ready node with TLS, and whoever vouches for it.
func secured(t *testing.T, more flags) (n *node, ca *authority, certFile, keyFile string) {
	t.Helper()
	ca, files := newAuthority(t), t.TempDir()
	certFile, keyFile = filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	ca.issue(t, certFile, keyFile, "first")
	set := flags{"bootstrap-key": adminKey, "tls-cert": certFile, "tls-key": keyFile}
	for name, value := range more {
		set[name] = value
	}
	n = start(t, t.TempDir(), set)
	n.client = withTLS(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12})
	n.awaitReady(t)
	return n, ca, certFile, keyFile
}

// handshake is what a node and a client with this configuration agree on.
func (n *node) handshake(config *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", n.Addr(), config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func TestVersionsAndCiphersOfTLS(t *testing.T) {
	t.Parallel()
	n, ca, _, _ := secured(t, nil)
	of := func(least, most uint16, suites ...uint16) error {
		_, err := n.handshake(&tls.Config{RootCAs: ca.pool(), MinVersion: least, MaxVersion: most, CipherSuites: suites})
		return err
	}
	for what, err := range map[string]error{
		"1.0": of(tls.VersionTLS10, tls.VersionTLS10),
		"1.1": of(tls.VersionTLS11, tls.VersionTLS11),
		"CBC": of(tls.VersionTLS12, tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA),
		"RSA": of(tls.VersionTLS12, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256),
	} {
		if err == nil {
			t.Errorf("%s is spoken", what)
		}
	}
	for what, err := range map[string]error{
		"1.3": of(tls.VersionTLS13, tls.VersionTLS13),
		"1.2": of(tls.VersionTLS12, tls.VersionTLS12),
		"GCM": of(tls.VersionTLS12, tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	strict, ca, _, _ := secured(t, flags{"tls-min-version": "1.3"})
	if _, err := strict.handshake(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("1.2 is spoken where 1.3 is asked for")
	}
	if state, err := strict.handshake(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}); err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("%x, %v", state.Version, err)
	}
}

func TestStrictTransportOnlyWithTLS(t *testing.T) {
	t.Parallel()
	const name = "Strict-Transport-Security"
	n, _, _, _ := secured(t, nil)
	plain := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	for path := range map[string]bool{"/health": true, "/v1/config": true, "/nowhere": true} {
		for on, want := range map[*node]bool{n: true, plain: false} {
			res, err := on.client.Get(on.URL() + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got := res.Header.Get(name); (got != "") != want {
				t.Errorf("%s%s: %q", on.URL(), path, got)
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Server") != "" {
				t.Errorf("%s: %v", path, res.Header)
			}
		}
	}
}

// Files that change are taken up without anybody saying so, once they make sense.
func TestCertificatesAreTakenUpByThemselves(t *testing.T) {
	t.Parallel()
	n, ca, certFile, keyFile := secured(t, nil)
	shown := func() string {
		state, err := n.handshake(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			return err.Error()
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	write(t, keyFile, []byte("half a file"))
	await(t, "the failure to be counted", func() bool {
		return n.scrape(t)[`floeberg_certificate_reloads_total{result="failed",use="http"}`] == 1
	})
	if got := shown(); got != "first" {
		t.Errorf("%s is shown", got)
	}
	ca.issue(t, certFile, keyFile, "second")
	await(t, "the new certificate", func() bool { return shown() == "second" })
	if got := n.scrape(t)[`floeberg_certificate_reloads_total{result="failed",use="http"}`]; got != 1 {
		t.Errorf("%v failures", got)
	}
}

// ended waits for the other side to end a connection, and gives what it said before.
func ended(t *testing.T, conn net.Conn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection is still open; it said %q", said)
	}
	return string(said)
}

func (n *node) dial(t *testing.T, say string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, say); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Who opens a connection and says nothing, or never comes to the end, is let go of.
func TestSlowHeads(t *testing.T) {
	t.Parallel()
	plain := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	encrypted, _, _, _ := secured(t, nil)
	for what, conn := range map[string]net.Conn{
		"nothing":                  plain.dial(t, ""),
		"a head without end":       plain.dial(t, "GET /health HTTP/1.1\r\nHost: h\r\nX-A: b\r\n"),
		"a preface of HTTP/2":      plain.dial(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n"),
		"no handshake":             encrypted.dial(t, ""),
		"a part of a handshake":    encrypted.dial(t, "\x16\x03\x01\x02\x00\x01"),
		"a head after an answer":   plain.dial(t, "GET /health HTTP/1.1\r\nHost: h\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\n"),
		"HTTP in place of TLS":     encrypted.dial(t, "GET /health HTTP/1.1\r\n"),
		"a body that nobody wants": plain.dial(t, "POST /v1/default/namespaces HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			said := ended(t, conn)
			if strings.Contains(said, "HTTP/1.1 200") != strings.Contains(what, "after an answer") {
				t.Errorf("it said %q", said)
			}
		})
	}
}

func TestHeadsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	for what, say := range map[string]string{
		"one field": "GET /health HTTP/1.1\r\nHost: h\r\nX-A: " + strings.Repeat("a", 80<<10) + "\r\n\r\n",
		"a path":    "GET /" + strings.Repeat("a", 80<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		if said := ended(t, n.dial(t, say)); !strings.HasPrefix(said, "HTTP/1.1 431") {
			t.Errorf("%s: %.100q", what, said)
		}
	}
	conn := n.dial(t, "GET /health HTTP/1.1\r\nHost: h\r\n"+strings.Repeat("A: b\r\n", 200)+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 431 || !strings.Contains(string(body), `"code":431`) {
		t.Errorf("%s: %s, %v", res.Status, body, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for setting, limit := range map[string]string{"http-max-connections": "total", "http-max-connections-per-address": "address"} {
		n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey, setting: "3"})
		n.client.CloseIdleConnections()
		var first []net.Conn
		await(t, "all places to be taken", func() bool {
			conn := n.dial(t, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 12)); n > 0 && err == nil {
				first = append(first, conn)
				return false
			}
			return len(first) == 3
		})
		first[0].Close()
		await(t, "a place", func() bool {
			code, _ := n.try(t, "GET", "/health", "")
			return code == 200
		})
		if got := n.scrape(t)[`floeberg_connections_refused_total{limit="`+limit+`"}`]; got < 1 {
			t.Errorf("%v refusals are counted by %s", got, setting)
		}
	}
}

// Three nodes share what a principal may ask for, each its part.
func TestNodesShareTheRates(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t, flags{"bootstrap-key": adminKey, "rate-limit-principal": "3"})
	for i, n := range nodes {
		var policy string
		await(t, "a refusal", func() bool {
			req, err := http.NewRequestWithContext(t.Context(), "GET", n.URL()+"/v1/config", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Api-Key", adminKey)
			res, err := n.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			policy = res.Header.Get("RateLimit-Policy")
			return res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "1"
		})
		if policy != `"principal";q=10;w=10` {
			t.Errorf("node %d: %s", i, policy)
		}
		if got := n.scrape(t)[`floeberg_rate_limited_total{limit="principal"}`]; got < 1 {
			t.Errorf("node %d: %v refusals are counted", i, got)
		}
	}
}

// Each setting of the walls changes what a node does.
func TestWallSettings(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "http-cors-origins": "https://console.example.com",
		"http-trusted-proxies": "127.0.0.1", "http-forwarded-header": "forwarded",
		"rate-limit-address": "5", "rate-limit-failures": "1",
	})
	get := func(key string, header ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", n.URL()+"/v1/config", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", key)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := n.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	if res := get(adminKey, "Origin", "https://console.example.com"); res.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%v", res.Header)
	}
	refused := 0
	for i := range 80 {
		if res := get(adminKey, "Forwarded", "for=6.6.6.6, for=8.8.8.8"); res.StatusCode == 429 {
			refused++
		} else if i < 50 && res.StatusCode != 200 {
			t.Errorf("request %d: %s", i, res.Status)
		}
	}
	if refused < 10 {
		t.Errorf("%d of 80 requests at once were refused", refused)
	}
	if res := get(adminKey, "Forwarded", "for=6.6.6.6, for=8.8.4.4"); res.StatusCode != 200 {
		t.Errorf("another one: %s", res.Status)
	}
	last := 0
	for i := range 30 {
		last = get(fmt.Sprintf("fb_guess_%016d", i), "Forwarded", fmt.Sprintf("for=\"[2001:db8::%x]\"", i)).StatusCode
	}
	if last != 429 || n.scrape(t)[`floeberg_rate_limited_total{limit="failures"}`] < 1 {
		t.Errorf("the thirtieth guess: %d", last)
	}
}
