package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/management"
)

// The life of a warehouse at a terminal.
func TestWarehouseCommands(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "made")
	n := serveInProcess(t, "warehouse-locations", "file://"+place)
	root := "file://" + place + "/w"
	var made, got management.Warehouse
	n.asJSON(t, &made, "warehouse", "create", "w", "--root", root, "--allow-locations", "file://"+place+"/more, ")
	if made.Name != "w" || made.Root != root || len(made.AllowedRoots) != 1 || made.FromSettings || made.OwnCredentials {
		t.Errorf("got %+v", made)
	}
	n.asJSON(t, &got, "warehouse", "update", "w", "--allow-locations", "", "--expect", fmt.Sprint(made.Generation))
	if len(got.AllowedRoots) != 0 || got.Generation <= made.Generation {
		t.Errorf("got %+v", got)
	}
	if stdout, _ := n.run(t, exitDone, "warehouse", "show", "w"); !strings.Contains(stdout, root) || !strings.Contains(stdout, "the nodes' own rights") {
		t.Errorf("got %q", stdout)
	}
	if stdout, _ := n.run(t, exitDone, "warehouse", "list"); !strings.Contains(stdout, "default") || !strings.Contains(stdout, root) {
		t.Errorf("got %q", stdout)
	}
	if _, stderr := n.run(t, exitFailed, "warehouse", "create", "x", "--root", root); !strings.Contains(stderr, "of another warehouse") {
		t.Errorf("got %q", stderr)
	}
	if _, stderr := n.run(t, exitFailed, "warehouse", "update", "w", "--path-style", "--expect", "1"); !strings.Contains(stderr, "and not 1") {
		t.Errorf("got %q", stderr)
	}
	if _, stderr := n.run(t, exitUsage, "warehouse", "delete", "w"); !strings.Contains(stderr, "--yes") {
		t.Errorf("got %q", stderr)
	}
	var deleted struct{ Deleted string }
	if n.asJSON(t, &deleted, "warehouse", "delete", "w", "--yes", "--expect", fmt.Sprint(got.Generation)); deleted.Deleted != "w" {
		t.Errorf("got %+v", deleted)
	}
	n.run(t, exitFailed, "warehouse", "show", "w")
	if _, stderr := n.run(t, exitFailed, "warehouse", "delete", "default", "--yes"); !strings.Contains(stderr, "nodes' settings") {
		t.Errorf("got %q", stderr)
	}

	const secret = "a-secret-that-nobody-may-see"
	wrong := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(wrong, []byte(`{"access_key_id": "k", "secret": "`+secret+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, args := range map[string][]string{
		"a name for the":     {"warehouse", "create", "--root", root},
		"--root":             {"warehouse", "create", "w"},
		"a flag that says":   {"warehouse", "update", "w"},
		"expected a file":    {"warehouse", "update", "w", "--credentials", ""},
		"no such file":       {"warehouse", "update", "w", "--credentials", filepath.Join(t.TempDir(), "none")},
		"secret_access_key,": {"warehouse", "create", "w", "--root", "s3://lake", "--credentials", wrong},
	} {
		if _, stderr := n.run(t, exitUsage, args...); !strings.Contains(stderr, says) || strings.Contains(stderr, secret) {
			t.Errorf("%v: %q", args, stderr)
		}
	}
}

// A file of credentials is what clouds give, or what the help says.
func TestParseCredentials(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		`{"access_key_id": "k", "secret_access_key": "s"}`:          `{"access_key_id":"k","secret_access_key":"s"}`,
		`{"sas_token": "sv=1&sig=2"}`:                               `{"sas_token":"sv=1\u0026sig=2"}`,
		`{"type": "service_account", "client_email": "a@b"}`:        `{"service_account_key":{"type":"service_account","client_email":"a@b"}}`,
		`{"type":"external_account","credential_source":{"a":"b"}}`: `{"service_account_key":{"type":"external_account","credential_source":{"a":"b"}}}`,
	} {
		c, err := parseCredentials([]byte(given))
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got, err := json.Marshal(c); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", given, got, err)
		}
	}
	for _, given := range []string{``, `[]`, `"s"`, `{"access_key_id": 1}`, `{"password": "s"}`, `{`} {
		if c, err := parseCredentials([]byte(given)); err == nil {
			t.Errorf("%s: %+v", given, c)
		}
	}
}
