package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/management"
)

// The life of a set of policies at a terminal, from the ready-made one on.
func TestPolicyCommands(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	// What get prints can be put again, and is the same then.
	readyMade, stderr := n.run(t, exitDone, "policy", "get")
	if !strings.Contains(readyMade, `@id("admin")`) || !strings.Contains(stderr, "version 0") {
		t.Fatalf("%q %q", readyMade, stderr)
	}
	var v management.PolicyVersion
	n.asJSON(t, &v, "policy", "put", file("same", readyMade), "--expect", "0")
	if v.Version != 0 || v.Text != nil {
		t.Errorf("got %+v", v)
	}
	closed := readyMade + "\n@id(\"closed\")\nforbid (principal, action, resource in Floeberg::Namespace::\"default/closed\");\n"
	policies := file("policies.cedar", closed)
	if stdout, _ := n.run(t, exitDone, "policy", "validate", policies); stdout != "5 policies, all valid\n" {
		t.Errorf("got %q", stdout)
	}
	if stdout, _ := n.run(t, exitDone, "policy", "put", policies, "--expect", "0", "--comment", "first"); !strings.HasPrefix(stdout, "version 1, put by key-") {
		t.Errorf("got %q", stdout)
	}
	if _, stderr := n.run(t, exitFailed, "policy", "put", policies, "--expect", "0"); !strings.Contains(stderr, "are at version 1 and not 0") {
		t.Errorf("got %q", stderr)
	}
	if again, _ := n.run(t, exitDone, "policy", "get", "--version", "1"); again != closed {
		t.Errorf("got %q", again)
	}
	if stdout, _ := n.run(t, exitDone, "policy", "diff", "0"); !strings.Contains(stdout, "+@id(\"closed\")\n") || !strings.HasPrefix(stdout, "--- cluster version 0\n+++ cluster version 1\n") {
		t.Errorf("got %q", stdout)
	}

	// What is wrong is said as compilers say it.
	wrong := file("wrong.cedar", "permit (principal, action == Floeberg::Action::\"Lod\", resource);\n")
	stdout, stderr := n.run(t, exitFailed, "policy", "validate", wrong)
	if !strings.HasPrefix(stdout, wrong+`:1: policy "policy-1": there is no action "Lod"`) || !strings.Contains(stderr, "not valid") {
		t.Errorf("%q %q", stdout, stderr)
	}
	n.run(t, exitFailed, "policy", "put", wrong)
	// Here the author is who may always mend them.
	var e management.PolicyExplanation
	n.asJSON(t, &e, "policy", "explain", "--principal", "someone", "--group", "writer", "--action", "CommitTable", "--warehouse", "default", "--resource", "table:closed.t")
	if e.Allowed || len(e.Policies) != 1 || e.Policies[0].Policy != "closed" {
		t.Errorf("got %+v", e)
	}
	n.asJSON(t, &e, "policy", "explain", "--principal", "someone", "--group", "admin", "--action", "ShowCluster", "--resource", "cluster", "--authentication", "oidc", "--type", "service")
	if !e.Allowed {
		t.Errorf("got %+v", e)
	}
	n.run(t, exitFailed, "policy", "explain", "--principal", "someone", "--group", "admin", "--action", "ShowCluster", "--resource", "cluster", "--type", "robot")
	stdout, _ = n.run(t, exitDone, "policy", "explain", "--principal", "someone", "--group", "reader", "--action", "LoadTable", "--warehouse", "default", "--resource", `table:"a.b".t`)
	if !strings.HasPrefix(stdout, "allowed: ") || !strings.Contains(stdout, "reader") {
		t.Errorf("got %q", stdout)
	}

	n.asJSON(t, &v, "policy", "rollback", "0", "--comment", "back")
	if v.Version != 2 || *v.RolledBackTo != 0 {
		t.Errorf("got %+v", v)
	}
	var list []management.PolicyVersion
	n.asJSON(t, &list, "policy", "history")
	if len(list) != 2 || list[0].Comment != "back" || !list[0].InForce || list[1].Comment != "first" || list[1].InForce {
		t.Errorf("got %+v", list)
	}
	if table, _ := n.run(t, exitDone, "policy", "history"); !strings.Contains(table, "(version 0 again) back") || strings.Count(table, "\n") != 3 {
		t.Errorf("got\n%s", table)
	}

	// A warehouse's own.
	n.asJSON(t, &v, "policy", "put", file("own", "forbid (principal, action, resource is Floeberg::View);"), "--warehouse", "default")
	if v.Version != 1 || *v.Warehouse != "default" {
		t.Errorf("got %+v", v)
	}
	if table, _ := n.run(t, exitDone, "policy", "list"); !strings.Contains(table, "(the cluster)  2") || !strings.Contains(table, "default        1") {
		t.Errorf("got\n%s", table)
	}

	for says, args := range map[string][]string{
		"--warehouse: it is": {"policy", "get", "--warehouse", ""},
		"no such file":       {"policy", "put", filepath.Join(t.TempDir(), "none")},
		"not \"first\"":      {"policy", "rollback", "first"},
		"one or two":         {"policy", "diff"},
		"--action":           {"policy", "explain", "--principal", "x", "--resource", "cluster"},
		"--resource":         {"policy", "explain", "--principal", "x", "--action", "LoadTable", "--resource", "t", "--warehouse", "default"},
		"--warehouse is mis": {"policy", "explain", "--principal", "x", "--action", "LoadTable", "--resource", "table:a.t"},
		"a namespace and a":  {"policy", "explain", "--principal", "x", "--action", "LoadTable", "--resource", "table:t", "--warehouse", "default"},
		"--time":             {"policy", "explain", "--principal", "x", "--action", "ShowCluster", "--resource", "cluster", "--time", "noon"},
		"all sets":           {"policy", "list", "--warehouse", "default"},
	} {
		if _, stderr := n.run(t, exitUsage, args...); !strings.Contains(stderr, says) {
			t.Errorf("%v: %q", args, stderr)
		}
	}
	if code, _ := request(t, testKey, http.MethodGet, n.url+"/v1/default/namespaces", ""); code != http.StatusOK {
		t.Errorf("the catalog answers %d", code)
	}
}
