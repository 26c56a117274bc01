package fsm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
)

// The checksum after an entry is the same on every machine, whatever else was in
// one batch with the entry there, and also where the machine was closed in between.
func TestChecksumAtDoesNotDependOnBatches(t *testing.T) {
	t.Parallel()
	const entries = 120
	var logs []*raft.Log
	for i := range uint64(entries) {
		switch i % 10 {
		case 7:
			logs = append(logs, &raft.Log{Index: i + 1, Term: 1, Type: raft.LogConfiguration})
		case 8:
			logs = append(logs, entryLog(t, i+1, openTerm(i)))
		default:
			logs = append(logs, entryLog(t, i+1, at(i, transaction(i, put(fmt.Sprint("key ", i%5), fmt.Sprint(i))))))
		}
	}
	one := open(t, vfs.NewMem())
	for _, log := range logs {
		one.ApplyBatch([]*raft.Log{log})
	}
	fs := vfs.NewMem()
	many, err := fsm.Open(options(fs, nil))
	if err != nil {
		t.Fatal(err)
	}
	for rest := logs; len(rest) > 0; {
		n := min(1+rand.IntN(9), len(rest))
		many.ApplyBatch(rest[:n])
		rest = rest[n:]
	}
	for i := range uint64(entries + 1) {
		want, _, known := one.ChecksumAt(i)
		got, _, also := many.ChecksumAt(i)
		if !known || !also || got != want {
			t.Errorf("entry %d: %x (%t) and %x (%t)", i, want, known, got, also)
		}
	}
	if _, _, known := one.ChecksumAt(entries + 1); known {
		t.Error("it knows of an entry that it did not apply")
	}
	want, _ := many.Checksum()
	closeMachine(t, many)
	again := open(t, fs)
	if got, term, known := again.ChecksumAt(entries); !known || got != want || term != 1 {
		t.Errorf("after a start: %x (%t), term %d; want %x", got, known, term, want)
	}
	if _, _, known := again.ChecksumAt(entries - 1); known {
		t.Error("it knows of an entry from before it was started")
	}
}

func TestChecksumAtForgets(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	var logs []*raft.Log
	const entries = 20_000
	for i := range uint64(entries) {
		logs = append(logs, &raft.Log{Index: i + 1, Term: 1, Type: raft.LogConfiguration})
	}
	m.ApplyBatch(logs)
	for index, want := range map[uint64]bool{1: false, entries - 10_000: false, entries - 8_000: true, entries: true} {
		if _, _, known := m.ChecksumAt(index); known != want {
			t.Errorf("entry %d is known: %t", index, known)
		}
	}
}

// What is in the engine's cache hides what became of the disk; VerifyDisk does
// not look there.
func TestVerifyDiskReadsPastTheCache(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, err := fsm.Open(fsm.Options{Dir: dir, Halt: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(m)
	for i := range uint64(200) {
		one(t, m, i+1, 1, transaction(i, put(fmt.Sprint("key ", i), strings.Repeat("value ", 50))))
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	want, _ := m.Checksum()
	if sum, index, err := m.VerifyDisk(t.Context()); err != nil || sum != want || index != 200 {
		t.Fatalf("%x at %d, %v", sum, index, err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "state-*", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	whole, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) {
		file, err := os.OpenFile(tables[0], os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteAt([]byte{whole[at] ^ 0x04}, int64(at))
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for at := 0; at < len(whole); at += len(whole)/40 + 1 {
		flip(at)
		if _, _, err := m.VerifyDisk(t.Context()); !errors.Is(err, fsm.ErrCorrupt) || !strings.Contains(err.Error(), tables[0]) {
			t.Errorf("byte %d of %d: %v", at, len(whole), err)
		}
		if err := os.WriteFile(tables[0], whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
