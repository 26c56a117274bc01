package fsm

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Machine is the replicated state of one node. One goroutine applies, takes
// snapshots and restores, as raft does; everything else may be called by anybody
// at any time.
type Machine struct {
	opts   Options
	cache  *pebble.Cache
	folder *folder

	// applying is held by whoever changes the state, or needs it not to change.
	applying turn
	// nextExpiry is no later than the first row of the expiry index: sweeping looks
	// only when it is due, and starts there instead of at rows long deleted.
	nextExpiry uint64

	// current guards the store, which Restore replaces and Close takes away.
	current sync.RWMutex
	store   *store
	closed  bool

	// pos is where the state stands. commits is odd while a batch is on its way
	// into the store: who finds it even and unchanged around taking a snapshot of
	// the store knows that pos speaks of that snapshot.
	pos     atomic.Pointer[moment]
	commits atomic.Uint64

	history history
	waiters waiters
	failed  atomic.Pointer[error]
	halted  chan struct{} // closed once failed is set
	closing atomic.Bool
}

var _ raft.BatchingFSM = (*Machine)(nil)

// moment is where the state stands and since when it does on this node.
type moment struct {
	position
	counters
	// version is the command version in use.
	version uint32
	at      time.Time
}

// Open opens the state in a folder, or makes a new one.
func Open(opts Options) (_ *Machine, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return nil, err
	}
	f, name, err := openFolder(opts.FS, opts.Dir)
	if err != nil {
		return nil, err
	}
	m := &Machine{opts: opts, folder: f, cache: pebble.NewCache(opts.CacheBytes), applying: make(turn, 1), halted: make(chan struct{})}
	m.pos.Store(&moment{})
	defer func() {
		if err != nil {
			m.closing.Store(true)
			m.cache.Unref()
			err = errors.Join(err, f.close())
		}
	}()
	s, err := m.openStore(name)
	if err != nil {
		return nil, err
	}
	pos, err := readMoment(s.db)
	if err != nil {
		err = openError(f.path(name), err)
	} else {
		err = m.checkVersion(pos)
	}
	if err != nil {
		s.release()
		return nil, err
	}
	pos.at = opts.Now()
	m.store = s
	m.pos.Store(&pos)
	m.history.add(pos.position)
	return m, nil
}

// readMoment reads from a store where it stands; a new one is at the beginning.
func readMoment(r pebble.Reader) (moment, error) {
	var out moment
	err := readRow(r, positionKey, func(raw []byte) (err error) {
		out.position, err = parsePosition(raw)
		return err
	})
	if err != nil {
		return out, err
	}
	err = readRow(r, countersKey, func(raw []byte) (err error) {
		out.counters, err = parseCounters(raw)
		return err
	})
	if err != nil {
		return out, err
	}
	out.version = command.FirstVersion
	return out, readRow(r, versionKey, func(raw []byte) (err error) {
		out.version, err = parseVersion(raw)
		return err
	})
}

// checkVersion refuses a state in which commands are in use that this machine
// does not apply: the next entry might be one.
func (m *Machine) checkVersion(pos moment) error {
	if pos.version <= m.opts.NewestCommand {
		return nil
	}
	return fmt.Errorf("%w: version %d is in use, this program knows versions up to %d: run a newer one",
		ErrNewerCommands, pos.version, m.opts.NewestCommand)
}

// readRow calls parse with a stored row, if there is one.
func readRow(r pebble.Reader, key []byte, parse func([]byte) error) error {
	raw, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fsm: read key %x: %w", key, err)
	}
	if err := errors.Join(parse(raw), closer.Close()); err != nil {
		return fmt.Errorf("key %x: %w", key, err)
	}
	return nil
}

// Applied returns the last entry that is in the state.
func (m *Machine) Applied() (index, term uint64) {
	p := m.pos.Load()
	return p.index, p.term
}

// CommandVersions returns the command version that is in use in the cluster and
// the newest one that this machine applies.
func (m *Machine) CommandVersions() (inUse, newest uint32) {
	return m.pos.Load().version, m.opts.NewestCommand
}

// TimeMs returns replicated time and the moment, on this node's clock, at which
// it was last heard of.
func (m *Machine) TimeMs() (replicated uint64, appliedAt time.Time) {
	p := m.pos.Load()
	return p.timeMs, p.at
}

// NeedsRestore tells whether a start must restore the latest snapshot, because
// the state on disk is older than it: lost, or left behind. It is asked at each
// start; a fixed answer loses data one way or the other.
func (m *Machine) NeedsRestore(latestSnapshotIndex uint64) bool {
	return m.pos.Load().index < latestSnapshotIndex
}

// Failure returns why the machine has halted; nil while it has not.
func (m *Machine) Failure() error { return m.failure() }

// Flush makes everything applied so far durable. Without it a restart applies
// the tail of the log again.
func (m *Machine) Flush() error {
	s, err := m.acquire()
	if err != nil {
		return err
	}
	defer s.release()
	return s.flush()
}

// acquire returns the store and holds it until it is released.
func (m *Machine) acquire() (*store, error) {
	m.current.RLock()
	defer m.current.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	m.store.retain()
	return m.store, nil
}

// Close flushes and closes. Views that are still open stay readable; the store
// closes and the folder is unlocked with the last of them. Closing again does
// nothing.
func (m *Machine) Close() error {
	m.applying.lock()
	defer m.applying.give()
	m.current.Lock()
	s, was := m.store, m.closed
	m.closed = true
	m.current.Unlock()
	if was {
		return nil
	}
	m.waiters.fail(ErrClosed)
	// A machine that has halted may hold a batch that must not be trusted to a
	// flush; the log has it all.
	var err error
	if m.failure() == nil {
		err = s.flush()
	}
	m.closing.Store(true)
	var closeErr error
	done := make(chan struct{})
	s.closed = func(err error) {
		m.cache.Unref()
		closeErr = errors.Join(err, m.folder.close())
		if closeErr != nil {
			m.opts.Logger.Error("closing the state", "error", closeErr)
		}
		close(done)
	}
	s.release()
	select {
	case <-done:
		return errors.Join(err, closeErr)
	default:
		m.opts.Logger.Warn("state closes when its last view does", "views", s.refs.Load())
		return err
	}
}

// held is an unchanging state: a snapshot of the store and where it stands.
type held struct {
	store *store
	snap  *pebble.Snapshot
	pos   moment
}

func (h *held) release() {
	// Closing a snapshot only fails where it was closed before.
	_ = h.snap.Close()
	h.store.release()
}

// hold takes an unchanging state. It waits for nobody: not for a batch that is
// being written, not for a disk that is full.
func (m *Machine) hold() (*held, error) {
	// In this order: a restore that comes in between has changed commits.
	before := m.commits.Load()
	pos := m.pos.Load()
	s, err := m.acquire()
	if err != nil {
		return nil, err
	}
	h := &held{store: s, snap: s.db.NewSnapshot()}
	if before%2 == 0 && m.commits.Load() == before {
		h.pos = *pos
		return h, nil
	}
	h.pos, err = readMoment(h.snap)
	if err != nil {
		h.release()
		return nil, err
	}
	h.pos.at = pos.at
	return h, nil
}

// View returns the state as it is now. The caller closes it.
func (m *Machine) View() (*state.View, error) {
	h, err := m.hold()
	if err != nil {
		return nil, err
	}
	return h.view(), nil
}

// view is a view of it, which lets go of it in the end.
func (h *held) view() *state.View {
	return state.NewView(&reader{snap: h.snap, nowMs: h.pos.timeMs}, h.pos.index, h.pos.timeMs, h.release)
}
