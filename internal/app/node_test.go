package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/test/output"
)

const adminKey = "fb_test_0123456789abcdef"

// node is a whole node in this process.
type node struct {
	*app.App
	dir      string
	key      string
	log, out *output.Buffer
	client   *http.Client
}

type flags map[string]string

// settings are those of a node by itself on free ports, and what else is asked for.
func settings(t *testing.T, dir string, more flags) *config.Config {
	t.Helper()
	all := map[string]string{
		"node-id": "n1", "data-dir": dir, "log-level": "debug",
		"http-listen": "127.0.0.1:0", "cluster-listen": "127.0.0.1:0", "gossip-listen": "127.0.0.1:0",
	}
	for k, v := range more {
		all[k] = v
	}
	cfg, err := config.Load(config.Sources{Flags: all})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func newNode(t *testing.T, dir string, more flags) *node {
	t.Helper()
	n := &node{dir: dir, key: more["bootstrap-key"], log: &output.Buffer{}, out: &output.Buffer{}}
	n.client = &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	a, err := app.New(app.Options{Config: settings(t, dir, more), Version: "test", Log: n.log, Out: n.out})
	if err != nil {
		t.Fatal(err)
	}
	n.App = a
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", dir, n.log)
		}
	})
	return n
}

// start starts a node that the end of the test stops.
func start(t *testing.T, dir string, more flags) *node {
	t.Helper()
	n := newNode(t, dir, more)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop(t) })
	return n
}

func startReady(t *testing.T, dir string, more flags) *node {
	t.Helper()
	n := start(t, dir, more)
	n.awaitReady(t)
	return n
}

// stop drains the node. Doing it again does nothing.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	awaitPolling(t, 5*time.Millisecond, what, done)
}

func awaitPolling(t *testing.T, every time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(every) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (n *node) awaitReady(t *testing.T) {
	t.Helper()
	await(t, "the node to be ready", func() bool {
		code, _ := n.try(t, http.MethodGet, "/ready", "")
		return code == http.StatusOK
	})
}

// try sends a request; the code is 0 where there was no answer.
func (n *node) try(t *testing.T, method, path, body string) (code int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, n.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if n.key != "" {
		req.Header.Set("Authorization", "Bearer "+n.key)
	}
	res, err := n.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(raw)
}

// must sends a request that is answered as expected.
func (n *node) must(t *testing.T, want int, method, path, body string) string {
	t.Helper()
	code, answer := n.try(t, method, path, body)
	if code != want {
		t.Fatalf("%s %s: %d %s, want %d", method, path, code, answer, want)
	}
	return answer
}

// halfARequest sends a request but for the end of its body, and returns when the
// node has its connection.
func (n *node) halfARequest(t *testing.T, path, body string) net.Conn {
	t.Helper()
	n.client.CloseIdleConnections()
	// One connection for all its requests: another one that is just being closed
	// would be taken for the one that is to come.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	probe := &node{App: n.App, client: &http.Client{Transport: transport}}
	connections := func(want int) {
		await(t, fmt.Sprintf("%d connections", want), func() bool {
			_, metrics := probe.try(t, http.MethodGet, "/metrics", "")
			return strings.Contains(metrics, fmt.Sprintf("floeberg_active_connections %d\n", want))
		})
	}
	connections(1) // the probe's own
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		path, n.key, len(body), body[:len(body)/2])
	if err != nil {
		t.Fatal(err)
	}
	connections(2)
	return conn
}

const table = `{"name":"floes","schema":{"type":"struct","fields":[{"id":1,"name":"id","type":"long","required":false}]}}`

func property(key, value string) string {
	return `{"requirements":[],"updates":[{"action":"set-properties","updates":{"` + key + `":"` + value + `"}}]}`
}

func metadataOf(t *testing.T, answer string) map[string]any {
	t.Helper()
	var body struct {
		Metadata map[string]any `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(answer), &body); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return body.Metadata
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}
