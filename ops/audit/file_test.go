package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/ops/audit"
)

// wantChain insists that lines follow each other, from number first on.
func wantChain(t *testing.T, all []string, first uint64) {
	t.Helper()
	for i, raw := range all {
		if line := parse(t, raw); line.Seq != first+uint64(i) {
			t.Fatalf("line %d has number %d", i+1, line.Seq)
		}
	}
}

func TestTheChainGoesOnOverRestarts(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	var marks [][]audit.Mark
	for range 3 {
		marks = append(marks, life(t, dir, c, 4))
	}
	all := lines(t, files(t, dir)...)
	wantChain(t, all, 1)
	if len(all) != 3*6 {
		t.Errorf("%d lines", len(all))
	}
	info, err := os.Stat(filepath.Join(dir, "audit.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	v, err := audit.Verify(t.Context(), files(t, dir), heads(marks...))
	if err != nil || !v.OK || len(v.Notes) != 0 || v.Nodes[0].ProvenTo != 18 {
		t.Errorf("%+v %v", v, err)
	}
}

func TestFilesOfOthersAreClosed(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	path := filepath.Join(dir, "audit.jsonl")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	life(t, dir, c, 1)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*audit.FileOptions){
		"size": func(o *audit.FileOptions) { o.MaxBytes, o.Keep = 1000, 4 },
		"age":  func(o *audit.FileOptions) { o.MaxAge, o.Keep = 5*time.Millisecond, 4 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, c := t.TempDir(), newClock()
			first := life(t, dir, c, 100, adjust)
			second := life(t, dir, c, 100, adjust)
			paths := files(t, dir)
			if len(paths) != 4 {
				t.Fatalf("%d files: %v", len(paths), paths)
			}
			all := lines(t, paths...)
			last := parse(t, all[len(all)-1])
			if last.Seq != 204 {
				t.Errorf("the last record is number %d", last.Seq)
			}
			wantChain(t, all, last.Seq-uint64(len(all))+1)
			for _, path := range paths {
				info, err := os.Stat(path)
				if err != nil || info.Mode().Perm() != 0o600 || name == "size" && info.Size() > 1000 {
					t.Errorf("%s: %v %v", path, info, err)
				}
			}
			// What was deleted as it should be is no finding, and what is promised is there.
			v, err := audit.Verify(t.Context(), paths, heads(first, second))
			if err != nil || !v.OK {
				t.Errorf("%+v %v", v, err)
			}
			v, err = audit.Verify(t.Context(), paths[1:], heads(first, second))
			if err != nil || v.OK && second[0].Kept < v.Nodes[0].First {
				t.Errorf("%+v %v", v, err)
			}
			v, err = audit.Verify(t.Context(), paths[2:], heads(first, second))
			if err != nil || v.OK {
				t.Errorf("two files are gone: %+v %v", v, err)
			}
		})
	}
}

// Nothing but what the log itself put aside is deleted.
func TestRotationLeavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	others := []string{"audit-notes.jsonl", "audit-20260131T120000.000Z.jsonl", "audit-20260131T120000.000Z-x.jsonl", "audit-20260131T120000.000Z-1.jsonl.gz", "audit.txt"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	life(t, dir, c, 100, func(o *audit.FileOptions) { o.MaxBytes, o.Keep = 1000, 2 })
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// What a crash leaves of a line is cut off, and the chain goes on.
func TestTornEnd(t *testing.T) {
	t.Parallel()
	for name, torn := range map[string]string{
		"a line's begin": `{"seq":7,"run":"00`, "a byte": `{`, "zeroes": "\x00\x00\x00\x00", "both": `{"seq":` + "\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, c := t.TempDir(), newClock()
			path := filepath.Join(dir, "audit.jsonl")
			marks := life(t, dir, c, 4)
			appendTo(t, path, torn)
			f := openFile(t, dir, c)
			if f.Torn() != int64(len(torn)) {
				t.Errorf("%d bytes were cut off", f.Torn())
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			marks = append(marks, life(t, dir, c, 4)...)
			wantChain(t, lines(t, path), 1)
			if v, err := audit.Verify(t.Context(), []string{path}, heads(marks)); err != nil || !v.OK {
				t.Errorf("%+v %v", v, err)
			}
		})
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// A slip in the settings must not write into somebody else's file.
func TestAForeignFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"root:x:0:0\n", "root:x:0:0", "\n", "{}\n", strings.Repeat("x", 2*audit.MaxLine) + "\n"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "audit.jsonl")
		appendTo(t, path, text)
		f, err := audit.OpenFile(audit.FileOptions{Path: path, Now: time.Now})
		if err == nil {
			t.Errorf("%.20q was taken", text)
			f.Close()
			continue
		}
		if !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%.20q: %v", text, err)
		}
		if raw, readErr := os.ReadFile(path); readErr != nil || string(raw) != text {
			t.Errorf("%.20q was changed", text)
		}
	}
	if _, err := audit.OpenFile(audit.FileOptions{Path: t.TempDir(), Now: time.Now}); err == nil {
		t.Error("a folder was taken")
	}
}

// Who moves the file away and says so gets another one in its place.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	path, moved := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "moved")
	log := open(t, audit.Options{Sinks: []audit.Sink{openFile(t, dir, c)}, OnFailure: audit.Refuse, Now: c.Now})
	write := func() {
		t.Helper()
		if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision}); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	write() // where it was
	log.Reopen()
	await(t, "another file", func() bool { _, err := os.Stat(path); return err == nil })
	write()
	all := lines(t, moved, path)
	wantChain(t, all, 1)
	if n := len(lines(t, path)); n != 1 {
		t.Errorf("%d lines in the new file", n)
	}
	v, err := audit.Verify(t.Context(), []string{path, moved}, nil) // in any order
	if err != nil || !v.OK {
		t.Errorf("%+v %v", v, err)
	}
}

// A full disk leaves no half lines.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	full := "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("there is no /dev/full")
	}
	if _, err := audit.OpenFile(audit.FileOptions{Path: full, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "no plain file") {
		t.Errorf("got %v", err)
	}
	out, err := os.OpenFile(full, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	log := open(t, audit.Options{Sinks: []audit.Sink{audit.NewStream("stdout", out)}, OnFailure: audit.Refuse})
	await(t, "the failure to be noticed", func() bool {
		return log.Ensure(t.Context(), audit.Record{Event: audit.Decision}) != nil && len(log.Trouble()) == 1
	})
}

// After a restart the last records can be asked for.
func TestARestartRemembers(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	adjust := func(o *audit.FileOptions) { o.MaxBytes, o.Keep = 2000, 10 }
	life(t, dir, c, 20, adjust)
	log := open(t, audit.Options{Sinks: []audit.Sink{openFile(t, dir, c, adjust)}, Now: c.Now})
	if found := find(t, log, audit.Query{Event: audit.Decision}, audit.Position{}, 100); len(found) != 20 {
		t.Fatalf("%d records", len(found))
	}
	all := find(t, log, audit.Query{}, audit.Position{}, 100)
	for i, r := range all[1:] {
		if !r.Time.Before(all[i].Time) {
			t.Errorf("%v comes after %v", r.Time, all[i].Time)
		}
	}
	if all[0].Event != audit.Begin {
		t.Errorf("the newest is %+v", all[0])
	}
}

// What memory does not hold any more is looked for in the files, those that were put
// aside too, while more comes in and files are put aside.
func TestOlderRecordsAreInTheFiles(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	adjust := func(o *audit.FileOptions) { o.MaxBytes = 3000 }
	life(t, dir, c, 50, adjust)
	log := open(t, audit.Options{Sinks: []audit.Sink{openFile(t, dir, c, adjust)}, Now: c.Now, Recent: 10, OnFailure: audit.Refuse})
	more := func() {
		c.pass(time.Millisecond)
		if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision, Decision: audit.Deny, Action: "LoadTable", Principal: "q"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		more()
	}
	if found := find(t, log, audit.Query{Principal: "p"}, audit.Position{}, 1000); len(found) != 50 {
		t.Errorf("%d of 50 of the first life", len(found))
	}
	for _, size := range []int{1, 7, 1000} {
		seen := map[audit.Position]bool{}
		after := audit.Position{}
		for {
			page := find(t, log, audit.Query{Event: audit.Decision}, after, size)
			for i := range page {
				at := audit.PositionOf(&page[i])
				if seen[at] || !after.Time.IsZero() && at.Time.After(after.Time) {
					t.Fatalf("%+v comes twice, or out of order", at)
				}
				seen[at] = true
			}
			if len(page) == 0 {
				break
			}
			after = audit.PositionOf(&page[len(page)-1])
			more()
		}
		if len(seen) < 100 {
			t.Errorf("pages of %d: %d records", size, len(seen))
		}
	}
	if n := len(files(t, dir)); n < 5 {
		t.Errorf("there are %d files", n)
	}
}
