package fsm

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
)

// Apply applies one entry; see ApplyBatch.
func (m *Machine) Apply(log *raft.Log) any {
	return m.ApplyBatch([]*raft.Log{log})[0]
}

// ApplyBatch applies committed entries in order, as one write to the store. The
// answer to an entry of commands is a []command.Result, one per command of its
// list, and nil to a change of the configuration and to an entry that was
// applied before.
//
// An entry that this program does not know, and a store that fails, halt the
// machine: the entries before it are applied, the entry and all after it are not,
// and their answers are the error.
func (m *Machine) ApplyBatch(logs []*raft.Log) []any {
	m.applying.lock()
	defer m.applying.give()
	answers := make([]any, len(logs))
	applied, err := m.applyAll(logs, answers)
	if err == nil {
		return answers
	}
	for i := applied; i < len(logs); i++ {
		answers[i] = err
	}
	if !errors.Is(err, ErrClosed) {
		m.halt(err)
	}
	return answers
}

// applyAll returns how many of the entries it applied and why no more.
func (m *Machine) applyAll(logs []*raft.Log, answers []any) (applied int, err error) {
	for applied < len(logs) && err == nil {
		var n int
		n, err = m.applyRun(logs[applied:], answers[applied:])
		applied += n
	}
	return applied, err
}

// applyRun applies entries as one write to the store: all of them, those up to
// one that replaces the store, or such a one alone.
func (m *Machine) applyRun(logs []*raft.Log, answers []any) (applied int, err error) {
	if err := m.failure(); err != nil {
		return 0, err
	}
	s, err := m.acquire()
	if err != nil {
		return 0, err
	}
	defer s.release()

	b := newBatch(s.db, m.pos.Load(), m.nextExpiry)
	b.staging = staging{m, s.name}
	defer func() { err = errors.Join(err, b.close()) }()
	var refused error
	for i, log := range logs {
		if log.Index <= b.pos.index {
			continue
		}
		var entry *command.Entry
		if log.Type == raft.LogCommand {
			if entry, refused = command.Decode(log.Data, m.opts.NewestCommand); refused != nil {
				refused = fmt.Errorf("fsm: entry %d can't be applied by this program: %w", log.Index, refused)
				logs = logs[:i]
				break
			}
		}
		if entry.Restores() && b.moved {
			logs = logs[:i]
			break
		}
		results, err := b.entry(log.Index, log.Term, entry)
		if err != nil {
			return 0, errors.Join(fmt.Errorf("fsm: apply entry %d: %w", log.Index, err), m.discard(b.next))
		}
		if entry != nil {
			answers[i] = results
		}
		if b.next != nil {
			logs = logs[:i+1]
			break
		}
	}
	if err := m.commit(s, b); err != nil {
		return 0, err
	}
	return len(logs), refused
}

// commit writes a batch and tells those who wait for it.
func (m *Machine) commit(s *store, b *batch) error {
	if !b.moved {
		return nil
	}
	if err := b.finish(); err != nil {
		return errors.Join(err, m.discard(b.next))
	}
	if b.next != nil {
		return m.commitRestored(s, b)
	}
	next := b.pos
	next.at = m.pos.Load().at
	if b.heard {
		next.at = m.opts.Now()
	}
	m.commits.Add(1)
	if err := b.rows.Commit(pebble.NoSync); err != nil {
		m.commits.Add(1)
		return fmt.Errorf("fsm: write entries up to %d: %w", next.index, err)
	}
	m.pos.Store(&next)
	m.commits.Add(1)
	m.nextExpiry = b.nextExpiry
	m.history.add(b.marks...)
	m.waiters.wake(next.index)
	return nil
}
