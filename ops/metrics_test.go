package ops_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/ops"
)

// scrape reads all series, by name with labels.
func scrape(t *testing.T, m *ops.Metrics) map[string]float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	out := make(map[string]float64)
	for line := range strings.Lines(rec.Body.String()) {
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

func TestEverySeriesMoves(t *testing.T) {
	t.Parallel()
	m := ops.NewMetrics("v1.2.3")
	raft := ops.RaftFigures{State: "Follower"}
	entities := ops.EntityFigures{}
	written, left := 0.0, time.Hour
	err := m.Watch(ops.Sources{
		Raft:       func() ops.RaftFigures { return raft },
		Entities:   func(context.Context) (ops.EntityFigures, error) { return entities, nil },
		CountEvery: time.Nanosecond,
		Certificates: func() []ops.CertificateFigure {
			return []ops.CertificateFigure{{Use: "cluster_node", Left: left}}
		},
		Figures: []func() []ops.Figure{
			func() []ops.Figure {
				return []ops.Figure{{Name: "pebble_written_bytes_total", Help: "h", Counter: true, Value: written}}
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sink := ops.AuditFigure{Sink: "file", Up: true}
	onRecord, err := m.WatchAudit(func() []ops.AuditFigure { return []ops.AuditFigure{sink} })
	if err != nil {
		t.Fatal(err)
	}
	before := scrape(t, m)

	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	m.Request(http.MethodGet, "/v1/config", 200, time.Millisecond)
	m.Request("BREW", "/v1/config", 405, time.Millisecond)
	m.ConnState(near, http.StateNew)
	m.ConnState(far, http.StateNew)
	m.ConnState(near, http.StateActive)
	m.ConnState(far, http.StateClosed)
	m.CacheLookup(true)
	m.CacheLookup(true)
	m.CacheLookup(true)
	m.CacheLookup(false)
	m.AuthFailure("unknown_key")
	m.Authorized(time.Microsecond)
	m.LeaderChanged()
	m.Forwarded("ok", 3)
	m.Proposed(time.Millisecond)
	m.Panicked()
	m.ReadIndex(time.Millisecond)
	m.Applied(time.Millisecond)
	m.CommitConflict()
	m.OrphanKept()
	m.SnapshotTaken(time.Second, 4096)
	m.ObjectStore("put", time.Millisecond, false)
	m.ObjectStore("get", time.Millisecond, true)
	planning, files, size := 20*time.Millisecond, int64(7), int64(1<<20)
	m.ScanReported(ops.ScanFigures{Planning: &planning, DataFiles: &files, FileBytes: &size})
	m.ScanReported(ops.ScanFigures{})
	attempts := int64(2)
	m.CommitReported(ops.CommitFigures{Duration: &planning, Attempts: &attempts})
	m.CommitReported(ops.CommitFigures{})
	m.TaskRun("done", time.Second)
	m.FilesPurged(40)
	m.CertificatesRead("cluster", true)
	m.CertificatesRead("http", false)
	m.ConnectionRefused("total")
	m.RateLimited("address")
	m.SnapshotUploaded(time.Second, 8192)
	m.SnapshotUploadFailed()
	onRecord.Recorded("decision")
	onRecord.Lost("file", 5)
	onRecord.Refused()
	onRecord.Wrote("file", time.Millisecond, false)
	onRecord.Wrote("file", time.Millisecond, true)
	sink = ops.AuditFigure{Sink: "file", Waiting: 6}
	left = -time.Minute
	raft = ops.RaftFigures{State: "Leader", Term: 3, CommitIndex: 12, AppliedIndex: 11, LastContact: 2 * time.Second}
	entities = ops.EntityFigures{Namespaces: 4, Tables: 5, Views: 6, Tasks: map[string]int{"waiting": 2}}
	written = 77

	after := scrape(t, m)
	for series, want := range map[string]float64{
		`floeberg_request_duration_seconds_count{method="GET",route="/v1/config",status="200"}`:   1,
		`floeberg_request_duration_seconds_count{method="other",route="/v1/config",status="405"}`: 1,
		`floeberg_active_connections`:                                    1,
		`floeberg_cache_hits_total`:                                      3,
		`floeberg_cache_misses_total`:                                    1,
		`floeberg_cache_hit_ratio`:                                       0.75,
		`floeberg_auth_failures_total{reason="unknown_key"}`:             1,
		`floeberg_policy_evaluation_duration_seconds_count`:              1,
		`floeberg_leader_changes_total`:                                  1,
		`floeberg_forwarded_requests_total{result="ok"}`:                 3,
		`floeberg_state_apply_duration_seconds_count`:                    1,
		`floeberg_panics_total`:                                          1,
		`floeberg_read_index_duration_seconds_count`:                     1,
		`floeberg_raft_apply_duration_seconds_count`:                     1,
		`floeberg_commit_conflicts_total`:                                1,
		`floeberg_orphaned_files_total`:                                  1,
		`floeberg_snapshot_duration_seconds_count`:                       1,
		`floeberg_snapshot_bytes`:                                        4096,
		`floeberg_object_store_duration_seconds_count{operation="put"}`:  1,
		`floeberg_object_store_errors_total{operation="get"}`:            1,
		`floeberg_raft_state{state="Leader"}`:                            1,
		`floeberg_raft_term`:                                             3,
		`floeberg_raft_commit_index`:                                     12,
		`floeberg_raft_applied_index`:                                    11,
		`floeberg_raft_last_contact_seconds`:                             2,
		`floeberg_namespaces`:                                            4,
		`floeberg_tables`:                                                5,
		`floeberg_views`:                                                 6,
		`floeberg_tasks{status="waiting"}`:                               2,
		`floeberg_task_runs_total{result="done"}`:                        1,
		`floeberg_task_run_duration_seconds_count`:                       1,
		`floeberg_purged_files_total`:                                    40,
		`floeberg_certificate_reloads_total{result="ok",use="cluster"}`:  1,
		`floeberg_certificate_reloads_total{result="failed",use="http"}`: 1,
		`floeberg_certificate_expiry_seconds{use="cluster_node"}`:        -60,
		`floeberg_pebble_written_bytes_total`:                            77,
		`floeberg_table_reports_total{type="scan"}`:                      2,
		`floeberg_table_reports_total{type="commit"}`:                    2,
		`floeberg_client_scan_planning_duration_seconds_count`:           1,
		`floeberg_client_scan_result_data_files_sum`:                     7,
		`floeberg_client_scan_file_size_bytes_sum`:                       1 << 20,
		`floeberg_client_commit_duration_seconds_count`:                  1,
		`floeberg_client_commit_attempts_sum`:                            2,
		`floeberg_connections_refused_total{limit="total"}`:              1,
		`floeberg_rate_limited_total{limit="address"}`:                   1,
		`floeberg_snapshot_upload_duration_seconds_count`:                1,
		`floeberg_snapshot_upload_bytes`:                                 8192,
		`floeberg_snapshot_upload_failures_total`:                        1,
		`floeberg_audit_records_total{event="decision"}`:                 1,
		`floeberg_audit_lost_records_total{sink="file"}`:                 5,
		`floeberg_audit_refused_changes_total`:                           1,
		`floeberg_audit_write_duration_seconds_count{sink="file"}`:       2,
		`floeberg_audit_write_failures_total{sink="file"}`:               1,
		`floeberg_audit_sink_up{sink="file"}`:                            0,
		`floeberg_audit_sink_waiting_records{sink="file"}`:               6,
	} {
		if got, ok := after[series]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
		if before[series] == after[series] {
			t.Errorf("%s did not move", series)
		}
	}
	if after[`floeberg_raft_state{state="Follower"}`] != 0 || before[`floeberg_raft_state{state="Follower"}`] != 1 {
		t.Error("a node is in two states")
	}
	if _, ok := after[`floeberg_object_store_errors_total{operation="put"}`]; ok {
		t.Error("a call that went well counts as failed")
	}
	for _, series := range []string{`floeberg_build_info{version="v1.2.3"}`, "go_goroutines", "process_open_fds"} {
		if after[series] == 0 {
			t.Errorf("%s is missing", series)
		}
	}
}

func TestABrokenSourceLeavesTheOthers(t *testing.T) {
	t.Parallel()
	m := ops.NewMetrics("dev")
	calls := 0
	err := m.Watch(ops.Sources{
		Raft: func() ops.RaftFigures { return ops.RaftFigures{Term: 1} },
		Entities: func(context.Context) (ops.EntityFigures, error) {
			calls++
			return ops.EntityFigures{}, errors.New("disk")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := scrape(t, m)
	if got["floeberg_raft_term"] != 1 {
		t.Error("the broken source took the others along")
	}
	if _, there := got["floeberg_tables"]; there {
		t.Error("a count that failed is shown")
	}
	scrape(t, m)
	if calls != 2 {
		t.Errorf("asked %d times, want again after a failure", calls)
	}
}

func TestCountsAreUsedAgain(t *testing.T) {
	t.Parallel()
	m := ops.NewMetrics("dev")
	calls := 0
	err := m.Watch(ops.Sources{
		Entities: func(context.Context) (ops.EntityFigures, error) {
			calls++
			return ops.EntityFigures{Tables: calls}, nil
		},
		CountEvery: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := scrape(t, m)["floeberg_tables"]; got != 1 {
			t.Errorf("got %v", got)
		}
	}
}
