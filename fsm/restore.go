package fsm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// restoreTableBytes is how large the sorted tables are that a restore builds: one
// at a time is written, a block of it in memory.
const restoreTableBytes = 64 << 20

// Restore replaces the whole state by that of a snapshot stream. The new state
// is built beside the old one and takes its place in one step after everything
// was checked: an error, or a crash at any point, leaves the old one. Views of
// the old one stay readable.
func (m *Machine) Restore(stream io.ReadCloser) (err error) {
	defer func() { err = errors.Join(err, stream.Close()) }()
	m.applying.lock()
	defer m.applying.give()
	if err := m.failure(); err != nil {
		return err
	}
	old, err := m.acquire()
	if err != nil {
		return err
	}
	defer old.release()

	const readAhead = 1 << 20
	in := bufio.NewReaderSize(stream, readAhead)
	header, err := ReadHeader(in)
	if err != nil {
		return err
	}
	if err := m.checkOrigin(header); err != nil {
		return err
	}
	name, err := m.folder.newState(old.name)
	if err != nil {
		return err
	}
	next, pos, err := m.build(name, header, in)
	if err != nil {
		err = errors.Join(err, m.folder.remove(name))
		if errors.Is(err, ErrNewerCommands) {
			// Raft would offer the same snapshot for ever.
			m.halt(err)
		}
		return err
	}
	if err := m.folder.setCurrent(name); err != nil {
		// CURRENT may or may not have changed on disk. The new state is left where it
		// is, so that whichever a restart finds is whole.
		next.release()
		m.halt(err)
		return err
	}
	m.replace(old, next, pos)
	m.opts.Logger.Info("state restored", "index", pos.index, "term", pos.term, "revision", pos.revision)
	return nil
}

// checkOrigin refuses the snapshot of another cluster.
func (m *Machine) checkOrigin(h Header) error {
	own, err := m.header()
	if err != nil {
		return err
	}
	if own.ClusterID != "" && h.ClusterID != "" && own.ClusterID != h.ClusterID {
		return fmt.Errorf("%w: it is of %s, this node belongs to %s", ErrForeignSnapshot, h.ClusterID, own.ClusterID)
	}
	return nil
}

func (m *Machine) header() (Header, error) {
	h, err := m.hold()
	if err != nil {
		return Header{}, err
	}
	defer h.release()
	return h.header()
}

// build makes a store from the rest of a stream.
func (m *Machine) build(name string, header Header, in io.Reader) (_ *store, pos moment, err error) {
	next, err := m.openStore(name)
	if err != nil {
		return nil, pos, err
	}
	defer func() {
		if err != nil {
			next.release()
		}
	}()
	tables := newTableWriter(m.opts.FS, m.opts.FS.PathJoin(m.opts.Dir, name), next.db.TableFormat(), m.engineOptions())
	// Where the state stands is the first row of all, so it comes with the rest in
	// one step.
	start := position{index: header.Index, term: header.Term, sum: sumFromBytes(header.Checksum)}
	err = tables.row(positionKey, start.append(nil))
	if err != nil {
		return nil, pos, errors.Join(err, tables.abort())
	}
	if err := readRows(in, header, tables.row); err != nil {
		return nil, pos, errors.Join(err, tables.abort())
	}
	if err := tables.finish(); err != nil {
		return nil, pos, err
	}
	if err := next.db.Ingest(context.Background(), tables.paths); err != nil {
		return nil, pos, fmt.Errorf("fsm: take in restored tables: %w", err)
	}
	pos, err = readMoment(next.db)
	if err != nil {
		return nil, pos, err
	}
	if pos.position != start || pos.timeMs != header.TimeMs || pos.revision != header.Revision {
		return nil, pos, fmt.Errorf("%w: its rows are not those of its header", ErrBadSnapshot)
	}
	return next, pos, m.checkVersion(pos)
}

// replace puts a restored store in the place of the old one.
func (m *Machine) replace(old, next *store, pos moment) {
	pos.at = m.opts.Now()
	old.closed = func(err error) {
		if err == nil {
			err = m.folder.remove(old.name)
		}
		if err != nil {
			// The next start removes it.
			m.opts.Logger.Warn("old state not removed", "folder", old.name, "error", err)
		}
	}
	m.current.Lock()
	m.commits.Add(1)
	m.store = next
	m.pos.Store(&pos)
	m.commits.Add(1)
	m.current.Unlock()
	m.nextExpiry = 0
	m.history.add(pos.position)
	m.waiters.wake(pos.index)
	// The machine's own hold; the caller has another.
	old.release()
	m.opts.Restored()
}

// tableWriter writes sorted rows into tables for the storage engine to take in.
type tableWriter struct {
	fs     vfs.FS
	dir    string
	format sstable.TableFormat
	opts   *pebble.Options
	paths  []string
	table  *sstable.Writer
}

func newTableWriter(fs vfs.FS, dir string, format sstable.TableFormat, opts *pebble.Options) *tableWriter {
	opts.EnsureDefaults()
	return &tableWriter{fs: fs, dir: dir, format: format, opts: opts}
}

func (t *tableWriter) row(key, value []byte) error {
	if t.table == nil {
		if err := t.begin(); err != nil {
			return err
		}
	}
	if err := t.table.Set(key, value); err != nil {
		return fmt.Errorf("fsm: write restored table: %w", err)
	}
	if t.table.Raw().EstimatedSize() < restoreTableBytes {
		return nil
	}
	return t.finish()
}

func (t *tableWriter) begin() error {
	path := t.fs.PathJoin(t.dir, fmt.Sprintf("restore-%06d.table", len(t.paths)))
	file, err := t.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("fsm: write restored table: %w", err)
	}
	// Ingested tables go to the lowest level.
	const level = 6
	t.table = sstable.NewWriter(objstorageprovider.NewFileWritable(file), t.opts.MakeWriterOptions(level, t.format))
	t.paths = append(t.paths, path)
	return nil
}

// finish closes the table that is being written, synced.
func (t *tableWriter) finish() error {
	if t.table == nil {
		return nil
	}
	table := t.table
	t.table = nil
	if err := table.Close(); err != nil {
		return fmt.Errorf("fsm: write restored table: %w", err)
	}
	return nil
}

// abort closes the table that is being written; its folder goes anyway.
func (t *tableWriter) abort() error { return t.finish() }
