package audit_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/ops/audit"
)

// A log of two lives, of records 1 to 6 and 7 to 12, and what was done to it.
func TestVerify(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	marks := [][]audit.Mark{life(t, dir, c, 4), life(t, dir, c, 4)}
	whole := lines(t, files(t, dir)...)
	without := func(from, to int) func([]string) []string {
		return func(all []string) []string { return slices.Delete(all, from-1, to) }
	}
	principal := regexp.MustCompile(`"principal":"p"`)
	for name, tc := range map[string]struct {
		change func([]string) []string
		// finds is of the first finding with what the cluster remembers, offline without; ""
		// is that there is none.
		finds, offline string
	}{
		"nothing": {func(all []string) []string { return all }, "", ""},
		"one altered": {func(all []string) []string {
			all[2] = principal.ReplaceAllString(all[2], `"principal":"q"`)
			return all
		}, "record 3, before it, was altered", "record 3, before it, was altered"},
		"one removed":          {without(3, 3), "records 3 to 3 are missing", "records 3 to 3 are missing"},
		"several removed":      {without(3, 5), "records 3 to 5 are missing", "records 3 to 5 are missing"},
		"a life's end removed": {without(5, 6), "records 5 to 6 are missing", "records 5 to 6 are missing"},
		"a life removed":       {without(7, 12), "records 7 to 12 of the process", ""},
		"the end cut off":      {without(11, 12), "records 11 to 12, after this one, are missing", ""},
		"the begin cut off":    {without(1, 3), "records 1 to 3, before this one, are missing", ""},
		"two changed places":   {func(all []string) []string { all[2], all[3] = all[3], all[2]; return all }, "records 3 to 3 are missing", "records 3 to 3 are missing"},
		"one put in twice":     {func(all []string) []string { return slices.Insert(all, 3, all[2]) }, "it stands after record 3", "it stands after record 3"},
		"no JSON":              {func(all []string) []string { all[2] = "gone"; return all }, "not a line of an audit log", "not a line of an audit log"},
		"an empty line":        {func(all []string) []string { return slices.Insert(all, 3, "") }, "not a line of an audit log", "not a line of an audit log"},
		"a long line":          {func(all []string) []string { return slices.Insert(all, 3, strings.Repeat("x", 3*audit.MaxLine)) }, "not a line of an audit log", "not a line of an audit log"},
		"the last one altered": {func(all []string) []string {
			all[11] = strings.Replace(all[11], `"node":"n1"`, `"node":"n1" `, 1)
			return all
		}, "not the record that the cluster remembers", ""},
		"all written anew":   {func(all []string) []string { return forge(t, all, "") }, "not the record that the cluster remembers", ""},
		"under another run":  {func(all []string) []string { return forge(t, all, "0123456789abcdef") }, "none of the records that the cluster remembers", ""},
		"nothing left of it": {func([]string) []string { return nil }, "there are no records", "there are no records"},
		"another node's put in": {func(all []string) []string {
			for i := range all {
				all[i] = strings.Replace(all[i], `"node":"n1"`, `"node":"n2"`, 1)
			}
			return all
		}, "altered", "altered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "copy")
			changed := tc.change(slices.Clone(whole))
			text := strings.Join(changed, "\n")
			if len(changed) > 0 {
				text += "\n"
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := audit.Verify(t.Context(), []string{path}, heads(marks...))
			if err != nil {
				t.Fatal(err)
			}
			wantFinding(t, v, tc.finds)
			v, err = audit.Verify(t.Context(), []string{path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFinding(t, v, tc.offline)
			if len(changed) > 0 && len(v.Notes) == 0 {
				t.Error("nothing is said of what can't be proven offline")
			}
		})
	}
}

func wantFinding(t *testing.T, v *audit.Verification, want string) {
	t.Helper()
	if v.OK != (len(v.Findings) == 0) || v.OK != (want == "") {
		t.Fatalf("want %q: %+v", want, v)
	}
	if want != "" && !slices.ContainsFunc(v.Findings, func(f audit.Finding) bool { return strings.Contains(f.Problem, want) }) {
		t.Errorf("want %q: %+v", want, v.Findings)
	}
}

// forge writes a log anew with one record altered and all hashes right.
func forge(t *testing.T, all []string, run string) []string {
	t.Helper()
	prev := regexp.MustCompile(`"prev":"[0-9a-f]+"`)
	runs := regexp.MustCompile(`"run":"[0-9a-f]+"`)
	last := strings.Repeat("0", 64)
	for i := range all {
		if i == 2 {
			all[i] = strings.Replace(all[i], `"principal":"p"`, `"principal":"somebody else"`, 1)
		}
		if run != "" {
			all[i] = runs.ReplaceAllString(all[i], fmt.Sprintf(`"run":%q`, run))
		}
		all[i] = prev.ReplaceAllString(all[i], fmt.Sprintf(`"prev":%q`, last))
		h := sha256.Sum256([]byte(all[i]))
		last = hex.EncodeToString(h[:])
	}
	return all
}

// Where the file is lost between two lives, that is found.
func TestALostFileIsFound(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	first := life(t, dir, c, 4)
	if err := os.Remove(filepath.Join(dir, "audit.jsonl")); err != nil {
		t.Fatal(err)
	}
	second := life(t, dir, c, 4)
	v, err := audit.Verify(t.Context(), files(t, dir), heads(first, second))
	if err != nil {
		t.Fatal(err)
	}
	wantFinding(t, v, "records 1 to 6 of the process")
}

// Records after the last one that the cluster remembers are said to be unprotected.
func TestWhatNobodyVouchesForIsTold(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	first := life(t, dir, c, 4)
	life(t, dir, c, 4)
	v, err := audit.Verify(t.Context(), files(t, dir), heads(first))
	if err != nil {
		t.Fatal(err)
	}
	wantFinding(t, v, "")
	if v.Nodes[0].ProvenTo != 6 || len(v.Notes) != 2 || !strings.Contains(v.Notes[0], "records 7 to 12 came after") {
		t.Errorf("%+v", v)
	}
}

// Files of several nodes are verified together, in whichever order they are named.
func TestVerifySeveralNodes(t *testing.T) {
	t.Parallel()
	c := newClock()
	var paths []string
	for _, node := range []string{"n2", "n1", "n3"} {
		f := openFile(t, t.TempDir(), c)
		log, err := audit.Open(audit.Options{Node: node, Sinks: []audit.Sink{f}, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, f.Path())
	}
	v, err := audit.Verify(t.Context(), paths, []audit.Head{})
	if err != nil || !v.OK || len(v.Nodes) != 3 || v.Records != 6 {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := audit.Verify(t.Context(), []string{filepath.Join(t.TempDir(), "none")}, nil); err == nil {
		t.Error("a file that is not there was verified")
	}
}

func FuzzParseLine(f *testing.F) {
	dir, c := f.TempDir(), newClock()
	life(f, dir, c, 2)
	for _, line := range lines(f, files(f, dir)...) {
		f.Add([]byte(line))
	}
	for _, text := range []string{"", "{}", "null", `{"seq":1}`, `{"seq":-1}`, `{"seq":1e99}`, "[", "\x00", `{"time":"x"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		line, err := audit.ParseLine(raw)
		if err == nil && (line.Seq == 0 || line.Event == "" || len(line.Prev) != 64) {
			t.Errorf("%q was taken", raw)
		}
	})
}
