package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What policies restrict is explained at a terminal.
func TestRestrictionsExplained(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t, "read-restrictions", "on")
	post := func(path, body string) {
		t.Helper()
		if code, answer := request(t, testKey, http.MethodPost, n.url+"/v1/default/namespaces"+path, body); code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, code, answer)
		}
	}
	post("", `{"namespace":["a"]}`)
	post("/a/tables", `{"name":"t","schema":{"type":"struct","fields":[{"id":1,"name":"ssn","type":"string","required":false},{"id":2,"name":"region","type":"string","required":false}]}}`)
	policies := filepath.Join(t.TempDir(), "policies.cedar")
	text := `@id("admin") permit (principal in Floeberg::Group::"admin", action, resource);
@id("eu") @row_filter("{\"type\":\"eq\",\"term\":\"region\",\"value\":\"EU\"}") @column_mask("{\"ssn\":\"show-last-4\"}")
permit (principal in Floeberg::Group::"analyst", action in Floeberg::Action::"Read", resource);
@id("gone") @column_mask("{\"nothing\":\"mask-alphanum\"}")
permit (principal in Floeberg::Group::"late", action in Floeberg::Action::"Read", resource);
`
	if err := os.WriteFile(policies, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := command(t, append(args, "--addr", n.url, "--key", testKey)...)
		if code != exitDone {
			t.Fatalf("%v: exit code %d, %q %q", args, code, stdout, stderr)
		}
		return stdout
	}
	run("policy", "put", policies)
	explain := func(group string) string {
		t.Helper()
		return run("policy", "explain", "--principal", "x", "--group", group, "--action", "LoadTable", "--warehouse", "default", "--resource", "table:a.t")
	}
	for group, wants := range map[string][]string{
		"analyst": {"RESTRICTS", "column ssn  show-last-4", `"name":"region"`, `readers of the table are told: {"required-column-projections":[{"field-id":1,"action":"show-last-4"}]`},
		"late":    {"column nothing", "nothing of the table is shown: ", "policy cluster/gone: there is no column nothing"},
	} {
		got := explain(group)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", group, want, got)
			}
		}
	}
	if got := explain("admin"); strings.Contains(got, "RESTRICTS") || strings.Contains(got, "readers") {
		t.Errorf("got\n%s", got)
	}
}
