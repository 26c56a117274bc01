package fsm

import "fmt"

// halt stops the machine for good: nothing is applied afterwards, and who waits
// for an index is told. Only the first reason counts.
func (m *Machine) halt(err error) {
	if m.setFailed(err) {
		m.opts.Halt(err)
	}
}

// haltAside is halt for callers that hold a lock of the storage engine.
func (m *Machine) haltAside(err error) {
	if m.setFailed(err) {
		go m.opts.Halt(err)
	}
}

func (m *Machine) setFailed(err error) bool {
	if m.closing.Load() {
		m.opts.Logger.Warn("storage error while closing", "error", err)
		return false
	}
	failure := fmt.Errorf("%w: %w", ErrHalted, err)
	if !m.failed.CompareAndSwap(nil, &failure) {
		return false
	}
	close(m.halted)
	m.opts.Logger.Error("the replicated state stops here", "error", err, "applied_index", m.pos.Load().index)
	m.waiters.fail(failure)
	return true
}

// failure returns why the machine has stopped, or nil.
func (m *Machine) failure() error {
	if err := m.failed.Load(); err != nil {
		return *err
	}
	return nil
}
