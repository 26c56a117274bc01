package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// withSnapshots is a folder with a log and snapshots at these indexes.
func withSnapshots(t *testing.T, entries uint64, indexes ...uint64) string {
	t.Helper()
	dir := wholeLog(t, entries)
	s, err := openIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	servers := raft.Configuration{Servers: []raft.Server{{ID: "node-1", Address: "10.0.0.1:1"}}}
	_, transport := raft.NewInmemTransport("10.0.0.1:1")
	for _, index := range indexes {
		sink, err := s.snapshots.Create(1, index, 3, servers, 1, transport)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(sink, "the state, as it was then")
		if err := errors.Join(err, sink.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func indexes(t *testing.T, s *store) (out []uint64) {
	t.Helper()
	metas, err := s.snapshots.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metas {
		out = append(out, m.Index)
	}
	return out
}

func damageFile(t *testing.T, pattern string, change func([]byte) []byte) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	data, err := os.ReadFile(found[0])
	if err == nil {
		err = os.WriteFile(found[0], change(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A damaged snapshot is not restored from: the one before is, where the log goes
// back so far.
func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x01; return b }
	}
	digit := func(b []byte) []byte { // an index that is believable
		at := bytes.Index(b, []byte(`"Index":50`)) + len(`"Index":`)
		b[at] = '4'
		return b
	}
	cases := map[string]struct {
		file   string
		change func([]byte) []byte
		// applied is where the state stands.
		applied uint64
		want    []uint64
	}{
		"description, state is there": {describedIn, digit, 60, []uint64{30}},
		"description, state is lost":  {describedIn, digit, 0, []uint64{30}},
		"description cut short":       {describedIn, func(b []byte) []byte { return b[:20] }, 60, []uint64{30}},
		"its checksum":                {sealedIn, flip(3), 60, []uint64{30}},
		"rows, state is lost":         {stateIn, flip(5), 0, []uint64{30}},
		"rows cut short":              {stateIn, func(b []byte) []byte { return b[:5] }, 0, []uint64{30}},
		"rows, state is there":        {stateIn, flip(5), 60, []uint64{50, 30}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := withSnapshots(t, 60, 30, 50)
			damageFile(t, filepath.Join(dir, snapshotFolder, "3-50-*", c.file), c.change)
			s, err := openIn(dir)
			if err != nil {
				t.Fatal(err)
			}
			noRestore, err := s.check(&behind{applied: c.applied})
			if err != nil || noRestore != (c.applied > 0) {
				t.Errorf("no restore %t, %v", noRestore, err)
			}
			if got := indexes(t, s); !slices.Equal(got, c.want) {
				t.Errorf("usable are %v, want %v", got, c.want)
			}
			kept, err := filepath.Glob(filepath.Join(dir, damagedFolder, "3-50-*", "*"))
			if err != nil || len(c.want) == 1 && len(kept) < 2 {
				t.Errorf("kept: %v, %v", kept, err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Where neither another snapshot nor the log leads to the present, the node says
// what to do instead of starting from nothing.
func TestDamagedSnapshotThatIsNeeded(t *testing.T) {
	t.Parallel()
	dir := withSnapshots(t, 60, 50)
	s, err := openIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join((&logs{s}).DeleteRange(1, 40), s.close()); err != nil {
		t.Fatal(err)
	}
	damageFile(t, filepath.Join(dir, snapshotFolder, "*", stateIn), func(b []byte) []byte { b[1] ^= 1; return b })
	if s, err = openIn(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.check(&behind{applied: 60}); err != nil {
		t.Errorf("the state is newer, and needs no snapshot: %v", err)
	}
	if _, err := s.check(&behind{}); !errors.Is(err, ErrLogLost) {
		t.Errorf("the state is lost: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// A snapshot that is read to be sent, and is damaged, is not sent.
func TestDamagedSnapshotIsNotSent(t *testing.T) {
	t.Parallel()
	dir := withSnapshots(t, 60, 50)
	s, err := openIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	metas, err := s.snapshots.List()
	if err != nil || len(metas) != 1 {
		t.Fatal(metas, err)
	}
	damageFile(t, filepath.Join(dir, snapshotFolder, "*", stateIn), func(b []byte) []byte { b[1] ^= 1; return b })
	if _, _, err := s.snapshots.Open(metas[0].ID); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened with %v", err)
	}
	select {
	case <-s.files.lost:
	default:
		t.Error("nobody was told that another one is needed")
	}
	if got := indexes(t, s); len(got) != 0 {
		t.Errorf("it is still there: %v", got)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
