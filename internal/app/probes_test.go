package app_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/test/port"
)

// What anybody may ask says what is wrong, and nothing of where things are, what they are
// called or how one gets to them.
func TestTrapProbesThatTellNames(t *testing.T) {
	t.Parallel()
	dir, endpoint := filepath.Join(t.TempDir(), "planted-folder"), port.Address(t) // nobody is there
	n := startReady(t, dir, flags{
		"bootstrap-key": adminKey, "warehouse-name": "planted-warehouse", "node-id": "n1",
		"warehouse":      "file://" + filepath.Join(t.TempDir(), "planted-root"),
		"snapshot-store": "s3://planted-bucket/planted-prefix", "snapshot-upload-interval": "1s", "s3-endpoint": "http://" + endpoint,
		"s3-region": "planted-region", "s3-access-key-id": "planted-id", "s3-secret-access-key": "planted-secret",
		"audit-log": "syslog+unix://" + filepath.Join(t.TempDir(), "planted-socket"), "audit-on-failure": "count",
	})
	n.must(t, 200, "POST", "/v1/planted-warehouse/namespaces", `{"namespace":["planted-namespace"]}`)
	stranger := &node{App: n.App, client: n.client}
	var ready string
	await(t, "both to be told of", func() bool {
		ready = stranger.must(t, 200, "GET", "/ready", "")
		return strings.Contains(ready, "audit log") && strings.Contains(ready, "snapshot store")
	})
	for what, answer := range map[string]string{
		"/ready": ready, "/health": stranger.must(t, 200, "GET", "/health", ""), "/metrics": stranger.must(t, 200, "GET", "/metrics", ""),
		"/openapi.json": stranger.must(t, 200, "GET", "/openapi.json", ""), "nobody": stranger.must(t, 401, "GET", "/v1/config", ""),
		"nowhere": stranger.must(t, 404, "GET", "/planted", ""),
	} {
		for _, name := range []string{"planted-", dir, "syslog+unix", endpoint, adminKey} {
			if strings.Contains(answer, name) {
				t.Errorf("%s tells of %s: %s", what, name, answer)
			}
		}
	}
	// Who may look is told where.
	if status := n.must(t, http.StatusOK, "GET", "/management/v1/cluster", ""); !strings.Contains(status, "planted-bucket") {
		t.Errorf("%s", status)
	}
}
