package tasks

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/fsm/state"
)

// found is a task as it was found in one state.
type found struct {
	id       string
	record   *state.Task
	revision uint64
}

// name is the task's id as people read it.
func (f *found) name() string {
	if id, err := uuid.FromBytes([]byte(f.id)); err == nil {
		return id.String()
	}
	return fmt.Sprintf("%x", f.id)
}

// finder looks for tasks that are to be done. An idle cluster costs it one look
// at a number: it searches when the state has changed, or a task's time has come.
type finder struct {
	index    uint64            // of the state that was searched last
	again    uint64            // replicated time at which there may be something even so; 0 is never
	finished map[string]uint64 // revisions of records that came to their end, which stay for a week
}

func (f *finder) due(r *Runner) ([]found, error) {
	v, err := r.opts.Log.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	now := r.opts.Log.NowMs()
	if v.Index == f.index && (f.again == 0 || now < f.again) {
		return nil, nil
	}
	f.index, f.again = v.Index, 0
	finished := make(map[string]uint64, len(f.finished))
	var due []found
	var failed error
	err = v.Scan(state.SpaceRange(state.SpaceTask), func(key []byte, value state.Value) bool {
		id := string(key[1:])
		if f.finished[id] == value.Revision {
			finished[id] = value.Revision
			return true
		}
		task := &state.Task{}
		if failed = state.Decode(value, task); failed != nil {
			return false
		}
		if task.FinishedMs != 0 {
			finished[id] = value.Revision
			return true
		}
		if task.GetPurge() == nil || r.isActive(id) {
			// A newer program's kind of task is for newer programs.
			return true
		}
		if at := f.dueAt(r, task); at > now {
			f.lookAgain(at)
		} else {
			due = append(due, found{id: id, record: task, revision: value.Revision})
			// It may not be got, for want of a slot or a leader.
			f.lookAgain(now)
		}
		return true
	})
	if err == nil {
		err = failed
	}
	f.finished = finished
	return due, err
}

// forget makes the next look a search, whether or not the state has changed.
func (f *finder) forget() { f.index = 0 }

// dueAt is when this node may take a task.
func (f *finder) dueAt(r *Runner, task *state.Task) uint64 {
	if lease := task.GetLease(); lease != nil && lease.Node != r.opts.Node {
		return lease.UntilMs
	}
	// A lease of this node's, which it does not work under, is left over from
	// before it was started: nobody else has the node's data folder.
	return task.RetryMs
}

func (f *finder) lookAgain(at uint64) {
	if f.again == 0 || at < f.again {
		f.again = at
	}
}
