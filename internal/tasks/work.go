package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

const (
	// lastWords is how long giving a task back, or ending it, may take. Where it
	// does not work out, the lease ends and another node finds what is left.
	lastWords = 2 * time.Second
	// maxErrorBytes bounds the error that a task shows.
	maxErrorBytes = 500
)

// work carries a task out, keeps the lease meanwhile, and writes down how it ended.
func (r *Runner) work(h *held) {
	begun := time.Now()
	log := r.opts.Logger.With(slog.String("task", h.id), slog.String("kind", h.record.Kind))
	log.Info("a task begins",
		slog.String("location", h.work.GetLocation()), slog.String("metadata_location", h.work.GetMetadataLocation()),
		slog.Uint64("files_deleted", h.deleted.Load()), slog.Uint64("failures", uint64(h.record.Failures)))
	ctx, cancel := context.WithCancelCause(r.closing)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		r.keep(ctx, h, cancel, log)
	}()
	err := r.carryOut(ctx, h, log)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errLost) {
		err = cause
	}
	cancel(nil)
	<-renewed

	result := r.conclude(h, err)
	took := time.Since(begun)
	attrs := []any{
		slog.String("result", string(result)), slog.Duration("took", took.Round(time.Millisecond)),
		slog.Uint64("files_deleted", h.deleted.Load()), slog.Uint64("files_kept", h.kept.Load()),
	}
	switch result {
	case Failed:
		log.Warn("a task failed and will be tried again", append(attrs, slog.Any("error", err))...)
	case Lost:
		log.Warn("a task was cancelled, or taken by another node", append(attrs, slog.Any("error", err))...)
	case Done, GivenBack:
		log.Info("a task ends", attrs...)
	}
	if call := r.opts.Observer.RunEnded; call != nil {
		call(result, took)
	}
}

// carryOut does the task's work. A defect in it must not end the node, and the
// next one that takes the task after it.
func (r *Runner) carryOut(ctx context.Context, h *held, log *slog.Logger) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("a task panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("a defect of the program: %v", p)
		}
	}()
	store, err := r.opts.Stores(ctx, h.warehouse)
	if err != nil {
		return err
	}
	p := newPurge(h, store, log)
	if call := r.opts.Observer.FilesPurged; call != nil {
		p.purged = call
	}
	return p.run(ctx)
}

// keep renews the lease until the work ends, and ends the work where the task is lost.
func (r *Runner) keep(ctx context.Context, h *held, lost context.CancelCauseFunc, log *slog.Logger) {
	renew, report := time.NewTicker(r.opts.Renew), time.NewTicker(r.opts.Report)
	defer renew.Stop()
	defer report.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-report.C:
			log.Info("a task goes on", slog.Uint64("files_deleted", h.deleted.Load()), slog.Uint64("files_kept", h.kept.Load()))
		case <-renew.C:
			err := h.renew(ctx)
			if errors.Is(err, errLost) {
				// It may have been a renewal of ours that came first.
				_, err = h.left()
			}
			switch {
			case errors.Is(err, errLost):
				lost(err)
				return
			case err != nil && ctx.Err() == nil:
				log.Warn("a task's lease could not be renewed", slog.Any("error", err))
			}
		}
	}
}

// conclude writes down how an attempt ended.
func (r *Runner) conclude(h *held, failure error) Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.closing), lastWords)
	defer cancel()
	now := r.opts.Log.NowMs()
	result := Failed
	var more []*command.Write
	change := func(task *state.Task) {
		h.note(task)
		task.Lease = nil
		switch result {
		case Done:
			task.Status, task.FinishedMs = state.TaskStatus_TASK_STATUS_DONE, now
			task.LastError = ""
		case GivenBack:
			task.Status = state.TaskStatus_TASK_STATUS_WAITING
		case Failed:
			task.Status = state.TaskStatus_TASK_STATUS_WAITING
			task.Failures++
			task.LastError = shorten(failure.Error())
			task.RetryMs = now + uint64(r.pauseAfter(task.Failures).Milliseconds())
		case Lost:
		}
	}
	switch {
	case failure == nil:
		result = Done
		more = append(more,
			command.DeleteKey(state.PurgeKey(h.work.GetLocation(), h.key[1:])),
			command.PutValue(state.PurgesEndedKey(), nil),
		)
	case errors.Is(failure, errLost):
		return Lost
	case r.closing.Err() != nil:
		result = GivenBack
	}
	for {
		// What is written over must be what this worker wrote itself; whether its
		// lease has ended by now does not matter then.
		if _, err := h.look(); errors.Is(err, errLost) {
			return Lost
		}
		ok, err := h.update(ctx, change, more...)
		switch {
		case ok:
			return result
		case err != nil:
			r.opts.Logger.Warn("how a task ended could not be written down; it will be found out again",
				slog.String("task", h.id), slog.String("result", string(result)), slog.Any("error", err))
			return result
		}
	}
}

// pauseAfter is how long to wait after so many failures.
func (r *Runner) pauseAfter(failures uint32) time.Duration {
	pause := r.opts.RetryFirst
	for i := uint32(1); i < failures && pause < r.opts.RetryMost; i++ {
		pause *= 2
	}
	return min(pause, r.opts.RetryMost)
}

func shorten(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxErrorBytes {
		text = strings.ToValidUTF8(text[:maxErrorBytes], "") + "…"
	}
	return text
}
