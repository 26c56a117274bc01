package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// entryOf is what entry index holds in these tests.
func entryOf(index uint64) *raft.Log {
	return &raft.Log{
		Index: index, Term: 3, Type: raft.LogCommand,
		Data:       fmt.Appendf(nil, "payload of entry %06d, %s.", index, strings.Repeat("filler ", 30)),
		AppendedAt: time.Unix(1_700_000_000+int64(index), 12345).UTC(),
	}
}

func openIn(dir string) (*store, error) {
	return openStore(&Options{Dir: dir}, newRaftLogger(slog.New(slog.DiscardHandler)), nil)
}

// wholeLog is a folder with a log of so many entries and a vote.
func wholeLog(t *testing.T, entries uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "raft")
	s, err := openIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []*raft.Log
	for i := range entries {
		all = append(all, entryOf(i+1))
	}
	votes := &stable{s}
	if err := errors.Join(
		(&logs{s}).StoreLogs(all), votes.SetUint64(keyTerm, 3), votes.Set([]byte("LastVoteCand"), []byte("node-2")), s.close(),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyWith is a copy of a folder whose log was changed.
func copyWith(t *testing.T, whole []byte, change func([]byte) []byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "raft")
	if err := errors.Join(
		os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, logFile), change(bytes.Clone(whole)), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readBack reads a whole log. It returns the damage that is reported and fails
// where something else comes back than was written.
func readBack(t *testing.T, dir, what string, entries uint64) error {
	t.Helper()
	s, err := openIn(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	term, err := (&stable{s}).GetUint64(keyTerm)
	if err != nil {
		return err
	}
	candidate, err := (&stable{s}).Get([]byte("LastVoteCand"))
	if err != nil {
		return err
	}
	if term != 3 || string(candidate) != "node-2" {
		t.Errorf("%s: term %d, vote for %q", what, term, candidate)
	}
	log := &logs{s}
	for i := range entries {
		got := &raft.Log{}
		if err := log.GetLog(i+1, got); err != nil {
			return err
		}
		if diff := cmp.Diff(entryOf(i+1), got); diff != "" {
			t.Errorf("%s: entry %d (-want +got)\n%s", what, i+1, diff)
		}
	}
	return nil
}

// Wherever a byte of the log's file is flipped: what is read is what was written,
// or the file is named; bolt's own panics included.
func TestFlippedByteOfTheLog(t *testing.T) {
	t.Parallel()
	const entries = 60
	whole, err := os.ReadFile(filepath.Join(wholeLog(t, entries), logFile))
	if err != nil {
		t.Fatal(err)
	}
	entry := bytes.Index(whole, []byte("payload of entry 000030"))
	var places []int
	for at := 0; at < len(whole); at += len(whole)/100 + 1 {
		places = append(places, at)
	}
	for at := entry - 90; at < entry+310; at += 3 { // all of one entry, and around
		places = append(places, at)
	}
	noticed := 0
	for _, at := range places {
		what := fmt.Sprintf("byte %d of %d", at, len(whole))
		err := readBack(t, copyWith(t, whole, func(b []byte) []byte { b[at] ^= 0x41; return b }), what, entries)
		switch {
		case err == nil, errors.Is(err, raft.ErrLogNotFound), errors.Is(err, raftboltdb.ErrKeyNotFound):
			// Not in use; or the log is shorter than the state, see TestShortLog.
			continue
		case !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), logFile):
			t.Errorf("%s: %v", what, err)
		}
		noticed++
	}
	t.Logf("%d of %d flipped bytes were in use, and noticed", noticed, len(places))
	if noticed < 80 {
		t.Errorf("only %d of %d flipped bytes were noticed", noticed, len(places))
	}
}

// Each byte of an entry counts, those of its checksum too.
func TestFlippedByteOfAnEntry(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(filepath.Join(wholeLog(t, 3), logFile))
	if err != nil {
		t.Fatal(err)
	}
	begin := bytes.LastIndex(whole, []byte("payload of entry 000002"))
	for what, mark := range map[string]string{
		"data": "entry 000002", "name of a field": "Extensions", "checksum": sealMagic, "index": "Index", "term": "Term",
	} {
		at := begin + bytes.Index(whole[begin:], []byte(mark))
		for i := range len(mark) {
			dir := copyWith(t, whole, func(b []byte) []byte { b[at+i] ^= 0x10; return b })
			if err := readBack(t, dir, what, 3); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "log entry 2 ") {
				t.Errorf("%s, byte %d: %v", what, i, err)
			}
		}
	}
}

// A file that ends too early is a fault at an address, which the runtime would
// end the process for.
func TestTruncatedLog(t *testing.T) {
	t.Parallel()
	const entries = 60
	whole, err := os.ReadFile(filepath.Join(wholeLog(t, entries), logFile))
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, size := range []int{1, 100, 4096, 8192, 8193, 12288, 16384, 20480, 24576, 28672, len(whole) - 1} {
		err := readBack(t, copyWith(t, whole, func(b []byte) []byte { return b[:min(size, len(b))] }), fmt.Sprint(size, " bytes"), entries)
		switch {
		case errors.Is(err, ErrDamaged) && strings.Contains(err.Error(), logFile):
			damaged++
		case err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound):
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if damaged < 5 {
		t.Errorf("only %d of the truncated files were noticed", damaged)
	}
}

// behind is a state machine that is at an index.
type behind struct {
	Machine
	applied uint64
}

func (b *behind) Applied() (index, term uint64)   { return b.applied, 1 }
func (b *behind) NeedsRestore(latest uint64) bool { return b.applied < latest }

// A log that has lost its end, or its beginning, does not start.
func TestShortLog(t *testing.T) {
	t.Parallel()
	for what, cut := range map[string]func(*logs) error{
		"end":       func(l *logs) error { return l.DeleteRange(40, 60) },
		"beginning": func(l *logs) error { return l.DeleteRange(1, 20) },
	} {
		s, err := openIn(wholeLog(t, 60))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.check(&behind{applied: 60}); err != nil {
			t.Errorf("whole: %v", err)
		}
		if err := cut(&logs{s}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.check(&behind{applied: 60}); !errors.Is(err, ErrLogLost) || !strings.Contains(err.Error(), logFile) {
			t.Errorf("without its %s: %v", what, err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

// An entry in the middle that is gone is damage; one that was cut off is not.
func TestMissingEntry(t *testing.T) {
	t.Parallel()
	s, err := openIn(wholeLog(t, 60))
	if err != nil {
		t.Fatal(err)
	}
	applied := func() uint64 { return 30 }
	s.applied.Store(&applied)
	log := &logs{s}
	if err := errors.Join(log.DeleteRange(1, 10), s.bolt.DeleteRange(50, 50)); err != nil {
		t.Fatal(err)
	}
	var entry raft.Log
	for _, index := range []uint64{5, 61} {
		if err := log.read(index, &entry); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	if err := log.read(50, &entry); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "log entry 50 is missing") {
		t.Errorf("entry 50: %v", err)
	}
	// From here on nothing is believed.
	if err := log.read(20, &entry); !errors.Is(err, ErrDamaged) {
		t.Errorf("entry 20: %v", err)
	}
	if err := log.StoreLog(entryOf(61)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a write: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// Folders of earlier versions have no checksums: what is in them stays readable,
// and what comes has one.
func TestFolderWithoutChecksums(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	bolt, err := raftboltdb.NewBoltStore(filepath.Join(dir, logFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		bolt.StoreLogs([]*raft.Log{entryOf(1), entryOf(2)}), bolt.SetUint64(keyTerm, 3),
		bolt.Set([]byte("LastVoteCand"), []byte("node-2")), bolt.Close(),
	); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := readBack(t, dir, "earlier folder", 2); err != nil {
			t.Fatal(err)
		}
	}
	s, err := openIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := &logs{s}
	if err := errors.Join(log.StoreLog(entryOf(3)), s.bolt.StoreLog(entryOf(4))); err != nil {
		t.Fatal(err)
	}
	var entry raft.Log
	if err := log.read(3, &entry); err != nil || len(entry.Extensions) != 0 {
		t.Errorf("entry 3: %v, %v", entry, err)
	}
	if err := log.read(4, &entry); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "log entry 4 has no checksum") {
		t.Errorf("entry 4 was written without a checksum: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	// Programs from before can go on with the term.
	if bolt, err = raftboltdb.NewBoltStore(filepath.Join(dir, logFile)); err != nil {
		t.Fatal(err)
	}
	if term, err := bolt.GetUint64(keyTerm); err != nil || term != 3 {
		t.Errorf("term %d, %v", term, err)
	}
	if err := bolt.Close(); err != nil {
		t.Error(err)
	}
}

// Extensions of an entry's own come back as they were.
func TestSealKeepsExtensions(t *testing.T) {
	t.Parallel()
	entry := entryOf(7)
	for _, extensions := range []string{"", "x", sealMagic + "12345678", sealMagic} {
		entry.Extensions = nil
		if extensions != "" {
			entry.Extensions = []byte(extensions)
		}
		sealed := sealEntry(entry)
		if string(entry.Extensions) != extensions {
			t.Errorf("%q: the entry itself was changed", extensions)
		}
		if err := unsealEntry(sealed, 7, true); err != nil {
			t.Errorf("%q: %v", extensions, err)
		}
		if diff := cmp.Diff(entry, sealed); diff != "" {
			t.Errorf("%q (-want +got)\n%s", extensions, diff)
		}
	}
	if err := unsealEntry(sealEntry(entry), 8, true); err == nil {
		t.Error("entry 7 passes for entry 8")
	}
	if _, err := unsealValue([]byte("a"), sealValue([]byte("b"), []byte("1")), true); err == nil {
		t.Error("the value of one key passes for that of another")
	}
	if value, err := unsealValue([]byte("a"), binary.BigEndian.AppendUint64(nil, 7), false); err != nil || len(value) != 8 {
		t.Errorf("a value without a checksum: %x, %v", value, err)
	}
}

// Raft panics where it can't read what it is to apply. Its goroutine ends instead,
// and the node is told why; an entry that was only to be sent is an error.
func TestDamageEndsRaftWithoutAPanic(t *testing.T) {
	t.Parallel()
	dir := wholeLog(t, 60)
	damageFile(t, filepath.Join(dir, logFile), func(b []byte) []byte {
		for at := 0; ; at++ {
			next := bytes.Index(b[at:], []byte("payload of entry"))
			if next < 0 {
				return b
			}
			at += next
			b[at] ^= 0x20
		}
	})
	s, err := openIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	var told []error
	s.damage.told = func(err error) { told = append(told, err) }
	s.damage.running.Store(true)
	applied := func() uint64 { return 30 }
	s.applied.Store(&applied)
	log := &logs{s}
	if err := log.GetLog(20, &raft.Log{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("entry 20: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.Errorf("raft gets %v and panics", log.GetLog(31, &raft.Log{}))
	}()
	<-ended
	if len(told) != 1 || !strings.Contains(told[0].Error(), "log entry 20 fails its checksum") || !s.damage.ended.Load() {
		t.Errorf("told %v", told)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
