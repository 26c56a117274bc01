package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/internal/tasks"
	"github.com/floeberg/floeberg/ops"
)

// What happens in the rooms, as metrics see it.

func clusterEvents(m *ops.Metrics) cluster.Events {
	return cluster.Events{
		LeaderChanged: func(leaderID string, _ uint64) {
			if leaderID != "" {
				m.LeaderChanged()
			}
		},
		Forwarded: func(result string, transactions int, _ time.Duration) { m.Forwarded(result, transactions) },
		Proposed:  func(_, _ int, took time.Duration, _ error) { m.Proposed(took) },
		Applied:   func(_ int, took time.Duration) { m.Applied(took) },
		ReadIndex: func(took time.Duration, _ error) { m.ReadIndex(took) },
		SnapshotTaken: func(bytes int64, took time.Duration, err error) {
			if err == nil {
				m.SnapshotTaken(took, bytes)
			}
		},
		CertificatesRead: func(err error) { m.CertificatesRead("cluster", err == nil) },
	}
}

func storeObserver(m *ops.Metrics) func(string, time.Duration, error) {
	return func(operation string, took time.Duration, err error) {
		// That an object is not there is an answer.
		m.ObjectStore(operation, took, err != nil && !errors.Is(err, storage.ErrNotFound))
	}
}

func (a *App) catalogObserver() catalog.Observer {
	return catalog.Observer{
		Conflict:    a.metrics.CommitConflict,
		CacheLookup: a.metrics.CacheLookup,
		Reported:    func(r *catalog.Report) { tableReported(a.metrics, r) },
		OrphanKept: func(location string) {
			a.metrics.OrphanKept()
			a.logger.Warn("a metadata file that no table points to was left in the store", slog.String("location", location))
		},
		TaskMade: func() {
			// While the node starts there is none, and then it looks by itself.
			if runner := a.tasks.Load(); runner != nil {
				runner.Kick()
			}
		},
	}
}

func taskObserver(m *ops.Metrics) tasks.Observer {
	return tasks.Observer{
		RunEnded:    func(result tasks.Result, took time.Duration) { m.TaskRun(string(result), took) },
		FilesPurged: m.FilesPurged,
	}
}

// tableReported picks out of a client's report what is worth a series.
func tableReported(m *ops.Metrics, r *catalog.Report) {
	timer := func(name string) *time.Duration {
		if t, ok := r.Timers[name]; ok {
			return &t.Total
		}
		return nil
	}
	counter := func(names ...string) *int64 {
		for _, name := range names {
			if n, ok := r.Counters[name]; ok {
				return &n
			}
		}
		return nil
	}
	switch r.Kind {
	case catalog.ScanReport:
		m.ScanReported(ops.ScanFigures{
			Planning: timer("total-planning-duration"), DataFiles: counter("result-data-files"),
			// As Iceberg's own clients write it, and as its description does.
			FileBytes: counter("total-file-size-in-bytes", "total-file-size-bytes"),
		})
	case catalog.CommitReport:
		m.CommitReported(ops.CommitFigures{Duration: timer("total-duration"), Attempts: counter("attempts")})
	}
}

func apiEvents(m *ops.Metrics) middleware.Events {
	return middleware.Events{
		RequestDone: func(d middleware.Done) { m.Request(d.Method, d.Route, d.Status, d.Elapsed) },
		AuthFailed:  m.AuthFailure,
		Denied:      func(string) { m.AuthFailure("denied") },
		Panicked:    m.Panicked,
	}
}

// sources is what stands, as metrics ask for it.
func (a *App) sources() ops.Sources {
	return ops.Sources{
		Raft:         a.raftFigures,
		Entities:     a.countEntities,
		Certificates: a.certificateFigures,
		Figures:      []func() []ops.Figure{a.logFigures, a.stateFigures, a.snapshotFigures, a.archiveFigures, a.secretFigures},
	}
}

func (a *App) raftFigures() ops.RaftFigures {
	// Its error is about the log alone; see logFigures.
	f, _ := a.node.Figures()
	return ops.RaftFigures{
		State: f.State, Term: f.Term, CommitIndex: f.CommitIndex, AppliedIndex: f.AppliedIndex, LastContact: f.LastContact,
	}
}

// certificateFigures is the time that this node's certificates have left.
func (a *App) certificateFigures() []ops.CertificateFigure {
	var out []ops.CertificateFigure
	if a.certificate != nil {
		out = append(out, ops.CertificateFigure{Use: useHTTP, Left: time.Until(a.certificate.expires())})
	}
	for _, c := range a.node.Certificates() {
		out = append(out, ops.CertificateFigure{Use: c.Use, Left: time.Until(c.Expires)})
	}
	return out
}

// logFigures is what the Raft log and the queues before it say of themselves.
func (a *App) logFigures() []ops.Figure {
	f, err := a.node.Figures()
	out := []ops.Figure{
		{Name: "raft_entries_total", Help: "Log entries that this node proposed as leader.", Counter: true, Value: float64(f.Entries)},
		{Name: "raft_transactions_total", Help: "Changes in them.", Counter: true, Value: float64(f.Transactions)},
		{Name: "raft_queue_length", Help: "Changes that wait for the log on this node.", Value: float64(f.WaitingLocal)},
		{Name: "forward_queue_length", Help: "Changes that wait to be passed on to the leader.", Value: float64(f.WaitingForward)},
		{Name: "raft_log_last_index", Help: "Last entry in this node's log.", Value: float64(f.LogLast)},
		{Name: "state_divergence", Help: "Members whose state was not that of the others when this node, as leader, last compared them.", Value: float64(f.Different)},
		{Name: "state_verified_index", Help: "Log index at which this node, as leader, last compared the states of the members; 0 elsewhere.", Value: float64(f.VerifiedIndex)},
		{Name: "bbolt_open_transactions", Help: "Read transactions of the log's database that are open.", Value: float64(f.LogStore.OpenTxN)},
		{Name: "bbolt_free_pages", Help: "Free pages in the log's database.", Value: float64(f.LogStore.FreePageN)},
		{Name: "bbolt_pending_pages", Help: "Pages of the log's database that are about to be free.", Value: float64(f.LogStore.PendingPageN)},
		{Name: "bbolt_free_bytes", Help: "Bytes in its free pages.", Value: float64(f.LogStore.FreeAlloc)},
		{Name: "bbolt_read_transactions_total", Help: "Read transactions of the log's database.", Counter: true, Value: float64(f.LogStore.TxN)},
		{Name: "bbolt_writes_total", Help: "Writes to the log's database.", Counter: true, Value: float64(f.LogStore.TxStats.GetWrite())},
		{Name: "bbolt_write_seconds_total", Help: "Time of its writes to disk.", Counter: true, Value: f.LogStore.TxStats.GetWriteTime().Seconds()},
		{Name: "bbolt_page_allocations_bytes_total", Help: "Bytes of pages that it allocated.", Counter: true, Value: float64(f.LogStore.TxStats.GetPageAlloc())},
	}
	if err == nil {
		out = append(out, ops.Figure{Name: "raft_log_first_index", Help: "First entry in this node's log.", Value: float64(f.LogFirst)})
	}
	return out
}

// stateFigures is what the state and the engine below it say of themselves.
func (a *App) stateFigures() []ops.Figure {
	f, err := a.machine.Metrics()
	if err != nil {
		// Closed, or closing: there is nothing to tell.
		return nil
	}
	halted := 0.0
	if f.Halted {
		halted = 1
	}
	inUse, newest := a.machine.CommandVersions()
	return []ops.Figure{
		{Name: "state_halted", Help: "1 when this node's state does not go on any more.", Value: halted},
		{Name: "command_version", Help: "Command version in use in the cluster.", Value: float64(inUse)},
		{Name: "newest_command_version", Help: "Newest command version that this node's program applies.", Value: float64(newest)},
		{Name: "state_revision", Help: "Revision of the last change that wrote something.", Value: float64(f.Revision)},
		{Name: "state_events_total", Help: "Events since the cluster began.", Counter: true, Value: float64(f.Events)},
		{Name: "state_open_views", Help: "Views that hold on to the state as it was.", Value: float64(f.OpenViews)},
		{Name: "pebble_disk_bytes", Help: "What the state takes on disk.", Value: float64(f.DiskBytes)},
		{Name: "pebble_memtable_bytes", Help: "What would be applied again after a crash.", Value: float64(f.MemTableBytes)},
		{Name: "pebble_block_cache_bytes", Help: "How full the cache of file blocks is.", Value: float64(f.CacheBytes)},
		{Name: "pebble_block_cache_hits_total", Help: "Blocks read from the cache.", Counter: true, Value: float64(f.CacheHits)},
		{Name: "pebble_block_cache_misses_total", Help: "Blocks read from files.", Counter: true, Value: float64(f.CacheMisses)},
		{Name: "pebble_filter_hits_total", Help: "Reads of missing keys that touched no block.", Counter: true, Value: float64(f.FilterHits)},
		{Name: "pebble_filter_misses_total", Help: "Reads of missing keys that touched one.", Counter: true, Value: float64(f.FilterMisses)},
		{Name: "pebble_flushes_total", Help: "Tables written from memory.", Counter: true, Value: float64(f.Flushes)},
		{Name: "pebble_compactions_total", Help: "Compactions.", Counter: true, Value: float64(f.Compactions)},
		{Name: "pebble_compaction_debt_bytes", Help: "What waits to be compacted.", Value: float64(f.CompactionDebtBytes)},
		{Name: "pebble_tables", Help: "Sorted tables on disk.", Value: float64(f.Tables)},
		{Name: "pebble_read_amplification", Help: "Places that a read may have to look in.", Value: float64(f.ReadAmplification)},
	}
}

// countEntities walks the keys of this node's state.
func (a *App) countEntities(ctx context.Context) (ops.EntityFigures, error) {
	v, err := a.machine.View()
	if err != nil {
		return ops.EntityFigures{}, err
	}
	defer v.Close()
	var out ops.EntityFigures
	for _, kind := range []struct {
		space state.Space
		count *int
	}{
		{state.SpaceNamespace, &out.Namespaces}, {state.SpaceTable, &out.Tables}, {state.SpaceView, &out.Views},
	} {
		err := v.Scan(state.SpaceRange(kind.space), func([]byte, state.Value) bool {
			*kind.count++
			return ctx.Err() == nil
		})
		if err := errors.Join(err, ctx.Err()); err != nil {
			return out, err
		}
	}
	counts, err := catalog.CountTasks(v)
	if err != nil {
		return out, err
	}
	out.Tasks = make(map[string]int, len(counts))
	for status, n := range counts {
		out.Tasks[string(status)] = n
	}
	return out, nil
}
