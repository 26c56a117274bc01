package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const (
	backupsPath  = "/management/v1/backups"
	restoresPath = "/management/v1/restores"
)

// A node takes on what another one, which is gone, had archived; its default
// warehouse moves with the state, and its own key goes on to work beside the old ones.
func TestRestoreIntoANewNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := "file://" + filepath.Join(dir, "store")
	old := startReady(t, filepath.Join(dir, "old"), flags{
		"bootstrap-key": adminKey, "warehouse": "file://" + filepath.Join(dir, "warehouse"), "snapshot-store": store, "log-archive-interval": "1s",
	})
	old.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	await(t, "a snapshot", func() bool {
		_, answer := old.try(t, "GET", backupsPath, "")
		return strings.Contains(answer, `"cluster_id"`)
	})
	var list struct {
		Backups []struct {
			ClusterID string `json:"cluster_id"`
		} `json:"backups"`
	}
	if err := json.Unmarshal([]byte(old.must(t, 200, "GET", backupsPath, "")), &list); err != nil {
		t.Fatal(err)
	}
	old.must(t, 200, "POST", namespaces+"/a/tables", table)
	await(t, "the log archived", func() bool {
		series := old.scrape(t)
		at, ok := series["floeberg_log_archive_index"]
		return ok && series["floeberg_log_archive_pending"] == 0 && at >= series["floeberg_raft_applied_index"]
	})
	old.stop(t)

	const otherKey = "fb_test_fedcba9876543210"
	n := startReady(t, filepath.Join(dir, "new"), flags{"bootstrap-key": otherKey, "warehouse": "file://" + filepath.Join(dir, "elsewhere")})
	ask := func(more string) string { return fmt.Sprintf(`{"from":%q%s}`, store, more) }
	n.must(t, http.StatusNotAcceptable, "POST", restoresPath, `{}`)
	n.must(t, http.StatusConflict, "POST", restoresPath, ask(""))
	n.must(t, http.StatusBadRequest, "POST", restoresPath, `{"from":"ftp://nowhere"}`)
	n.must(t, http.StatusBadRequest, "POST", restoresPath, `{"from":"file://`+dir+`/nowhere"}`)
	n.must(t, http.StatusBadRequest, "POST", restoresPath, ask(`,"to_index":1,"to_end":true`))
	n.must(t, http.StatusNotFound, "POST", restoresPath, ask(`,"cluster_id":"nobody"`))
	theirs := fmt.Sprintf(`,"cluster_id":%q`, list.Backups[0].ClusterID)
	n.must(t, http.StatusNotFound, "POST", restoresPath, ask(theirs+`,"snapshot":"none"`))
	n.must(t, http.StatusNotFound, "POST", restoresPath, ask(theirs+`,"to_time":"2001-01-01T00:00:00Z"`))
	n.must(t, http.StatusNotFound, "GET", restoresPath+"/nothing", "")

	n.must(t, http.StatusAccepted, "POST", restoresPath, ask(theirs+`,"to_end":true,"id":"mine"`))
	var got struct {
		Status       string `json:"status"`
		Tables       int    `json:"tables"`
		MissingCount int    `json:"missing_count"`
	}
	await(t, "the restore", func() bool {
		if err := json.Unmarshal([]byte(n.must(t, 200, "GET", restoresPath+"/mine", "")), &got); err != nil {
			t.Fatal(err)
		}
		return got.Status == "done" || got.Status == "failed"
	})
	if got.Status != "done" || got.Tables != 1 || got.MissingCount != 0 {
		t.Fatalf("%+v", got)
	}
	n.must(t, 200, "GET", namespaces+"/a/tables/floes", "")
	// To the restored warehouse, and under the old key too.
	answer := n.must(t, 200, "POST", namespaces+"/a/tables/floes", property("k", "v"))
	if location := metadataOf(t, answer)["location"]; !strings.HasPrefix(fmt.Sprint(location), "file://"+filepath.Join(dir, "warehouse")) {
		t.Errorf("the table is at %v", location)
	}
	n.key = adminKey
	n.must(t, 200, "GET", namespaces+"/a/tables/floes", "")
	n.must(t, http.StatusAccepted, "POST", restoresPath, ask(theirs+`,"to_end":true,"id":"mine"`))
	n.must(t, http.StatusConflict, "POST", restoresPath, ask(theirs+`,"id":"another"`))
}
