package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/management"
)

// The life of a key at a terminal: it works from the moment it is shown until it is
// revoked, and the fields are those that scripts read.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	namespaces := func(key string) int {
		code, _ := request(t, key, http.MethodGet, n.url+"/v1/default/namespaces", "")
		return code
	}

	var fields map[string]any
	n.asJSON(t, &fields, "key", "create", "etl", "--group", "reader,writer", "--tenant", "acme", "--expires", "24h")
	for _, name := range []string{"id", "name", "key", "groups", "tenant", "expires_at"} {
		if fields[name] == nil {
			t.Errorf("no %s in %v", name, fields)
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("further fields: %v", fields)
	}

	var made management.NewKey
	n.asJSON(t, &made, "key", "create", "nightly job", "--group", "writer")
	if made.Tenant != nil || made.ExpiresAt != nil || !slices.Equal(made.Groups, []string{"writer"}) {
		t.Errorf("got %+v", made)
	}
	if code := namespaces(made.Key); code != http.StatusOK {
		t.Errorf("the new key is answered with %d", code)
	}
	var next management.NewKey
	n.asJSON(t, &next, "key", "rotate", made.ID, "--overlap", "1h")
	if next.Principal != made.ID || next.Replaces == nil || next.Replaces.ID != made.ID || next.ID == made.ID || next.Key == made.Key {
		t.Errorf("got %+v", next)
	}
	if a, b := namespaces(made.Key), namespaces(next.Key); a != http.StatusOK || b != http.StatusOK {
		t.Errorf("in the overlap: %d and %d", a, b)
	}
	var revoked management.Key
	n.asJSON(t, &revoked, "key", "revoke", made.ID, "--yes")
	if revoked.Status != "revoked" || revoked.RevokedAt == nil {
		t.Errorf("got %+v", revoked)
	}
	if a, b := namespaces(made.Key), namespaces(next.Key); a != http.StatusUnauthorized || b != http.StatusOK {
		t.Errorf("after the end of the old one: %d and %d", a, b)
	}
	var list []management.Key
	n.asJSON(t, &list, "key", "list")
	if len(list) != 4 || list[0].Name != "bootstrap" || list[3].ID != next.ID || list[3].Principal != made.ID {
		t.Errorf("got %+v", list)
	}
	table, _ := n.run(t, exitDone, "key", "list")
	if strings.Count(table, "\n") != 5 || strings.Contains(table, made.Key) || strings.Contains(table, next.Key) {
		t.Errorf("got\n%s", table)
	}

	// For people: the key, and that it is shown once.
	stdout, stderr := n.run(t, exitDone, "key", "create", "by hand", "--group", "finance")
	if !strings.Contains(stdout, "fb_") || !strings.Contains(stderr, "once") || !strings.Contains(stderr, "warning: group finance") {
		t.Errorf("%q %q", stdout, stderr)
	}
	for says, args := range map[string][]string{
		"--group":    {"key", "create", "x"},
		"--expires":  {"key", "create", "x", "--group", "reader", "--expires", "10ms"},
		"--overlap":  {"key", "rotate", next.ID, "--overlap", "-1h"},
		"--yes":      {"key", "revoke", next.ID},
		"not the ke": {"key", "revoke", next.Key, "--yes"},
	} {
		if _, stderr := n.run(t, exitUsage, args...); !strings.Contains(stderr, says) {
			t.Errorf("%v: %q", args, stderr)
		}
	}
	for says, args := range map[string][]string{
		`"reader"`:     {"key", "create", "x", "--group", "readers"},
		"last key":     {"key", "revoke", list[0].ID, "--yes"},
		"does not exi": {"key", "rotate", "key-0"},
		"has ended":    {"key", "rotate", made.ID},
	} {
		if _, stderr := n.run(t, exitFailed, args...); !strings.Contains(stderr, says) {
			t.Errorf("%v: %q", args, stderr)
		}
	}
	n.run(t, exitDone, "key", "create", "x", "--group", "readers", "--force")
}
