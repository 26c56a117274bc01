package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// floeberg runs the program as a person does, with address and key in the
// environment.
func floeberg(t *testing.T, addr string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	program, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "FLOEBERG_ADDR="+addr, "FLOEBERG_KEY="+cluster.Key)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestCommandsWithOneNodeGone runs the commands against three nodes of which the
// leader is killed: the others answer, reads and changes, each command once.
func TestCommandsWithOneNodeGone(t *testing.T) {
	s := start(t, cluster.Options{})
	c := s.Client()
	ns := namespace(t, c)
	name, made := table(t, c, ns)
	leader := s.Nodes[s.MustLeader(t)]
	if err := leader.Kill9(); err != nil {
		t.Fatal(err)
	}
	addr := leader.URL
	for _, url := range s.URLs() {
		if url != leader.URL {
			addr += "," + url
		}
	}
	for _, args := range [][]string{
		{"namespace", "list"}, {"table", "list", ns}, {"table", "show", ns + "." + name}, {"table", "verify", "--all"},
		{"table", "rebuild", ns + "." + name, "--yes"}, {"warehouse", "list"},
	} {
		code, stdout, stderr := floeberg(t, addr, append(args, "--output", "json")...)
		if code != 0 || !json.Valid([]byte(stdout)) {
			t.Errorf("%v: exit code %d, %q %q", args, code, stdout, stderr)
		}
	}
	code, stdout, stderr := floeberg(t, addr, "debug", "bundle", "--out", filepath.Join(t.TempDir(), "b.tar.gz"), "--output", "json")
	var bundle struct {
		Missing []struct{ Node, Reason string }
	}
	if err := json.Unmarshal([]byte(stdout), &bundle); err != nil || code != 0 || len(bundle.Missing) != 1 || bundle.Missing[0].Node != leader.ID || bundle.Missing[0].Reason == "" {
		t.Errorf("a bundle without the dead node: exit code %d, %v, %q %q", code, err, stdout, stderr)
	}
	_, stdout, _ = floeberg(t, addr, "table", "show", ns+"."+name, "--output", "json")
	var shown struct {
		MetadataLocation string `json:"metadata_location"`
	}
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || shown.MetadataLocation != made.MetadataLocation {
		t.Errorf("%v, %q, want %s", err, stdout, made.MetadataLocation)
	}
	do(t, s.Client(), http.StatusOK, client.NamespaceRequest(c, nil, fresh("ns")))

	code, _, stderr = floeberg(t, leader.URL, "namespace", "list")
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, leader.URL) {
		t.Errorf("the dead node alone: exit code %d, %q", code, stderr)
	}
}
