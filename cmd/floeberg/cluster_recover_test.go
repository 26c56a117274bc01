package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/floeberg/floeberg/test/port"
)

func TestClusterRecover(t *testing.T) {
	t.Parallel()
	dir, at, cluster := filepath.Join(t.TempDir(), "data"), port.Address(t), port.Address(t)
	serve := []string{"serve", "--node-id", "n1", "--data-dir", dir, "--http-listen", at, "--cluster-listen", cluster, "--gossip-listen", "127.0.0.1:0"}
	running := func() *process {
		t.Helper()
		p := launch(t, serve...)
		await(t, "readiness", func() bool {
			code, _ := request(t, testKey, "GET", "http://"+at+"/ready", "")
			return code == http.StatusOK
		})
		return p
	}
	p := running()
	if code, answer := request(t, testKey, "POST", "http://"+at+"/v1/default/namespaces", `{"namespace":["a"]}`); code != http.StatusOK {
		t.Fatalf("%d %s", code, answer)
	}
	refused := func(want int, says string, args ...string) {
		t.Helper()
		code, stdout, stderr := command(t, append([]string{"cluster", "recover"}, args...)...)
		last := lastLine(stderr)
		if code != want || stdout != "" || !strings.HasPrefix(last, "floeberg: ") || !strings.Contains(last, says) {
			t.Errorf("%v: exit code %d, %q %q; want %d and %q", args, code, stdout, stderr, want, says)
		}
	}
	refused(exitFailed, "in use by another process", "--data-dir", dir, "--yes")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != exitDone {
		t.Fatalf("it ended with %d", code)
	}

	peers := filepath.Join(t.TempDir(), "peers.json")
	if err := os.WriteFile(peers, []byte(`[{"id":"n2","address":"10.0.0.2:8182"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(exitUsage, "--data-dir is needed")
	refused(exitUsage, "--survey", "--data-dir", dir, "--data-dir", dir)
	refused(exitUsage, "there is no raft", "--data-dir", filepath.Join(dir, "x"))
	refused(exitUsage, "n1, whose folder this is", "--data-dir", dir, "--peers", peers)
	refused(exitUsage, "--yes", "--data-dir", dir)

	code, stdout, stderr := command(t, "cluster", "recover", "--survey", "--data-dir", dir, "--output", "json")
	var survey surveyInfo
	if err := json.Unmarshal([]byte(stdout), &survey); err != nil || code != exitDone || survey.Best != dir || len(survey.Folders) != 1 || survey.Folders[0].NodeID != "n1" {
		t.Fatalf("%d %v %s %s", code, err, stdout, stderr)
	}
	if code, stdout, _ := command(t, "cluster", "recover", "--survey", "--data-dir", dir); code != exitDone || !strings.Contains(stdout, "n1 "+cluster) {
		t.Errorf("%d %s", code, stdout)
	}

	code, stdout, stderr = command(t, "cluster", "recover", "--data-dir", dir, "--yes", "--output", "json")
	var done recoveryInfo
	if err := json.Unmarshal([]byte(stdout), &done); err != nil || code != exitDone || done.NodeID != "n1" || done.LastIndex != survey.Folders[0].LastIndex || len(done.Members) != 1 {
		t.Fatalf("%d %v %s %s", code, err, stdout, stderr)
	}
	if !strings.Contains(stderr, "are lost; the last change that this folder knows is from ") {
		t.Errorf("the bound of the loss is not said: %s", stderr)
	}
	if _, err := os.Stat(filepath.Join(done.KeptIn, "raft", "raft.db")); err != nil {
		t.Error(err)
	}
	running()
	if code, answer := request(t, testKey, "GET", "http://"+at+"/v1/default/namespaces/a", ""); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
}
