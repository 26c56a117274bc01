package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

func writeFile(t *testing.T, fs vfs.FS, path, text string) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

// used is a folder in which a machine has been, closed in order.
func used(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	m, err := fsm.Open(options(fs, nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(200) {
		one(t, m, i+1, 1, transaction(i, put(fmt.Sprint("key ", i), strings.Repeat("value ", 20))))
	}
	closeMachine(t, m)
	return fs
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		damage func(fs vfs.FS) error
		err    error
		says   string
	}{
		"newer format": {func(fs vfs.FS) error { writeFile(t, fs, "data/FORMAT", "floeberg state 2\n"); return nil },
			fsm.ErrNewerFormat, "data folder data has format 2, this program reads up to 1"},
		"other format":    {func(fs vfs.FS) error { writeFile(t, fs, "data/FORMAT", "7"); return nil }, fsm.ErrCorrupt, "data/FORMAT"},
		"CURRENT missing": {func(fs vfs.FS) error { return fs.Remove("data/CURRENT") }, fsm.ErrCorrupt, "data/CURRENT is missing"},
		"CURRENT strange": {func(fs vfs.FS) error { writeFile(t, fs, "data/CURRENT", "../other"); return nil }, fsm.ErrCorrupt, "data/CURRENT"},
		"CURRENT empty":   {func(fs vfs.FS) error { writeFile(t, fs, "data/CURRENT", ""); return nil }, fsm.ErrCorrupt, "data/CURRENT"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := used(t)
			if err := c.damage(fs); err != nil {
				t.Fatal(err)
			}
			m, err := fsm.Open(options(fs, nil))
			if err == nil {
				closeMachine(t, m)
			}
			if !errors.Is(err, c.err) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("opened with %v", err)
			}
		})
	}
}

func TestFolderIsLocked(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	open(t, fs)
	if m, err := fsm.Open(options(fs, nil)); err == nil {
		closeMachine(t, m)
		t.Error("opened twice")
	} else if !strings.Contains(err.Error(), "is in use") {
		t.Error(err)
	}
	if _, err := fsm.Open(fsm.Options{}); err == nil {
		t.Error("opened without a folder")
	}
}

// All of it on a real disk, with all the defaults.
func TestOnDisk(t *testing.T) {
	t.Parallel()
	opts := fsm.Options{Dir: t.TempDir() + "/var/state", Halt: func(err error) { t.Error(err) }}
	m, err := fsm.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	one(t, m, 1, 1, transaction(1, put("a", "1")))
	stream := dump(t, m)
	one(t, m, 2, 1, transaction(2, put("a", "2")))
	closeMachine(t, m)
	for _, want := range []string{"2@2", "1@1"} {
		m, err = fsm.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, m); got["a"] != want {
			t.Errorf("%v instead of %s", got, want)
		}
		if err := restore(m, stream); err != nil {
			t.Error(err)
		}
		verify(t, m)
		closeMachine(t, m)
	}
}

// A start clears away what an interrupted restore has left, and nothing else.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	fs := used(t)
	if err := fs.MkdirAll("data/state-000002", 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, fs, "data/state-000002/restore-000000.table", "half")
	writeFile(t, fs, "data/state-of-affairs", "somebody's notes")
	m := open(t, fs)
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(names, " ")
	if strings.Contains(text, "state-000002") || !strings.Contains(text, "state-of-affairs") || !strings.Contains(text, "state-000001") {
		t.Errorf("left: %s", text)
	}
	if index, _ := m.Applied(); index != 200 {
		t.Errorf("applied %d", index)
	}
}

// A state that is gone is one at the beginning, and the next start knows that it
// needs the snapshot.
func TestLostStateNeedsRestore(t *testing.T) {
	t.Parallel()
	fs := used(t)
	if err := fs.RemoveAll("data/state-000001"); err != nil {
		t.Fatal(err)
	}
	m := open(t, fs)
	if index, _ := m.Applied(); index != 0 || !m.NeedsRestore(1) || m.NeedsRestore(0) {
		t.Errorf("applied %d", index)
	}
}

// Wherever a byte is flipped: the damage is named, or it does no harm.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	whole := used(t)
	names, err := whole.List("data/state-000001")
	if err != nil {
		t.Fatal(err)
	}
	reference := open(t, whole.CrashClone(vfs.CrashCloneCfg{}))
	want := contents(t, reference)
	noticed := 0
	for _, name := range names {
		path := "data/state-000001/" + name
		data := readFile(t, whole, path)
		for step := range 12 {
			if len(data) == 0 {
				continue
			}
			fs := whole.CrashClone(vfs.CrashCloneCfg{})
			bad := bytes.Clone(data)
			place := step * len(data) / 12
			bad[place] ^= 0x10
			writeFile(t, fs, path, string(bad))
			found := readAll(t, fs, want)
			if found == nil {
				continue
			}
			noticed++
			if strings.HasSuffix(name, ".sst") && !strings.Contains(found.Error(), strings.TrimSuffix(name, ".sst")) {
				t.Errorf("%s, byte %d: the error does not name the file: %v", name, place, found)
			}
			if !strings.Contains(found.Error(), "data/state-000001") && !strings.Contains(found.Error(), strings.TrimSuffix(name, ".sst")) {
				t.Errorf("%s, byte %d: the error does not name the folder: %v", name, place, found)
			}
		}
	}
	if noticed == 0 {
		t.Error("no damage was noticed at all")
	}
}

// readAll opens and reads a state; it returns the damage that is reported, and
// complains about damage that is not.
func readAll(t *testing.T, fs vfs.FS, want map[string]string) (found error) {
	t.Helper()
	var mu sync.Mutex
	var halted error
	m, err := fsm.Open(options(fs, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		halted = err
	}))
	if err != nil {
		return err
	}
	defer closeMachine(t, m)
	if _, _, err := m.VerifyChecksum(t.Context()); err != nil {
		mu.Lock()
		defer mu.Unlock()
		return errors.Join(err, halted)
	}
	// A damaged end of the engine's own log takes the state back to an earlier
	// moment. That is harmless: the log, or a restore, goes on from there.
	if !m.NeedsRestore(200) && !cmp.Equal(want, contents(t, m)) {
		t.Errorf("silent damage: %v", contents(t, m))
	}
	return nil
}

// hook calls before ahead of every operation that changes the file system.
func hook(fs vfs.FS, before func(op errorfs.Op) error) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		return before(op)
	}))
}

// A power loss at any point of a restore leaves the old state or the new one.
func TestPowerLossWhileRestoring(t *testing.T) {
	t.Parallel()
	stream := dump(t, busy(t, "cluster-1"))
	base := used(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	var crashed []*vfs.MemFS
	watching := false
	m, err := fsm.Open(options(hook(base, func(errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if watching {
			crashed = append(crashed, base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
		}
		return nil
	}), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer closeMachine(t, m)
	before := contents(t, m)
	watch := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		watching = on
	}
	watch(true)
	if err := restore(m, stream); err != nil {
		t.Fatal(err)
	}
	watch(false)
	after := contents(t, m)
	seen := map[string]int{}
	for i, fs := range crashed {
		again, err := fsm.Open(options(fs, nil))
		if err != nil {
			t.Fatalf("after operation %d: %v", i, err)
		}
		verify(t, again)
		got := contents(t, again)
		switch {
		case cmp.Equal(before, got):
			seen["old"]++
		case cmp.Equal(after, got):
			seen["new"]++
		default:
			t.Errorf("after operation %d: neither the old nor the new state: %v", i, got)
		}
		closeMachine(t, again)
	}
	if seen["old"] == 0 || seen["new"] == 0 {
		t.Errorf("of %d power losses %v", len(crashed), seen)
	}
}

// An operation that fails makes the restore fail and leaves the old state; only
// where it is not known which of both counts does the machine stop.
func TestFailureWhileRestoring(t *testing.T) {
	t.Parallel()
	stream := dump(t, busy(t, "cluster-1"))
	base := used(t)
	reference := open(t, base.CrashClone(vfs.CrashCloneCfg{}))
	before := contents(t, reference)
	failed := errors.New("disk gone")
	for nth := 1; ; nth++ {
		fs := base.CrashClone(vfs.CrashCloneCfg{})
		var mu sync.Mutex
		counting, count := false, 0
		m, err := fsm.Open(options(hook(fs, func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			// Where the engine can't write its own files it ends the process, which is one
			// of the power losses above.
			engines := strings.HasPrefix(op.Path, "data/state-000002") && !strings.Contains(op.Path, "restore-")
			if !counting || op.Kind == errorfs.OpFileClose || engines {
				return nil
			}
			if count++; count == nth {
				return failed
			}
			return nil
		}), func(error) {}))
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		counting = true
		mu.Unlock()
		err = restore(m, stream)
		mu.Lock()
		counting = false
		done := count < nth
		mu.Unlock()
		if err != nil && m.Failure() == nil {
			if diff := cmp.Diff(before, contents(t, m)); diff != "" {
				t.Errorf("operation %d failed (%v) and left (-want +got)\n%s", nth, err, diff)
			}
			if got := one(t, m, 1_000, 1, transaction(1_000, put("on", "1"))); got.Outcome != command.Applied {
				t.Errorf("%+v", got)
			}
		}
		if err == nil && m.Failure() == nil {
			verify(t, m)
		}
		closeQuietly(m)
		again := open(t, fs)
		verify(t, again)
		if done {
			if nth < 10 {
				t.Errorf("only %d operations could fail", nth-1)
			}
			break
		}
		if nth > 500 {
			t.Fatal("the restore has no end")
		}
	}
}

// closeQuietly closes a machine whose disk has failed it.
func closeQuietly(m *fsm.Machine) { _ = m.Close() }
