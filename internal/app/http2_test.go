package app_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// overHTTP2 speaks HTTP/2 and nothing else, on as few connections as it can.
func overHTTP2(config *tls.Config) *http.Client {
	p := &http.Protocols{}
	p.SetHTTP2(config != nil)
	p.SetUnencryptedHTTP2(config == nil)
	return &http.Client{Transport: &http.Transport{Protocols: p, TLSClientConfig: config}, Timeout: 20 * time.Second}
}

// onBoth runs a test with TLS and without.
func onBoth(t *testing.T, test func(t *testing.T, n *node)) {
	t.Parallel()
	t.Run("with TLS", func(t *testing.T) {
		t.Parallel()
		ca, files := newAuthority(t), t.TempDir()
		certFile, keyFile := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
		ca.issue(t, certFile, keyFile, "node")
		n := start(t, t.TempDir(), flags{"bootstrap-key": adminKey, "tls-cert": certFile, "tls-key": keyFile})
		n.client = overHTTP2(&tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12})
		n.awaitReady(t)
		test(t, n)
	})
	t.Run("in the clear", func(t *testing.T) {
		t.Parallel()
		n := start(t, t.TempDir(), flags{"bootstrap-key": adminKey})
		n.client = overHTTP2(nil)
		n.awaitReady(t)
		test(t, n)
	})
}

// request is one that the caller sends, with a body as it comes.
func (n *node) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	return req
}

func TestHTTP2(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		n.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
		n.must(t, 200, "POST", namespaces+"/a/tables", table)
		var wg sync.WaitGroup
		for i := range 2 * 128 {
			wg.Go(func() {
				res, err := n.client.Do(n.request(t, "GET", namespaces+"/a/tables/floes", nil))
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
					t.Errorf("%d: %s %d %s %v", i, res.Proto, res.StatusCode, body, err)
				}
			})
		}
		wg.Wait()
		// Errors are what they are under HTTP/1.
		for path, want := range map[string]int{"/nowhere": 404, namespaces + "/none": 404, namespaces + "?pageSize=x": 400} {
			if answer := n.must(t, want, "GET", path, ""); !strings.Contains(answer, fmt.Sprintf(`"code":%d`, want)) {
				t.Errorf("%s: %s", path, answer)
			}
		}
	})
}

// A body that takes its time does not hold up those that share its connection.
func TestSlowBodiesOfHTTP2(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		body, send := io.Pipe()
		slow := n.request(t, "POST", namespaces, body)
		answered := make(chan error, 1)
		go func() {
			res, err := n.client.Do(slow)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					err = errors.Join(err, fmt.Errorf("status %d", res.StatusCode))
				}
			}
			answered <- err
		}()
		if _, err := io.WriteString(send, `{"namespace":`); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			n.must(t, 404, "GET", namespaces+"/slow", "")
		}
		if _, err := io.WriteString(send, `["slow"]}`); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(send.Close(), <-answered); err != nil {
			t.Error(err)
		}
		n.must(t, 200, "GET", namespaces+"/slow", "")
	})
}

// A drain lets requests under way finish, and its clients go elsewhere without
// an error.
func TestDrainOfHTTP2(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		body, send := io.Pipe()
		req := n.request(t, "POST", namespaces, body)
		answered := make(chan error, 1)
		go func() {
			res, err := n.client.Do(req)
			if err == nil {
				defer res.Body.Close()
				if res.StatusCode != http.StatusOK {
					err = fmt.Errorf("status %d", res.StatusCode)
				}
			}
			answered <- err
		}()
		if _, err := io.WriteString(send, `{"namespace":`); err != nil {
			t.Fatal(err)
		}
		n.must(t, 200, "GET", "/ready", "")
		stopped := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			stopped <- n.Stop(ctx)
		}()
		await(t, "the drain", func() bool { return n.Ready() != nil })
		if _, err := io.WriteString(send, `["late"]}`); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(send.Close(), <-answered); err != nil {
			t.Errorf("the request under way: %v", err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("the drain: %v", err)
		}
	})
}
