package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/test/port"
)

func TestOneNodeFromStartToRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	n := startReady(t, dir, flags{"bootstrap-key": adminKey})
	n.must(t, 200, "POST", "/v1/default/namespaces", `{"namespace":["polar"],"properties":{"owner":"nansen"}}`)
	n.must(t, 200, "POST", "/v1/default/namespaces/polar/tables", table)
	n.must(t, 200, "POST", "/v1/default/namespaces/polar/tables/floes", property("drift", "east"))
	before := n.must(t, 200, "GET", "/v1/default/namespaces/polar/tables/floes", "")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder is open to others: %v, %v", info, err)
	}
	n.stop(t)
	if code, _ := n.try(t, "GET", "/health", ""); code != 0 {
		t.Errorf("a stopped node answers: %d", code)
	}

	begun := time.Now()
	again := startReady(t, dir, flags{"bootstrap-key": adminKey})
	t.Logf("ready again after %s", time.Since(begun))
	after := again.must(t, 200, "GET", "/v1/default/namespaces/polar/tables/floes", "")
	if before != after {
		t.Errorf("before the restart %s, after it %s", before, after)
	}
	props, _ := metadataOf(t, after)["properties"].(map[string]any)
	if props["drift"] != "east" {
		t.Errorf("the commit is gone: %s", after)
	}
	again.must(t, 200, "POST", "/v1/default/namespaces/polar/tables/floes", property("drift", "west"))
	if got := again.must(t, 200, "GET", "/v1/default/namespaces/polar", ""); !strings.Contains(got, "nansen") {
		t.Error(got)
	}
}

func TestLiveAtOnceReadyOnlyWithALeader(t *testing.T) {
	t.Parallel()
	// It waits for two others, who never come.
	n := start(t, t.TempDir(), flags{"bootstrap-expect": "3", "auth": "off", "read-consistency": "stale"})
	n.must(t, 200, "GET", "/health", "")
	if got := n.must(t, 503, "GET", "/ready", ""); !strings.Contains(got, "not yet in a cluster") || !strings.Contains(got, `"code":503`) {
		t.Errorf("no reason: %s", got)
	}
	n.must(t, 200, "GET", "/metrics", "")
	if err := n.Ready(); err == nil {
		t.Error("it says that it is ready")
	}
	// Stale reads need no leader: this one would wait for one otherwise.
	n.must(t, 404, "GET", "/v1/config", "")
}

func TestTwoProcessesInOneFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startReady(t, dir, flags{"bootstrap-key": adminKey})
	second := newNode(t, dir, nil)
	err := second.Start(t.Context())
	if !errors.Is(err, app.ErrFolderInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the second one: %v", err)
	}
	n.must(t, 200, "GET", "/v1/default/namespaces", "")
}

func TestAFailedStartLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	for name, more := range map[string]flags{
		"http-listen": {"http-listen": taken.Addr().String()},
		"cluster":     {"cluster-listen": taken.Addr().String()},
	} {
		n := newNode(t, dir, more)
		if err := n.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	startReady(t, dir, flags{"bootstrap-key": adminKey})
}

func TestRequestsUnderWayFinish(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	const body = `{"namespace":["late"]}`
	conn := n.halfARequest(t, namespaces, body)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stopped <- n.Stop(ctx)
	}()
	await(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", n.Addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("ready while draining: %v", err)
	}
	if _, err := conn.Write([]byte(body[len(body)/2:])); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the request under way: %s", answer.Status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// A request that waits for a leader longer than a stop may take gets an answer
// before its connection is closed, and the stop is one in good order.
func TestRequestsThatWaitTooLongAreAnswered(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), flags{
		"auth": "off", "bootstrap-expect": "3", "join": port.Address(t),
	})
	const body = `{"namespace":["early"]}`
	conn := n.halfARequest(t, namespaces, body)
	if _, err := conn.Write([]byte(body[len(body)/2:])); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the request was answered with %s", answer.Status)
	}
}

func TestAuthOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startReady(t, dir, flags{"auth": "off"})
	n.must(t, 200, "POST", "/v1/default/namespaces", `{"namespace":["a"]}`)
	n.stop(t)
	if exists(t, filepath.Join(dir, "admin.key")) || n.out.String() != "" {
		t.Errorf("a key was minted that nobody needs: %s", n.out)
	}
	// Switched on later, the cluster gets its first key then.
	on := startReady(t, dir, nil)
	on.must(t, 401, "GET", "/v1/default/namespaces", "")
	await(t, "the key", func() bool { return exists(t, filepath.Join(dir, "admin.key")) })
}

func TestWarehouseSettings(t *testing.T) {
	t.Parallel()
	dir, root, extra := t.TempDir(), t.TempDir(), t.TempDir()
	set := flags{
		"bootstrap-key": adminKey, "warehouse": "file://" + root, "warehouse-name": "north",
		"allow-locations": "file://" + extra,
	}
	n := startReady(t, dir, set)
	n.must(t, 404, "GET", "/v1/config?warehouse=default", "")
	if got := n.must(t, 200, "GET", "/v1/config", ""); !strings.Contains(got, `"prefix":"north"`) {
		t.Error(got)
	}
	if got := n.must(t, 200, "POST", "/v1/north/namespaces", `{"namespace":["a"]}`); !strings.Contains(got, root) {
		t.Error(got)
	}
	placed := strings.Replace(table, `{`, `{"location":"file://`+extra+`/t",`, 1)
	if got := n.must(t, 200, "POST", "/v1/north/namespaces/a/tables", placed); !strings.Contains(got, extra) {
		t.Error(got)
	}
	outside := strings.Replace(strings.Replace(table, "floes", "other", 1), `{`, `{"location":"file:///srv/elsewhere",`, 1)
	if code, _ := n.try(t, "POST", "/v1/north/namespaces/a/tables", outside); code != 400 && code != 403 {
		t.Errorf("a table outside of all roots: %d", code)
	}
	n.stop(t)

	// What the cluster knows counts, not what one node is told later.
	set["warehouse"] = "file://" + t.TempDir()
	moved := startReady(t, dir, set)
	if got := moved.must(t, 200, "GET", "/v1/north/namespaces/a/tables/floes", ""); !strings.Contains(got, extra) {
		t.Error(got)
	}
	moved.must(t, 200, "POST", "/v1/north/namespaces/a/tables/floes", property("k", "v"))
	if !strings.Contains(moved.log.String(), "the cluster's counts") {
		t.Error("nobody is told that the setting has no effect")
	}
}

func TestRequestIDInEveryLine(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey, "log-format": "json"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+"/v1/default/namespaces", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	req.Header.Set("X-Request-Id", "look-for-me")
	res, err := n.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.Header.Get("X-Request-Id") != "look-for-me" {
		t.Error(res.Header)
	}
	await(t, "the line", func() bool { return strings.Contains(n.log.String(), `"request_id":"look-for-me"`) })
}

func TestVerifyMetadata(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]int{"on": 404, "off": 200} {
		n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey, "verify-metadata": setting})
		n.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
		made := n.must(t, 200, "POST", namespaces+"/a/tables", table)
		n.must(t, 200, "GET", namespaces+"/a/tables/floes", "")
		var answer struct {
			Location string `json:"metadata-location"`
		}
		if err := json.Unmarshal([]byte(made), &answer); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(strings.TrimPrefix(answer.Location, "file://")); err != nil {
			t.Fatal(err)
		}
		got := n.must(t, want, "GET", namespaces+"/a/tables/floes", "")
		if missing := "Failed to open input stream for file: " + answer.Location; want == 404 && !strings.Contains(got, missing) {
			t.Errorf("got %s", got)
		}
	}
}

func TestReadRestrictions(t *testing.T) {
	t.Parallel()
	policies, err := json.Marshal(map[string]string{
		"text": `@row_filter("{\"type\":\"is-null\",\"term\":\"x\"}") permit (principal in Floeberg::Group::"admin", action, resource);`,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	on := startReady(t, dir, flags{"bootstrap-key": adminKey, "read-restrictions": "on"})
	on.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	on.must(t, 200, "POST", namespaces+"/a/tables", table)
	on.must(t, 200, "PUT", "/management/v1/policies", string(policies))
	if got := on.must(t, 403, "GET", namespaces+"/a/tables/floes", ""); !strings.Contains(got, "X-Iceberg-Client-Capabilities") {
		t.Error(got)
	}
	on.stop(t)
	off := startReady(t, dir, flags{"bootstrap-key": adminKey})
	if got := off.must(t, 400, "PUT", "/management/v1/policies", string(policies)); !strings.Contains(got, "--read-restrictions") {
		t.Error(got)
	}
	if got := off.must(t, 403, "GET", namespaces+"/a/tables/floes", ""); !strings.Contains(got, "--read-restrictions is off") {
		t.Error(got)
	}
}
