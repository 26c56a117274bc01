package fsm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// VerifyDisk reads the whole state from disk, every block of every file whether
// it is in a cache or not, and compares the rows with the checksum that was kept
// up along the way: ErrCorrupt names what is not as it was written. It does not
// hold up writes.
func (m *Machine) VerifyDisk(ctx context.Context) (sum [16]byte, index uint64, err error) {
	if err := m.verifyTables(ctx); err != nil {
		return sum, m.pos.Load().index, err
	}
	sum, index, err = m.VerifyChecksum(ctx)
	if pebble.IsCorruptionError(err) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return sum, index, err
}

// verifyTables reads the blocks of all tables past the engine's cache.
func (m *Machine) verifyTables(ctx context.Context) error {
	s, err := m.acquire()
	if err != nil {
		return err
	}
	defer s.release()
	levels, err := s.db.SSTables()
	if err != nil {
		return fmt.Errorf("fsm: list the tables of the state: %w", err)
	}
	opts := m.engineOptions()
	opts.EnsureDefaults()
	readerOpts := opts.MakeReaderOptions()
	done := make(map[string]bool)
	for _, tables := range levels {
		for _, table := range tables {
			// Several may share one file.
			name := fmt.Sprintf("%s.sst", table.BackingSSTNum)
			if done[name] {
				continue
			}
			done[name] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			path := m.opts.FS.PathJoin(m.opts.Dir, s.name, name)
			if err := m.verifyTable(ctx, path, readerOpts); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Machine) verifyTable(ctx context.Context, path string, opts sstable.ReaderOptions) (err error) {
	file, err := m.opts.FS.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // compacted meanwhile: what it held was read for that
	}
	if err != nil {
		return fmt.Errorf("fsm: read the state: %w", err)
	}
	readable, err := sstable.NewSimpleReadable(file)
	if err != nil {
		return errors.Join(fmt.Errorf("fsm: read %s: %w", path, err), file.Close())
	}
	reader, err := sstable.NewReader(ctx, readable, opts)
	if err != nil {
		return errors.Join(damagedTable(path, err), readable.Close())
	}
	err = reader.ValidateBlockChecksums()
	if err != nil {
		err = damagedTable(path, err)
	}
	return errors.Join(err, reader.Close())
}

func damagedTable(path string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: damaged file %s: %w", ErrCorrupt, path, err)
	}
	return fmt.Errorf("fsm: read %s: %w", path, err)
}
