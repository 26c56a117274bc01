package app

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/ops/audit"
)

const (
	// How far the audit log has come is told to the others after so many records, or
	// after so long where there are fewer.
	headsEveryRecords = 1000
	headsEvery        = time.Minute
	headsLook         = time.Second
	headsTimeout      = 10 * time.Second
	// lastHeadsTimeout is short: all nodes may be stopping.
	lastHeadsTimeout = time.Second
	// maxHeadRuns bounds what is remembered of one sink.
	maxHeadRuns = 256
)

// auditHeads tells the cluster how far this node's audit log has come, so that what
// is cut off its end later is noticed.
type auditHeads struct {
	app  *App
	told map[string]audit.Mark // by sink
	when time.Time
}

// publishAudit begins to tell others how far the audit log has come.
func (a *App) publishAudit(context.Context) error {
	h := &auditHeads{app: a, told: make(map[string]audit.Mark)}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { h.run(ctx) })
	a.undo.add("telling others of the audit log's end", func(ctx context.Context) error {
		cancel()
		ended.Wait()
		// Nobody asks for anything any more, so the last record is written while
		// there is still somebody to tell.
		err := a.audit.Close(ctx)
		if a.node.LeaderID() == "" {
			return err
		}
		last, cancel := context.WithTimeout(ctx, lastHeadsTimeout)
		defer cancel()
		if failed := h.tell(last, a.audit.Marks()); failed != nil {
			a.logger.DebugContext(ctx, "the cluster was not told how far the audit log came in the end", slog.Any("error", failed))
		}
		return err
	})
	return nil
}

func (h *auditHeads) run(ctx context.Context) {
	tick := time.NewTicker(headsLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		marks := h.due(h.app.audit.Marks(), time.Now())
		if len(marks) == 0 || h.app.node.LeaderID() == "" {
			continue
		}
		within, cancel := context.WithTimeout(ctx, headsTimeout)
		if err := h.tell(within, marks); err != nil && ctx.Err() == nil {
			h.app.logger.DebugContext(ctx, "the cluster could not be told how far the audit log has come; it is tried again", slog.Any("error", err))
		}
		cancel()
	}
}

// due are the marks that others should know of. The first of a process is told at
// once.
func (h *auditHeads) due(marks []audit.Mark, now time.Time) []audit.Mark {
	due, changed := false, false
	for _, m := range marks {
		told, known := h.told[m.Sink]
		due = due || !known || m.Kept != told.Kept || m.Seq >= told.Seq+headsEveryRecords
		changed = changed || m.Seq != told.Seq
	}
	if due || changed && now.Sub(h.when) >= headsEvery {
		return marks
	}
	return nil
}

// tell puts marks into the replicated state.
func (h *auditHeads) tell(ctx context.Context, marks []audit.Mark) error {
	tx := &command.Transaction{}
	v, err := h.app.machine.View()
	if err != nil {
		return err
	}
	defer v.Close()
	for _, m := range marks {
		if h.told[m.Sink] == m {
			continue
		}
		rec, revision, ok, err := v.AuditHeads(h.app.config.NodeID, m.Sink)
		if err != nil {
			return err
		}
		key := state.AuditHeadsKey(h.app.config.NodeID, m.Sink)
		unchanged := command.KeyAbsent(key)
		if ok {
			unchanged = command.KeyUnchanged(key, revision)
		}
		rec.Node, rec.Sink = h.app.config.NodeID, m.Sink
		noteMark(rec, m, h.app.node.NowMs())
		value, err := state.Encode(rec)
		if err != nil {
			return err
		}
		tx.Preconditions = append(tx.Preconditions, unchanged)
		tx.Writes = append(tx.Writes, command.PutValue(key, value))
	}
	if len(tx.Writes) == 0 {
		return nil
	}
	result, err := h.app.node.Propose(ctx, tx)
	switch {
	case err != nil:
		return err
	case result.Outcome != command.Applied:
		// This node's state may lag behind, or the proposal took too long.
		return errors.New("the record is another one meanwhile")
	}
	for _, m := range marks {
		h.told[m.Sink] = m
	}
	h.when = time.Now()
	return nil
}

// noteMark puts a mark into the record of its sink.
func noteMark(rec *state.AuditHeads, m audit.Mark, nowMs uint64) {
	run := &state.AuditRun{Id: m.Run, First: m.First, Seq: m.Seq, Hash: m.Hash[:], TimeMs: nowMs}
	if i := slices.IndexFunc(rec.Runs, func(r *state.AuditRun) bool { return r.Id == m.Run }); i >= 0 {
		rec.Runs[i] = run
	} else {
		rec.Runs = append(rec.Runs, run)
	}
	if m.Kept > 0 {
		rec.Kept = m.Kept
	}
	rec.Runs = slices.DeleteFunc(rec.Runs, func(r *state.AuditRun) bool { return r.Seq < rec.Kept })
	rec.Runs = rec.Runs[max(0, len(rec.Runs)-maxHeadRuns):]
}

// auditHead is a record as it is shown.
func auditHead(rec *state.AuditHeads) audit.Head {
	out := audit.Head{Node: rec.GetNode(), Sink: rec.GetSink(), Kept: rec.GetKept(), Runs: []audit.RunHead{}}
	for _, r := range rec.GetRuns() {
		out.Runs = append(out.Runs, audit.RunHead{
			Run: r.GetId(), First: r.GetFirst(), Seq: r.GetSeq(), Hash: hex.EncodeToString(r.GetHash()),
			Time: time.UnixMilli(int64(r.GetTimeMs())).UTC(),
		})
	}
	return out
}
