package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/ops/audit"
)

func TestAuditCommands(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	n := serveInProcess(t, "audit-log", file)
	n.post(t, "/v1/default/namespaces", `{"namespace":["a.b"]}`)
	n.post(t, "/v1/default/namespaces/a.b/properties", `{"updates":{"k":"v"}}`)
	n.post(t, "/v1/default/namespaces", `{"namespace":["d"]}`)
	list := func(args ...string) (out []management.AuditRecord) {
		n.asJSON(t, &out, append([]string{"audit", "list"}, args...)...)
		return out
	}
	if got := list("--action", "CreateNamespace", "--event", "outcome", "--since", "1h"); len(got) == 0 || got[0].Status == 0 {
		t.Errorf("%+v", got)
	}
	if got := list("--limit", "1"); len(got) != 1 {
		t.Errorf("%d records", len(got))
	}
	if got := list("--limit", "0"); len(got) < 4 {
		t.Errorf("%d records", len(got))
	}
	if got := list("--resource", `"a.b"`); len(got) != 3 || got[0].Action != "UpdateNamespace" {
		t.Errorf("%+v", got)
	}
	code, stdout, _ := n.command(t, "audit", "list", "--decision", "allow")
	if code != exitDone || !strings.Contains(stdout, "CreateNamespace") || !strings.HasPrefix(stdout, "TIME") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}

	// The node's own files, and the same ones from here.
	for _, args := range [][]string{{}, {file}, {file, "--offline"}} {
		code, stdout, stderr := n.command(t, append([]string{"audit", "verify"}, args...)...)
		if code != exitDone || !strings.Contains(stdout, "nothing removed") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		if offline := len(args) > 1; offline != strings.Contains(stdout, "without what the cluster remembers") {
			t.Errorf("%v: %s", args, stdout)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(raw), "\n")
	altered := filepath.Join(t.TempDir(), "altered")
	if err := os.WriteFile(altered, []byte(strings.Join(append(lines[:1], lines[2:]...), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := n.command(t, "audit", "verify", altered, "--offline", "--output", "json")
	var v audit.Verification
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != exitFailed || len(v.Findings) != 1 || !strings.Contains(stderr, "not as it was written") {
		t.Errorf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	code, stdout, _ = n.command(t, "audit", "verify", altered, "--offline")
	if code != exitFailed || !strings.Contains(stdout, "records 2 to 2 are missing") || !strings.Contains(stdout, altered+":2") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}

	for says, args := range map[string][]string{
		"--since":      {"audit", "list", "--since", "yesterday"},
		"--until":      {"audit", "list", "--until", "x"},
		"--limit":      {"audit", "list", "--limit", "-1"},
		"unexpected":   {"audit", "list", "x"},
		"needs files":  {"audit", "verify", "--offline"},
		"is empty":     {"audit", "verify", ""},
		"unknown flag": {"audit", "verify", "--of"},
	} {
		if code, _, stderr := n.command(t, args...); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	for says, args := range map[string][]string{
		"decision must be": {"audit", "list", "--decision", "maybe"},
		"no such file":     {"audit", "verify", "--offline", filepath.Join(t.TempDir(), "none")},
	} {
		if code, _, stderr := n.command(t, args...); code != exitFailed || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	if code, _, stderr := command(t, "audit", "verify", file, "--addr", "http://127.0.0.1:1", "--key", "x"); code != exitFailed || !strings.Contains(stderr, "--offline") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
