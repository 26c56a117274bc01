package ops

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace begins the name of every metric of ours.
const namespace = "floeberg"

// latencyBuckets go from a cached load to a request's deadline.
var latencyBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Metrics is the series of one node. What happens is told to its methods, which
// are fast and safe for concurrent use; what stands is asked for at each scrape
// through Sources.
type Metrics struct {
	registry *prometheus.Registry

	requests        *prometheus.HistogramVec
	connections     prometheus.Gauge
	cacheHits       atomic.Uint64
	cacheMisses     atomic.Uint64
	authFailures    *prometheus.CounterVec
	authorizations  prometheus.Histogram
	leaderChanges   prometheus.Counter
	forwarded       *prometheus.CounterVec
	readIndex       prometheus.Histogram
	apply           prometheus.Histogram
	stateApply      prometheus.Histogram
	panics          prometheus.Counter
	conflicts       prometheus.Counter
	orphans         prometheus.Counter
	snapshots       prometheus.Histogram
	snapshotBytes   prometheus.Gauge
	uploads         prometheus.Histogram
	uploadBytes     prometheus.Gauge
	uploadFailures  prometheus.Counter
	objectStore     *prometheus.HistogramVec
	objectStoreErrs *prometheus.CounterVec
	tableReports    *prometheus.CounterVec
	scanPlanning    prometheus.Histogram
	scanFiles       prometheus.Histogram
	scanBytes       prometheus.Histogram
	commitDuration  prometheus.Histogram
	commitAttempts  prometheus.Histogram
	taskRuns        *prometheus.CounterVec
	taskDuration    prometheus.Histogram
	purgedFiles     prometheus.Counter

	certificateReloads *prometheus.CounterVec
	walls              wallSeries

	mu   sync.Mutex
	open map[net.Conn]bool
}

// NewMetrics makes the series of a node that runs this version of the program.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry:       prometheus.NewRegistry(),
		requests:       histogramVec("request_duration_seconds", "Time to answer HTTP requests.", "method", "route", "status"),
		connections:    gauge("active_connections", "HTTP connections that are open."),
		authFailures:   counterVec("auth_failures_total", "Requests refused before they reached the catalog.", "reason"),
		authorizations: histogram("policy_evaluation_duration_seconds", "Time to decide whether a request may be carried out.", []float64{.000001, .000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .005, .025, .1}),
		leaderChanges:  counter("leader_changes_total", "Leaders that this node has seen take office."),
		forwarded:      counterVec("forwarded_requests_total", "Changes that this node passed on to the leader.", "result"),
		readIndex:      histogram("read_index_duration_seconds", "Time to prove this node's state current for a linearizable read.", latencyBuckets),
		apply:          histogram("raft_apply_duration_seconds", "Time for the leader to have an entry on a majority of disks and applied.", latencyBuckets),
		stateApply:     histogram("state_apply_duration_seconds", "Time for the state machine to apply a batch of entries.", latencyBuckets),
		panics:         counter("panics_total", "Requests whose handler panicked; each is a defect."),
		conflicts:      counter("commit_conflicts_total", "Proposals that another change overtook; most are tried again."),
		orphans:        counter("orphaned_files_total", "Metadata files that no table points to and that were left in the store."),
		snapshots:      histogram("snapshot_duration_seconds", "Time to write a snapshot of the state.", []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300}),
		snapshotBytes:  gauge("snapshot_bytes", "Size of the last snapshot."),
		uploads:        histogram("snapshot_upload_duration_seconds", "Time to stream a snapshot to the snapshot store and read it back.", []float64{.1, .5, 1, 5, 10, 30, 60, 300, 900, 3600}),
		uploadBytes:    gauge("snapshot_upload_bytes", "Size of the last snapshot that this node wrote to the snapshot store."),
		uploadFailures: counter("snapshot_upload_failures_total", "Snapshots that could not be written to the snapshot store, or were not there as they were written."),
		objectStore:    histogramVec("object_store_duration_seconds", "Time of calls to the object store, with their retries.", "operation"),
		objectStoreErrs: counterVec("object_store_errors_total",
			"Calls to the object store that failed; a missing object is none.", "operation"),
		tableReports:   counterVec("table_reports_total", "Reports that clients sent of their work on tables.", "type"),
		scanPlanning:   histogram("client_scan_planning_duration_seconds", "Time that clients took to plan a scan, as they report.", latencyBuckets),
		scanFiles:      histogram("client_scan_result_data_files", "Data files that a scan was planned to read, as clients report.", []float64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}),
		scanBytes:      histogram("client_scan_file_size_bytes", "Size of the data files of a scan, as clients report.", prometheus.ExponentialBuckets(1<<20, 8, 9)),
		commitDuration: histogram("client_commit_duration_seconds", "Time of a commit with its retries, as clients report.", latencyBuckets),
		commitAttempts: histogram("client_commit_attempts", "Attempts that a commit took, as clients report.", []float64{1, 2, 3, 5, 10, 20}),
		taskRuns:       counterVec("task_runs_total", "Attempts at background jobs that ended on this node.", "result"),
		taskDuration:   histogram("task_run_duration_seconds", "Time of attempts at background jobs.", []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 1800, 7200}),
		purgedFiles:    counter("purged_files_total", "Files of dropped tables that this node deleted."),
		open:           make(map[net.Conn]bool),

		certificateReloads: counterVec("certificate_reloads_total", "Times that certificates were read again; after a failure those in force stay.", "use", "result"),
		walls:              newWallSeries(),
	}
	build := gaugeVec("build_info", "Always 1; the version is in the label.", "version")
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.walls.all()...)
	m.registry.MustRegister(
		m.requests, m.connections,
		counterFunc("cache_hits_total", "Loads answered from the cache of table documents.", m.cacheHits.Load),
		counterFunc("cache_misses_total", "Loads whose table document had to be assembled.", m.cacheMisses.Load),
		gaugeFunc("cache_hit_ratio", "Share of loads answered from the cache since the start.", m.hitRatio),
		m.authFailures, m.authorizations, m.leaderChanges, m.forwarded, m.readIndex, m.apply, m.stateApply, m.panics,
		m.conflicts, m.orphans, m.snapshots, m.snapshotBytes, m.uploads, m.uploadBytes, m.uploadFailures, m.objectStore, m.objectStoreErrs,
		m.tableReports, m.scanPlanning, m.scanFiles, m.scanBytes, m.commitDuration, m.commitAttempts,
		m.taskRuns, m.taskDuration, m.purgedFiles, m.certificateReloads, build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// One broken source must not blind operators to the others.
		ErrorHandling: promhttp.ContinueOnError,
		// A scrape asks the state: a flood of them must not.
		MaxRequestsInFlight: 4,
	})
}

// Request tells of an answered HTTP request. The route is its pattern, not its
// path: paths are without number.
func (m *Metrics) Request(method, route string, status int, d time.Duration) {
	m.requests.WithLabelValues(methodLabel(method), route, strconv.Itoa(status)).Observe(d.Seconds())
}

// methodLabel keeps clients from making series without number.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// ConnState is the hook of an http.Server that counts its open connections.
func (m *Metrics) ConnState(conn net.Conn, state http.ConnState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch state {
	case http.StateNew:
		m.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(m.open, conn)
	case http.StateActive, http.StateIdle:
	}
	m.connections.Set(float64(len(m.open)))
}

// CacheLookup tells of a lookup of a table's document.
func (m *Metrics) CacheLookup(hit bool) {
	if hit {
		m.cacheHits.Add(1)
		return
	}
	m.cacheMisses.Add(1)
}

// AuthFailure tells of a refused request; reasons are few and fixed.
func (m *Metrics) AuthFailure(reason string) { m.authFailures.WithLabelValues(reason).Inc() }

// Authorized tells how long a decision took, whatever it was.
func (m *Metrics) Authorized(d time.Duration) { m.authorizations.Observe(d.Seconds()) }

// LeaderChanged tells that a leader took office.
func (m *Metrics) LeaderChanged() { m.leaderChanges.Inc() }

// Forwarded tells of changes that were passed on to the leader together.
func (m *Metrics) Forwarded(result string, changes int) {
	m.forwarded.WithLabelValues(result).Add(float64(changes))
}

// ReadIndex tells how long a proof that the state is current took.
func (m *Metrics) ReadIndex(d time.Duration) { m.readIndex.Observe(d.Seconds()) }

// Proposed tells how long an entry of the log took on the leader until it was
// on a majority of disks and applied.
func (m *Metrics) Proposed(d time.Duration) { m.apply.Observe(d.Seconds()) }

// Applied tells how long the state machine took for a batch of entries.
func (m *Metrics) Applied(d time.Duration) { m.stateApply.Observe(d.Seconds()) }

// Panicked tells of a request whose handler panicked.
func (m *Metrics) Panicked() { m.panics.Inc() }

// CommitConflict tells of a proposal that another change overtook.
func (m *Metrics) CommitConflict() { m.conflicts.Inc() }

// OrphanKept tells of a metadata file that was left in the store.
func (m *Metrics) OrphanKept() { m.orphans.Inc() }

// SnapshotTaken tells of a written snapshot.
func (m *Metrics) SnapshotTaken(d time.Duration, bytes int64) {
	m.snapshots.Observe(d.Seconds())
	m.snapshotBytes.Set(float64(bytes))
}

// SnapshotUploaded tells of a snapshot that is in the snapshot store.
func (m *Metrics) SnapshotUploaded(d time.Duration, bytes int64) {
	m.uploads.Observe(d.Seconds())
	m.uploadBytes.Set(float64(bytes))
}

// SnapshotUploadFailed tells of one that is not.
func (m *Metrics) SnapshotUploadFailed() { m.uploadFailures.Inc() }

// ObjectStore tells of a call to the object store.
func (m *Metrics) ObjectStore(operation string, d time.Duration, failed bool) {
	m.objectStore.WithLabelValues(operation).Observe(d.Seconds())
	if failed {
		m.objectStoreErrs.WithLabelValues(operation).Inc()
	}
}

// TaskRun tells of an attempt at a background job; results are few and fixed.
func (m *Metrics) TaskRun(result string, d time.Duration) {
	m.taskRuns.WithLabelValues(result).Inc()
	m.taskDuration.Observe(d.Seconds())
}

// FilesPurged tells of files of a dropped table that were deleted.
func (m *Metrics) FilesPurged(n int) { m.purgedFiles.Add(float64(n)) }

func (m *Metrics) hitRatio() float64 {
	hits, misses := float64(m.cacheHits.Load()), float64(m.cacheMisses.Load())
	if hits+misses == 0 {
		return 0
	}
	return hits / (hits + misses)
}
