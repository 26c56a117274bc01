package audit

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// written is a log of four records as it lies in its file, and how far it came.
func written(f *testing.F) (raw []byte, heads []Head) {
	f.Helper()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(f.TempDir(), "audit.jsonl")
	file, err := OpenFile(FileOptions{Path: path, Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	log, err := Open(Options{Node: "n1", Sinks: []Sink{file}, Now: func() time.Time { return now }, OnFailure: Refuse})
	if err != nil {
		f.Fatal(err)
	}
	for range 2 {
		if err := log.Ensure(f.Context(), Record{Event: Decision, Decision: Allow, Principal: "p"}); err != nil {
			f.Fatal(err)
		}
	}
	if err := log.Close(f.Context()); err != nil {
		f.Fatal(err)
	}
	head := Head{Node: "n1", Sink: fileSink}
	for _, m := range log.Marks() {
		head.Kept = m.Kept
		head.Runs = append(head.Runs, RunHead{Run: m.Run, First: m.First, Seq: m.Seq, Hash: m.Hash.String()})
	}
	if raw, err = os.ReadFile(path); err != nil {
		f.Fatal(err)
	}
	return raw, []Head{head}
}

// Whatever a file holds, it is read to its end, and nothing passes for the log but
// what begins as it did. Nothing of it touches a disk, so that much is tried.
func FuzzVerify(f *testing.F) {
	whole, heads := written(f)
	f.Add(whole, true)
	f.Add(whole[:len(whole)/2], false)
	f.Add(append(bytes.Clone(whole), whole...), true)
	f.Add([]byte("\n\n{}\n"), true)
	f.Fuzz(func(t *testing.T, raw []byte, remembered bool) {
		var known []Head
		if remembered {
			known = heads
		}
		v := newVerifier(known)
		if err := v.read(t.Context(), "f", bufio.NewReader(bytes.NewReader(raw))); err != nil {
			t.Fatal(err)
		}
		report := v.verdict(known)
		if report.OK && remembered && report.Records > 0 && report.Nodes[0].Node == "n1" && len(report.Nodes) == 1 && !bytes.HasPrefix(raw, whole) {
			t.Errorf("%q passes for the log", raw)
		}
	})
}
