package app_test

import (
	"strings"
	"testing"
)

// A node that belongs to no cluster takes the key that it was started with, for
// what is about the cluster and for nothing else.
func TestANodeWithoutAClusterTakesItsOwnKey(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), flags{"bootstrap-expect": "0", "bootstrap-key": adminKey})
	if got := n.must(t, 200, "GET", "/management/v1/cluster", ""); !strings.Contains(got, "belongs to no cluster yet") {
		t.Error(got)
	}
	n.must(t, 200, "GET", "/management/v1/members", "")
	n.must(t, 409, "POST", "/management/v1/cluster/join", `{"addresses":["127.0.0.1:1"]}`)
	n.must(t, 400, "POST", "/management/v1/cluster/join", `{"addresses":["nowhere"]}`)
	n.must(t, 409, "POST", "/management/v1/cluster/leave", "")
	for _, path := range []string{"/v1/config", "/management/v1/warehouses", "/management/v1/tasks"} {
		if got := n.must(t, 503, "GET", path, ""); !strings.Contains(got, "belongs to no cluster yet") {
			t.Errorf("%s: %s", path, got)
		}
	}
	n.key = "fb_another_0123456789abcdef"
	if got := n.must(t, 503, "GET", "/management/v1/cluster", ""); !strings.Contains(got, "--bootstrap-key") {
		t.Errorf("with another key: %s", got)
	}
	n.key = ""
	n.must(t, 401, "GET", "/management/v1/cluster", "")
}
