package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// errLost is returned when a task is not this worker's any more, or may not be
// in a moment: nothing may be deleted for it.
var errLost = errors.New("the task is not this node's any more")

// held is a task that this node has taken.
type held struct {
	runner *Runner
	id     string // for people
	key    []byte
	lease  []byte // id
	work   *state.Purge
	// warehouse is whose files it is about.
	warehouse string

	// deleted and kept are the worker's counts.
	deleted, kept atomic.Uint64

	mu       sync.Mutex
	record   *state.Task
	revision uint64
}

// take takes a task. It returns nil where another was first, or nothing is known.
func (r *Runner) take(f found) (*held, error) {
	lease := uuid.New()
	h := &held{
		runner: r, id: f.name(), key: state.TaskKey([]byte(f.id)), lease: lease[:], work: f.record.GetPurge(), warehouse: f.record.GetWarehouse(),
		record: f.record, revision: f.revision,
	}
	h.deleted.Store(f.record.GetProgress().GetFilesDeleted())
	h.kept.Store(f.record.GetProgress().GetFilesKept())
	ctx, cancel := context.WithTimeout(r.closing, proposeTimeout)
	defer cancel()
	// Counted from before the proposal: by however much this node's clock is
	// behind, its lease is the shorter.
	ok, err := h.update(ctx, func(task *state.Task) {
		task.Status, task.RetryMs = state.TaskStatus_TASK_STATUS_RUNNING, 0
		h.extend(task)
	})
	if !ok {
		return nil, err
	}
	return h, nil
}

func (h *held) extend(task *state.Task) {
	opts := &h.runner.opts
	task.Lease = &state.TaskLease{Node: opts.Node, Id: h.lease, UntilMs: opts.Log.NowMs() + uint64(opts.Lease.Milliseconds())}
	h.note(task)
}

// note writes progress down.
func (h *held) note(task *state.Task) {
	task.Progress = &state.TaskProgress{FilesDeleted: h.deleted.Load(), FilesKept: h.kept.Load()}
}

// keep counts files that stay. Attempts meet the same ones again.
func (h *held) keep(n uint64) { h.kept.Store(max(h.kept.Load(), n)) }

// renew lengthens the lease.
func (h *held) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	ok, err := h.update(ctx, h.extend)
	if err == nil && !ok {
		return errLost
	}
	return err
}

// update changes the record, on the condition that nobody has since it was seen.
// It is false where somebody has.
func (h *held) update(ctx context.Context, change func(*state.Task), more ...*command.Write) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := proto.CloneOf(h.record)
	change(next)
	data, err := state.Encode(next)
	if err != nil {
		return false, err
	}
	opts := &h.runner.opts
	write := command.PutValue(h.key, data)
	if next.FinishedMs != 0 {
		write = command.PutExpiring(h.key, data, next.FinishedMs+uint64(opts.Keep.Milliseconds()))
	}
	res, err := opts.Log.Propose(ctx, &command.Transaction{
		Preconditions: []*command.Precondition{command.KeyUnchanged(h.key, h.revision)},
		Writes:        append([]*command.Write{write}, more...),
	})
	if err != nil {
		return false, err
	}
	if res.Outcome != command.Applied {
		return false, nil
	}
	h.record, h.revision = next, res.Revision
	// What is looked up here from now on is not older than this.
	return true, opts.Log.WaitApplied(ctx, res.Index)
}

// look looks the record up, and returns errLost where it is not this worker's any
// more: cancelled, or taken by another.
func (h *held) look() (*state.TaskLease, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, err := h.runner.opts.Log.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	record, revision, ok, err := v.Task(h.key[1:])
	if err != nil {
		return nil, err
	}
	if !ok || !bytes.Equal(record.GetLease().GetId(), h.lease) {
		return nil, errLost
	}
	// A renewal whose outcome was never heard of may have been applied.
	h.record, h.revision = record, revision
	return record.Lease, nil
}

// left is how long this worker may go on; errLost where it may not.
func (h *held) left() (time.Duration, error) {
	lease, err := h.look()
	if err != nil {
		return 0, err
	}
	opts := &h.runner.opts
	left := time.Duration(int64(lease.UntilMs)-int64(opts.Log.NowMs()))*time.Millisecond - opts.Margin
	if left <= 0 {
		return 0, fmt.Errorf("%w: its lease ends", errLost)
	}
	return left, nil
}

// within runs a step that deletes something, in the time that the lease leaves.
func (h *held) within(ctx context.Context, step func(context.Context) error) error {
	left, err := h.left()
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	err = step(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		// It was the step that took too long, unless the task is lost.
		if _, lost := h.left(); lost != nil {
			return lost
		}
	}
	return err
}
