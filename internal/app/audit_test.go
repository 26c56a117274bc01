package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/ops/audit"
)

func read[T any](t *testing.T, n *node, path string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(n.must(t, http.StatusOK, "GET", path, "")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// What was done on any node is listed by every node, with the log index at which it
// took place.
func TestAuditOfACluster(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t, flags{"bootstrap-key": adminKey})
	for i, n := range nodes {
		n.must(t, 200, "POST", namespaces, `{"namespace":["a`+string(rune('0'+i))+`"]}`)
	}
	for _, n := range nodes {
		list := read[management.AuditList](t, n, "/management/v1/audit?action=CreateNamespace&event=outcome")
		if len(list.Records) != 3 || len(list.Missing) != 0 {
			t.Fatalf("%+v", list)
		}
		seen := map[string]bool{}
		for _, r := range list.Records {
			seen[r.Node] = true
			if r.Index == 0 || r.Status != 200 || r.Source != "127.0.0.1" || r.PrincipalName != "bootstrap" {
				t.Errorf("%+v", r)
			}
		}
		if len(seen) != 3 {
			t.Errorf("of the nodes %v", seen)
		}
	}
	await(t, "the cluster to know all logs", func() bool {
		return len(read[management.AuditHeads](t, nodes[0], "/management/v1/audit/heads").Heads) == 3
	})
	v := read[management.AuditVerification](t, nodes[1], "/management/v1/audit/verify")
	if !v.OK || len(v.Nodes) != 3 {
		t.Errorf("%+v", v)
	}
	for _, n := range v.Nodes {
		if n.Verification == nil || n.Verification.Records == 0 || len(n.Verification.Nodes) != 1 || n.Verification.Nodes[0].ProvenTo == 0 {
			t.Errorf("%s: %+v", n.Node, n.Verification)
		}
	}
}

// After a stop in good order the whole log is vouched for; what is then taken out of
// it, or cut off, is found by the cluster.
func TestAnAlteredAuditLogIsFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(lines []string) []string{
		"as it was": func(lines []string) []string { return lines },
		"altered": func(lines []string) []string {
			lines[2] = strings.Replace(lines[2], `"event"`, `"event" `, 1)
			return lines
		},
		"removed": func(lines []string) []string { return append(lines[:2], lines[3:]...) },
		"cut off": func(lines []string) []string { return lines[:len(lines)-1] },
		"gone":    func([]string) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			more := flags{"bootstrap-key": adminKey}
			n := startReady(t, dir, more)
			for _, name := range []string{"a", "b", "c"} {
				n.must(t, 200, "POST", namespaces, `{"namespace":["`+name+`"]}`)
			}
			n.stop(t)
			path := filepath.Join(dir, "audit", "audit.jsonl")
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
			lines[len(lines)-1] += "\n"
			end, err := audit.ParseLine([]byte(strings.TrimSuffix(lines[len(lines)-1], "\n")))
			if err != nil || end.Event != audit.End {
				t.Fatalf("the log ends with %+v, %v", end, err)
			}
			if err := os.WriteFile(path, []byte(strings.Join(change(lines), "")), 0o600); err != nil {
				t.Fatal(err)
			}
			n = startReady(t, dir, more)
			v := read[management.AuditVerification](t, n, "/management/v1/audit/verify")
			if v.OK != (name == "as it was") {
				t.Errorf("%+v", v.Nodes[0].Verification)
			}
			if name == "as it was" && v.Nodes[0].Verification.Nodes[0].ProvenTo < end.Seq {
				t.Errorf("not all of a life that has ended is vouched for: %+v", v.Nodes[0].Verification)
			}
		})
	}
}

// While the audit log can't be written, a node that is to refuse changes then does,
// and says so; one that is to count goes on.
func TestAuditLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for way, status := range map[string]int{"refuse": http.StatusServiceUnavailable, "count": http.StatusOK} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "log")
			n := startReady(t, t.TempDir(), flags{
				"bootstrap-key": adminKey, "audit-log": "syslog+unix://" + socket, "audit-on-failure": way,
			})
			await(t, "the warning", func() bool {
				return strings.Contains(n.must(t, 200, "GET", "/ready", ""), "the audit log (syslog) can't be written")
			})
			n.must(t, status, "POST", namespaces, `{"namespace":["a"]}`)
			n.must(t, 200, "GET", namespaces, "")
			if answer := n.must(t, 200, "GET", "/ready", ""); strings.Contains(answer, socket) {
				t.Errorf("anybody learns where the log goes: %s", answer)
			}
			if answer := n.must(t, 200, "GET", "/management/v1/cluster", ""); !strings.Contains(answer, "can't write its audit log") {
				t.Errorf("no warning in %s", answer)
			}
			series := n.scrape(t)
			if series[`floeberg_audit_sink_up{sink="syslog"}`] != 0 || series[`floeberg_audit_write_failures_total{sink="syslog"}`] == 0 ||
				(series["floeberg_audit_refused_changes_total"] > 0) != (way == "refuse") || series[`floeberg_audit_records_total{event="decision"}`] == 0 {
				t.Errorf("%v", series)
			}
		})
	}
}

// A file that is moved away is left alone once the signal has come.
func TestAuditLogIsReopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := run(t, dir, flags{"bootstrap-key": adminKey}, nil)
	path := filepath.Join(dir, "audit", "audit.jsonl")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	n.signals <- syscall.SIGHUP
	await(t, "another file", func() bool { return exists(t, path) })
	n.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	n.signals <- syscall.SIGTERM
	if err := n.wait(t); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(raw), "CreateNamespace") {
		t.Errorf("%s %v", raw, err)
	}
	if v, err := audit.Verify(t.Context(), []string{path, path + ".1"}, nil); err != nil || !v.OK {
		t.Errorf("%+v %v", v, err)
	}
}

// Who presents something in vain for a token is on record, with where it came from and
// why, and without what it was.
func TestWhoGetsNoTokenIsOnRecord(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	const planted = "fb_PLANTED_0123456789abcdef"
	res, err := n.client.PostForm(n.URL()+"/v1/oauth/tokens", url.Values{"grant_type": {"client_credentials"}, "client_id": {planted}, "client_secret": {planted}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	answer := n.must(t, 200, "GET", "/management/v1/audit?event=authentication", "")
	var list management.AuditList
	if err := json.Unmarshal([]byte(answer), &list); err != nil || res.StatusCode != 401 || len(list.Records) != 1 {
		t.Fatalf("%s, %v: %s", res.Status, err, answer)
	}
	r := list.Records[0]
	if r.Reason != "unknown" || r.Source != "127.0.0.1" || r.RequestID != res.Header.Get("X-Request-Id") || r.Decision != "deny" || strings.Contains(answer, "PLANTED") {
		t.Error(answer)
	}
}
