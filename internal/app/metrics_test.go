package app_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// scrape is all series of a node, by name with labels.
func (n *node) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for line := range strings.Lines(n.must(t, http.StatusOK, "GET", "/metrics", "")) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[line[:i]] = v
	}
	return out
}

// sum adds up the series whose name, with labels, begins like this.
func sum(series map[string]float64, prefix string) float64 {
	total := 0.0
	for name, v := range series {
		if strings.HasPrefix(name, prefix) {
			total += v
		}
	}
	return total
}

// Each path of the product moves its series: a metric that stands still while
// things happen is worse than none.
func TestEveryPathMovesItsSeries(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t, flags{"bootstrap-key": adminKey})
	before := make([]map[string]float64, len(nodes))
	var leader, follower int
	for i, n := range nodes {
		before[i] = n.scrape(t)
		if before[i][`floeberg_raft_state{state="Leader"}`] == 1 {
			leader = i
		} else {
			follower = i
		}
	}
	f := nodes[follower]
	f.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	f.must(t, 409, "POST", namespaces, `{"namespace":["a"]}`)
	f.must(t, 200, "POST", namespaces+"/a/tables", table)
	f.must(t, 200, "POST", namespaces+"/a/tables/floes", property("k", "v"))
	nodes[leader].must(t, 200, "POST", namespaces+"/a/tables/floes", property("k", "w"))
	for range 3 {
		f.must(t, 200, "GET", namespaces+"/a/tables/floes", "")
	}
	nodes[3-leader-follower].must(t, 200, "GET", namespaces+"/a/tables/floes", "")
	f.must(t, 204, "POST", namespaces+"/a/tables/floes/metrics", `{"report-type":"scan-report","table-name":"a.floes","snapshot-id":1,"filter":true,"schema-id":0,
		"projected-field-ids":[],"projected-field-names":[],"metrics":{"total-planning-duration":{"count":1,"time-unit":"nanoseconds","total-duration":5},
		"result-data-files":{"unit":"count","value":3},"total-file-size-in-bytes":{"unit":"bytes","value":9}}}`)
	f.must(t, 204, "POST", namespaces+"/a/tables/floes/metrics", `{"report-type":"commit-report","table-name":"a.floes","snapshot-id":1,"sequence-number":1,"operation":"append",
		"metrics":{"total-duration":{"count":1,"time-unit":"nanoseconds","total-duration":5},"attempts":{"unit":"count","value":1}}}`)
	provokeConflict(t, nodes[leader], f)
	stranger := &node{App: f.App, client: f.client, key: "fb_nobody_knows_this_one"}
	stranger.must(t, 401, "GET", namespaces, "")
	purged := func() (total float64) {
		for _, n := range nodes {
			total += n.scrape(t)["floeberg_purged_files_total"]
		}
		return total
	}
	f.must(t, 200, "POST", namespaces+"/a/tables", strings.Replace(table, "floes", "melted", 1))
	f.must(t, 204, "DELETE", namespaces+"/a/tables/melted?purgeRequested=true", "")
	await(t, "the dropped table's file to be deleted", func() bool { return purged() > 0 })
	if err := nodes[leader].Snapshot(); err != nil {
		t.Fatal(err)
	}

	onFollower, onLeader := f.scrape(t), nodes[leader].scrape(t)
	third := nodes[3-leader-follower]
	if sum(third.scrape(t), "floeberg_cache_misses_total") == 0 {
		t.Error("floeberg_cache_misses_total did not move")
	}
	for _, series := range []string{
		`floeberg_request_duration_seconds_count{method="POST",route="/v1/{prefix}/namespaces",status="200"}`,
		`floeberg_request_duration_seconds_count{method="POST",route="/v1/{prefix}/namespaces",status="409"}`,
		`floeberg_request_duration_seconds_count{method="GET",route="/v1/{prefix}/namespaces/{namespace}/tables/{table}",status="200"}`,
		`floeberg_cache_hits_total`, `floeberg_cache_hit_ratio`,
		`floeberg_auth_failures_total{`,
		`floeberg_policy_evaluation_duration_seconds_count`,
		`floeberg_forwarded_requests_total{result="ok"}`,
		`floeberg_read_index_duration_seconds_count`,
		`floeberg_object_store_duration_seconds_count{operation="put"}`,
		`floeberg_raft_commit_index`, `floeberg_raft_applied_index`,
		`floeberg_state_apply_duration_seconds_count`, `floeberg_state_revision`,
		`floeberg_bbolt_writes_total`,
		`floeberg_table_reports_total{type="scan"}`, `floeberg_table_reports_total{type="commit"}`,
		`floeberg_client_scan_planning_duration_seconds_count`, `floeberg_client_scan_result_data_files_sum`, `floeberg_client_scan_file_size_bytes_sum`,
		`floeberg_client_commit_duration_seconds_count`, `floeberg_client_commit_attempts_sum`,
	} {
		if was, is := sum(before[follower], series), sum(onFollower, series); is <= was {
			t.Errorf("%s on the follower went from %v to %v", series, was, is)
		}
	}
	for _, series := range []string{
		`floeberg_raft_apply_duration_seconds_count`, `floeberg_raft_entries_total`, `floeberg_raft_transactions_total`,
		`floeberg_snapshot_duration_seconds_count`, `floeberg_snapshot_bytes`, `floeberg_pebble_flushes_total`,
	} {
		if was, is := sum(before[leader], series), sum(onLeader, series); is <= was {
			t.Errorf("%s on the leader went from %v to %v", series, was, is)
		}
	}
	for _, series := range []string{
		`floeberg_raft_term`, `floeberg_leader_changes_total`, `floeberg_active_connections`, `floeberg_build_info{version="test"}`,
		`go_goroutines`, `process_resident_memory_bytes`,
	} {
		if onFollower[series] == 0 {
			t.Errorf("%s is missing", series)
		}
	}
	for _, series := range []string{
		`floeberg_raft_last_contact_seconds`,
		`floeberg_namespaces`, `floeberg_tables`, `floeberg_views`, `floeberg_pebble_disk_bytes`, `floeberg_tasks{status="done"}`, `floeberg_raft_state{state="Follower"}`,
	} {
		if _, there := onFollower[series]; !there {
			t.Errorf("%s is missing", series)
		}
	}
}

// What goes to the snapshot store moves series of its own, and so does the leader's
// comparison of states.
func TestSeriesOfTheSnapshotStore(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "snapshot-store": "file://" + t.TempDir(), "snapshot-upload-interval": "1s", "log-archive-interval": "100ms", "verify-interval": "200ms",
	})
	n.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	for _, series := range []string{
		`floeberg_snapshot_upload_duration_seconds_count`, `floeberg_snapshot_upload_bytes`,
		`floeberg_log_archive_entries_total`, `floeberg_log_archive_bytes_total`, `floeberg_log_archive_index`,
		`floeberg_state_verified_index`, `floeberg_command_version`, `floeberg_newest_command_version`,
		`floeberg_audit_records_total{event="decision"}`, `floeberg_audit_write_duration_seconds_count{sink="file"}`, `floeberg_audit_sink_up{sink="file"}`,
	} {
		await(t, series, func() bool { return n.scrape(t)[series] > 0 })
	}
	all := n.scrape(t)
	for _, series := range []string{
		`floeberg_snapshot_age_seconds`, `floeberg_snapshot_upload_failures_total`, `floeberg_log_archive_gap`, `floeberg_log_archive_pending`,
		`floeberg_log_archive_failures_total`, `floeberg_state_divergence`, `floeberg_audit_sink_waiting_records{sink="file"}`,
	} {
		if _, there := all[series]; !there {
			t.Errorf("%s is missing", series)
		}
	}
}

func TestEntitiesAreCounted(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	n.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	n.must(t, 200, "POST", namespaces, `{"namespace":["b"]}`)
	n.must(t, 200, "POST", namespaces+"/a/tables", table)
	for _, name := range []string{"u", "v", "w"} {
		n.must(t, 200, "POST", namespaces+"/a/views", `{"name":"`+name+`","schema":{"type":"struct","fields":[]},
			"view-version":{"version-id":1,"timestamp-ms":1,"schema-id":0,"summary":{},"default-namespace":["a"],
			"representations":[{"type":"sql","sql":"select 1","dialect":"spark"}]}}`)
	}
	n.must(t, 204, "DELETE", namespaces+"/a/views/u", "")
	series := n.scrape(t)
	for name, want := range map[string]float64{"floeberg_namespaces": 2, "floeberg_tables": 1, "floeberg_views": 2} {
		if got := series[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// provokeConflict has two nodes commit to one table at the same time until one
// of them was overtaken.
func provokeConflict(t *testing.T, a, b *node) {
	t.Helper()
	for range 100 {
		var both sync.WaitGroup
		for _, n := range []*node{a, b} {
			both.Go(func() {
				if code, answer := n.try(t, "POST", namespaces+"/a/tables/floes", property("k", n.dir)); code != http.StatusOK {
					t.Errorf("a commit without requirements: %d %s", code, answer)
				}
			})
		}
		both.Wait()
		if a.scrape(t)["floeberg_commit_conflicts_total"]+b.scrape(t)["floeberg_commit_conflicts_total"] > 0 {
			return
		}
	}
	t.Error("floeberg_commit_conflicts_total did not move")
}
