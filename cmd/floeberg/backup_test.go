package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The commands against a node, against its store when the node is out of reach,
// and used wrongly.
func TestBackupCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := filepath.Join(dir, "snapshots")
	url := "file://" + store
	n := serveInProcess(t, "snapshot-store", url)
	n.post(t, "/v1/default/namespaces", `{"namespace":["a"]}`)

	var made struct {
		ID     string `json:"id"`
		Object string `json:"object"`
	}
	code, stdout, stderr := n.command(t, "backup", "create", "--output", "json")
	if err := json.Unmarshal([]byte(stdout), &made); err != nil || code != exitDone || made.ID == "" {
		t.Fatalf("exit code %d, %v: %q %q", code, err, stdout, stderr)
	}
	if !strings.Contains(stderr, "waiting\n") && !strings.Contains(stderr, "writing") && stderr != "" {
		t.Errorf("progress: %q", stderr)
	}
	from := []string{"--from", url}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"backup", "list"}, made.ID},
		{[]string{"backup", "show", made.ID}, "state checksum"},
		{[]string{"backup", "show", "newest"}, made.ID},
		{[]string{"backup", "verify"}, "restored"},
		{[]string{"backup", "verify", made.ID}, made.ID},
	} {
		for _, where := range [][]string{nil, from} {
			code, stdout, stderr := n.command(t, append(tc.args, where...)...)
			if code != exitDone || !strings.Contains(stdout, tc.want) {
				t.Errorf("%v %v: exit code %d, %q %q", tc.args, where, code, stdout, stderr)
			}
		}
	}

	body, err := os.ReadFile(filepath.Join(store, onlyEntry(t, store), "snapshots", made.Object))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(store, onlyEntry(t, store), "snapshots", made.Object), body[:len(body)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, where := range [][]string{nil, from} {
		code, stdout, _ := n.command(t, append([]string{"backup", "list", "--output", "json"}, where...)...)
		if code != exitDone || !strings.Contains(stdout, "bytes instead of") {
			t.Errorf("%v: a damaged one is listed as %q", where, stdout)
		}
		if code, _, stderr := n.command(t, append([]string{"backup", "verify", made.ID}, where...)...); code != exitFailed || !strings.Contains(stderr, "bytes instead of") {
			t.Errorf("%v: a damaged one: exit code %d, %q", where, code, stderr)
		}
	}

	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"backup", "show"}, exitUsage, "expected a snapshot's id"},
		{[]string{"backup", "show", "nothing"}, exitFailed, `no "nothing"`},
		{[]string{"backup", "verify", "a", "b"}, exitUsage, "unexpected argument"},
		{[]string{"backup", "list", "--from", "file://" + dir + "/nowhere"}, exitFailed, "no such file"},
		{[]string{"backup", "list", "--from", "file://" + dir}, exitFailed, "no such snapshot"},
		{[]string{"backup", "list", "--from", "ftp://x"}, exitUsage, "--from"},
		{[]string{"backup", "list", "--from", url, "--snapshot-key", dir + "/nowhere"}, exitUsage, "snapshot-key"},
		{[]string{"backup", "keygen"}, exitUsage, "--out"},
	} {
		code, stdout, stderr := n.command(t, tc.args...)
		if code != tc.code || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%v: exit code %d, %q %q", tc.args, code, stdout, stderr)
		}
	}
}

func onlyEntry(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	return entries[0].Name()
}

func TestBackupWithoutAStore(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	for _, args := range [][]string{{"create"}, {"list"}, {"show", "newest"}, {"verify"}} {
		code, _, stderr := n.command(t, append([]string{"backup"}, args...)...)
		if code != exitFailed || !strings.Contains(stderr, "--snapshot-store") {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}

func TestBackupKeygen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	code, stdout, stderr := command(t, "backup", "keygen", "--out", file, "--output", "json")
	var made struct{ File, Recipient string }
	if err := json.Unmarshal([]byte(stdout), &made); err != nil || code != exitDone || !strings.HasPrefix(made.Recipient, "age1") {
		t.Fatalf("exit code %d, %v: %q %q", code, err, stdout, stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), made.Recipient) || strings.Contains(stdout, "SECRET") {
		t.Errorf("%v", err)
	}
	if code, _, stderr := command(t, "backup", "keygen", "--out", file); code != exitFailed || !strings.Contains(stderr, file+" is there already: nothing is overwritten") {
		t.Errorf("a second time: exit code %d, %q", code, stderr)
	}
}
