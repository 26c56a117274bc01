package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolterrors "go.etcd.io/bbolt/errors"
)

// logs is the log as raft sees it: each entry is checked when it is read. A write
// that fails makes a leader step down; it is noted, so that the node says why it
// is not ready.
type logs struct{ store *store }

// stable is term and vote as raft sees them. Raft panics where a new term can't
// be saved. A full disk should not end the process: it can still answer reads,
// and someone may make room. So saving is tried until it works; as long as it
// does not, the node takes no part in elections, which is what it has to do.
type stable struct{ store *store }

var (
	_ raft.LogStore    = (*logs)(nil)
	_ raft.StableStore = (*stable)(nil)
)

// FirstIndex implements raft.LogStore.
func (l *logs) FirstIndex() (index uint64, err error) {
	err = l.store.guard(func() error {
		index, err = l.store.bolt.FirstIndex()
		return err
	})
	return index, err
}

// LastIndex implements raft.LogStore.
func (l *logs) LastIndex() (index uint64, err error) {
	err = l.store.guard(func() error {
		index, err = l.store.bolt.LastIndex()
		return err
	})
	return index, err
}

// GetLog implements raft.LogStore. Raft copes with an error where it wanted to
// send the entry. Where it wanted to apply it, it panics, and is not told.
func (l *logs) GetLog(index uint64, entry *raft.Log) error {
	err := l.read(index, entry)
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	if applied := l.store.applied.Load(); applied != nil && index > (*applied)() {
		l.store.damage.endRaft()
	}
	return err
}

// read is GetLog for everybody else.
func (l *logs) read(index uint64, entry *raft.Log) error {
	s := l.store
	var found raft.Log
	err := s.guard(func() error { return s.bolt.GetLog(index, &found) })
	switch {
	case err == nil:
		err = unsealEntry(&found, index, index >= s.sealedFrom)
	case errors.Is(err, raft.ErrLogNotFound):
		return l.missing(index)
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen), errors.Is(err, ErrDamaged):
		return err
	}
	if err != nil {
		return s.damage.report(s.path(), fmt.Errorf("log entry %d %w", index, err))
	}
	*entry = found
	return nil
}

// missing tells an entry that is lost from one that was cut off, or that a
// snapshot took the place of: raft has applied those.
func (l *logs) missing(index uint64) error {
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if applied := l.store.applied.Load(); applied == nil || index <= (*applied)() || index > last {
		return raft.ErrLogNotFound
	}
	// Asked again: it may have been cut off meanwhile, for another leader's.
	var found raft.Log
	err = l.store.guard(func() error { return l.store.bolt.GetLog(index, &found) })
	if !errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	return l.store.damage.report(l.store.path(), fmt.Errorf("log entry %d is missing", index))
}

// backwards reads the log from its end, until look has seen enough or there is no
// more.
func (s *store) backwards(look func(entry *raft.Log) (done bool, err error)) error {
	log := &logs{s}
	first, err := log.FirstIndex()
	if err != nil {
		return logError(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return logError(err)
	}
	for index := last; index > 0 && index >= first; index-- {
		var entry raft.Log
		if err := log.read(index, &entry); err != nil {
			return logError(err)
		}
		if done, err := look(&entry); done || err != nil {
			return err
		}
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (l *logs) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *logs) StoreLogs(entries []*raft.Log) error {
	sealed := make([]*raft.Log, len(entries))
	for i, entry := range entries {
		sealed[i] = sealEntry(entry)
	}
	err := l.store.guard(func() error { return l.store.bolt.StoreLogs(sealed) })
	l.store.noted(err)
	return err
}

// DeleteRange implements raft.LogStore.
func (l *logs) DeleteRange(low, high uint64) error {
	return l.store.guard(func() error { return l.store.bolt.DeleteRange(low, high) })
}

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func (s *stable) persist(save func() error) error {
	pause := firstRetry
	for {
		err := save()
		s.store.noted(err)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrDamaged) {
			s.store.damage.endRaft()
			return err
		}
		s.store.logger.Error("term and vote can't be saved", "error", err)
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastRetry)
		case <-s.store.closed:
			// The node is being shut down. Raft would panic on the error; ending its
			// goroutine leaves the old term on disk, as after a crash.
			runtime.Goexit()
		}
	}
}

// Set implements raft.StableStore.
func (s *stable) Set(key, value []byte) error {
	return s.persist(func() error { return s.store.set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (s *stable) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// Get implements raft.StableStore.
func (s *stable) Get(key []byte) ([]byte, error) { return s.store.get(key) }

// GetUint64 implements raft.StableStore.
func (s *stable) GetUint64(key []byte) (uint64, error) { return s.store.getUint64(key) }

func (s *store) set(key, value []byte) error {
	return s.guard(func() error { return s.bolt.Set(key, sealValue(key, value)) })
}

// get returns the value under key; raftboltdb.ErrKeyNotFound where there is none.
func (s *store) get(key []byte) ([]byte, error) {
	var stored []byte
	err := s.guard(func() (err error) {
		stored, err = s.bolt.Get(key)
		return err
	})
	if err != nil {
		return nil, err
	}
	value, err := unsealValue(key, stored, s.sealedFrom > 0)
	if err != nil {
		return nil, s.damage.report(s.path(), fmt.Errorf("%s %w", key, err))
	}
	return value, nil
}

func (s *store) getUint64(key []byte) (uint64, error) {
	value, err := s.get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, s.damage.report(s.path(), fmt.Errorf("%s has %d bytes, not 8", key, len(value)))
	}
	return binary.BigEndian.Uint64(value), nil
}

// keySealed holds from which entry on all have a seal. Below are those that an
// earlier version of the program has written.
var keySealed = []byte("floeberg.sealed-from")

// votes are the keys under which raft keeps term and vote.
var votes = [][]byte{keyTerm, []byte("LastVoteTerm"), []byte("LastVoteCand")}

// seal finds out from where on everything must have a seal. In a folder of an
// earlier version, or a new one, that is what comes from now on; term and vote
// get theirs at once.
func (s *store) seal() error {
	from, err := s.getUint64(keySealed)
	if err == nil {
		s.sealedFrom = from
		return nil
	}
	if !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return err
	}
	for _, key := range votes {
		value, err := s.get(key)
		if errors.Is(err, raftboltdb.ErrKeyNotFound) {
			continue
		}
		if err == nil {
			err = s.set(key, value)
		}
		if err != nil {
			return err
		}
	}
	last, err := (&logs{s}).LastIndex()
	if err != nil {
		return err
	}
	if err := s.set(keySealed, binary.BigEndian.AppendUint64(nil, last+1)); err != nil {
		return err
	}
	s.sealedFrom = last + 1
	return nil
}
