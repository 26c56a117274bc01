package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm/state"
)

// Snapshot takes the state as it is now, in constant time. Raft writes it out
// later, while entries go on being applied.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	// Raft labels a snapshot with the last index it handed over, which a machine
	// that has halted did not apply.
	if err := m.failure(); err != nil {
		return nil, err
	}
	h, err := m.hold()
	if err != nil {
		return nil, err
	}
	return &snapshot{held: h}, nil
}

type snapshot struct {
	held *held
	once sync.Once
}

// Persist writes the snapshot. It flushes first, because raft cuts its log once
// the sink is closed, and the log is the only write-ahead log there is: what was
// applied must not be in memory alone by then.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	err := s.held.store.flush()
	if err == nil {
		_, err = s.held.write(sink)
	}
	if err == nil {
		err = sink.Close()
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return nil
}

// Release is called by raft when it is done with the snapshot.
func (s *snapshot) Release() { s.once.Do(s.held.release) }

// WriteSnapshot writes the state as it is now as a stream that Restore reads: a
// backup. It does not hold up writes.
func (m *Machine) WriteSnapshot(w io.Writer) (Header, error) {
	h, err := m.hold()
	if err != nil {
		return Header{}, err
	}
	defer h.release()
	return h.write(w)
}

func (h *held) header() (Header, error) {
	header := Header{
		Index:    h.pos.index,
		Term:     h.pos.term,
		TimeMs:   h.pos.timeMs,
		Revision: h.pos.revision,
		Checksum: h.pos.sum.Bytes(),
	}
	r := &reader{snap: h.snap, nowMs: h.pos.timeMs}
	cluster, ok, err := state.NewView(r, h.pos.index, h.pos.timeMs, nil).Cluster()
	if err != nil {
		return header, fmt.Errorf("fsm: write snapshot: %w", err)
	}
	if ok {
		header.ClusterID = cluster.GetId()
	}
	return header, nil
}

func (h *held) write(w io.Writer) (header Header, err error) {
	header, err = h.header()
	if err != nil {
		return header, err
	}
	out, err := newStreamWriter(w, header)
	if err != nil {
		return header, err
	}
	it, err := h.snap.NewIter(replicatedRows())
	if err != nil {
		return header, fmt.Errorf("fsm: write snapshot: %w", err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = fmt.Errorf("fsm: write snapshot: %w", e)
		}
	}()
	// The checksum is computed anew on the way out: a snapshot of a damaged state
	// would only carry the damage to other nodes and into backups.
	var sum Sum
	var hash hasher
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return header, fmt.Errorf("fsm: write snapshot: %w", err)
		}
		sum.add(hash.row(it.Key(), value))
		if err := out.row(it.Key(), value); err != nil {
			return header, err
		}
	}
	if err := it.Error(); err != nil {
		return header, fmt.Errorf("fsm: write snapshot: %w", err)
	}
	if sum != h.pos.sum {
		return header, fmt.Errorf("%w: the rows at index %d have checksum %x, recorded is %x",
			ErrCorrupt, h.pos.index, sum.Bytes(), h.pos.sum.Bytes())
	}
	return header, out.finish()
}

// rowChecker checks rows on their way in: their order, their keyspace, and at
// the end the checksum of the state that they make up.
type rowChecker struct {
	hash hasher
	sum  Sum
	last []byte
}

func (c *rowChecker) row(key, value []byte) error {
	if len(key) == 0 || key[0] <= byte(state.SpaceMeta) {
		return fmt.Errorf("%w: row with key %x, which no snapshot holds", ErrBadSnapshot, key)
	}
	if bytes.Compare(c.last, key) >= 0 {
		return fmt.Errorf("%w: key %x is out of order", ErrBadSnapshot, key)
	}
	c.last = append(c.last[:0], key...)
	c.sum.add(c.hash.row(key, value))
	return nil
}

func (c *rowChecker) finish(h Header) error {
	if c.sum.Bytes() != h.Checksum {
		return fmt.Errorf("%w: the state has checksum %x, its header says %x", ErrBadSnapshot, c.sum.Bytes(), h.Checksum)
	}
	return nil
}

// ReadSnapshot reads a whole stream, checks all that Restore checks and calls row
// with each stored row in order. Rows are to be believed only once it has
// returned without an error.
func ReadSnapshot(r io.Reader, row func(key, value []byte) error) (Header, error) {
	h, err := ReadHeader(r)
	if err != nil {
		return h, err
	}
	return h, readRows(r, h, row)
}

// VerifySnapshot checks a whole stream, such as a backup after its upload.
func VerifySnapshot(r io.Reader) (Header, error) {
	return ReadSnapshot(r, func([]byte, []byte) error { return nil })
}

// readRows reads what follows a header.
func readRows(r io.Reader, h Header, row func(key, value []byte) error) error {
	var check rowChecker
	err := readStream(r, func(key, value []byte) error {
		if err := check.row(key, value); err != nil {
			return err
		}
		return row(key, value)
	})
	if err != nil {
		return err
	}
	return check.finish(h)
}
