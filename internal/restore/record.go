package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

const (
	// lease is how long a node can be silent and still be taken for alive.
	lease = 30 * time.Second
	// proposeTimeout bounds one step; a leader may have to be elected meanwhile.
	proposeTimeout = time.Minute
	// giveWayTimeout bounds the last step, in which each node builds its new state.
	giveWayTimeout = 30 * time.Minute
)

// record is the replicated record of a restore in the hands of the node that works
// on it. Every step is on condition that nobody else has changed it.
type record struct {
	log Log

	mu       sync.Mutex
	current  *state.Restore
	revision uint64
	// unsure is set while it is not known what became of the last step.
	unsure bool
	// late is set while a step of which nothing is known may still be carried out.
	late bool
}

// step is what a transaction does besides writing the record.
type step struct {
	preconditions []*command.Precondition
	writes        []*command.Write
	restore       *command.Restore
	timeout       time.Duration
	// giveBack ends the lease, so that another node can go on at once.
	giveBack bool
	// refused is the error where one of its preconditions does not hold.
	refused error
}

// update changes the record, together with whatever else the step does.
func (r *record) update(ctx context.Context, s step, change func(*state.Restore)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unsure {
		if err := r.look(ctx); err != nil {
			return err
		}
	}
	late := r.late
	err := r.try(ctx, s, change)
	if late && errors.Is(err, errTakenOver) {
		// The step of which nothing was known was carried out just before this one, or
		// it really is another node's.
		if err := r.look(ctx); err != nil {
			return err
		}
		return r.try(ctx, s, change)
	}
	return err
}

// try changes the record as it is known.
func (r *record) try(ctx context.Context, s step, change func(*state.Restore)) error {
	next, ok := proto.Clone(r.current).(*state.Restore)
	if !ok {
		return fmt.Errorf("restore: a record that is none: %T", next)
	}
	change(next)
	if next.LeaseMs = 0; underWay(next) && !s.giveBack {
		next.LeaseMs = r.log.NowMs() + uint64(lease.Milliseconds())
	}
	value, err := state.Encode(next)
	if err != nil {
		return err
	}
	key := state.RestoreKey()
	mine := command.KeyAbsent(key)
	if r.revision > 0 {
		mine = command.KeyUnchanged(key, r.revision)
	}
	if s.timeout == 0 {
		s.timeout = proposeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	result, err := r.log.Propose(ctx, &command.Transaction{
		Preconditions: append([]*command.Precondition{mine}, s.preconditions...),
		// The record comes last: a step may have removed it with other things.
		Writes:  slices.Concat(s.writes, []*command.Write{command.PutValue(key, value)}),
		Restore: s.restore,
	})
	switch {
	case err != nil:
		r.unsure = true
		return err
	case result.Outcome == command.Rejected && result.Failed == command.Malformed:
		return errRefused
	case result.Outcome == command.Rejected && result.Failed == 0:
		return errTakenOver
	case result.Outcome == command.Rejected:
		return s.refused
	case result.Outcome != command.Applied:
		return fmt.Errorf("restore: %w: the log took too long", context.DeadlineExceeded)
	}
	r.current, r.revision, r.late = next, result.Revision, false
	return r.log.WaitApplied(ctx, result.Index)
}

// look finds out what became of a step: the record is still this node's, or not.
func (r *record) look(ctx context.Context) error {
	v, err := r.log.Current(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	rec, revision, _, err := v.Restore()
	switch {
	case err != nil:
		return err
	case rec.GetId() != r.current.GetId() || rec.GetNode() != r.current.GetNode():
		return errTakenOver
	}
	// Where nothing has changed, the step may still be on its way.
	r.late = revision == r.revision
	r.current, r.revision, r.unsure = rec, revision, false
	return nil
}

// gaveWay tells whether the last step, of which nothing is known, was carried out
// and was the one in which the state gives way.
func (r *record) gaveWay(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.unsure {
		return false
	}
	return r.look(ctx) == nil && r.current.GetStatus() == state.RestoreStatus_RESTORE_STATUS_CHECKING
}

func underWay(s *state.Restore) bool {
	switch s.GetStatus() {
	case state.RestoreStatus_RESTORE_STATUS_COPYING, state.RestoreStatus_RESTORE_STATUS_CHECKING:
		return true
	default:
		return false
	}
}

// empty are the ranges that must hold nothing, with what is in them.
var empty = []struct {
	space state.Space
	what  string
}{
	{state.SpaceNamespace, "namespaces"},
	{state.SpaceTable, "tables"},
	{state.SpaceView, "views"},
	{state.SpaceTask, "background jobs"},
}

// nothing is the preconditions of an empty cluster.
func nothing() []*command.Precondition {
	var out []*command.Precondition
	for _, e := range empty {
		r := state.SpaceRange(e.space)
		out = append(out, command.RangeEmpty(r.Start, r.End))
	}
	return out
}

func checkEmpty(v *state.View) error {
	for _, e := range empty {
		none, err := v.Empty(state.SpaceRange(e.space))
		if err != nil {
			return err
		}
		if !none {
			return fmt.Errorf("%w: it has %s, which would be lost; restore into a new cluster", ErrNotEmpty, e.what)
		}
	}
	return nil
}
