package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/storage"
)

const clusterID = "cluster-1"

// place is an archive and the folder on disk that it is in.
type place struct {
	*archive.Archive
	dir string
}

func open(t *testing.T, keys archive.Keys) place {
	t.Helper()
	root := t.TempDir()
	store, err := storage.Open("file://"+root, storage.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return place{over(t, store, "file://"+root+"/"+clusterID, keys), filepath.Join(root, clusterID, "log")}
}

func over(t *testing.T, store archive.Store, folder string, keys archive.Keys) *archive.Archive {
	t.Helper()
	a, err := archive.Open(archive.Options{Store: store, Folder: folder, ClusterID: clusterID, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// files are the names of the segments.
func (p place) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// entries are those of a term from one index to another.
func entries(t *testing.T, term, from, to uint64) []fsm.Entry {
	t.Helper()
	var out []fsm.Entry
	for i := from; i <= to; i++ {
		if i%7 == 0 {
			out = append(out, fsm.Entry{Index: i, Term: term, Type: 1}) // one of raft's own
			continue
		}
		data, err := command.Encode(&command.Entry{Commands: []*command.Command{{
			TimeMs: 1000 * i, Kind: &command.Command_OpenTerm{OpenTerm: &command.OpenTerm{LeaderId: fmt.Sprint("node of term ", term)}},
		}}}, command.FirstVersion)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fsm.Entry{Index: i, Term: term, Data: data})
	}
	return out
}

func (p place) write(t *testing.T, prevTerm uint64, entries []fsm.Entry) archive.Segment {
	t.Helper()
	s, size, err := p.Write(t.Context(), prevTerm, entries)
	if err != nil || size == 0 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	return s
}

func (p place) after(t *testing.T, index, term uint64) ([]fsm.Entry, error) {
	t.Helper()
	var out []fsm.Entry
	for run, err := range p.After(t.Context(), archive.Position{Index: index, Term: term}) {
		if err != nil {
			return out, err
		}
		out = append(out, run...)
	}
	return out, nil
}

func same(t *testing.T, what string, want, got []fsm.Entry, err error) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
	}
}

func TestWriteAndFollow(t *testing.T) {
	t.Parallel()
	key, _, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := backup.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]archive.Keys{"plain": nil, "encrypted": keys} {
		p := open(t, keys)
		all := append(entries(t, 1, 1, 40), entries(t, 3, 41, 100)...)
		p.write(t, 0, all[:25])
		p.write(t, 1, all[25:60])
		p.write(t, 3, all[60:])
		// Two leaders may write the same entries, cut in another way.
		p.write(t, 1, all[20:45])
		p.write(t, 3, all[60:])
		for _, from := range []uint64{0, 1, 24, 25, 26, 44, 60, 99, 100} {
			term := uint64(1)
			if from > 40 {
				term = 3
			}
			got, err := p.after(t, from, term)
			same(t, fmt.Sprint(name, " after ", from), append([]fsm.Entry(nil), all[from:]...), got, err)
		}
		if got, err := p.after(t, 500, 3); err != nil || len(got) > 0 {
			t.Errorf("after the end: %v, %v", got, err)
		}
		for _, file := range p.files(t) {
			data, err := os.ReadFile(filepath.Join(p.dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if leaks := bytes.Contains(data, []byte(clusterID)); leaks != (keys == nil) {
				t.Errorf("%s: the content can be read: %v", file, leaks)
			}
		}
		gone, err := p.Prune(t.Context(), 60)
		if err != nil || gone != 3 {
			t.Errorf("%d segments pruned, %v", gone, err)
		}
		got, err := p.after(t, 60, 3)
		same(t, "after pruning", all[60:], got, err)
	}
}

// Any damage is found, and does no harm where another segment has the entries.
func TestDamage(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	all := entries(t, 1, 1, 30)
	s := p.write(t, 0, all[:20])
	p.write(t, 1, all[20:])
	path := filepath.Join(p.dir, p.files(t)[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for at := range whole {
		broken := bytes.Clone(whole)
		broken[at] ^= 0x40
		put(broken)
		if _, _, err := p.Read(t.Context(), s); !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrNewerFormat) {
			t.Errorf("byte %d flipped: %v", at, err)
		}
		if at%10 == 0 {
			put(whole[:at])
			if _, _, err := p.Read(t.Context(), s); !errors.Is(err, archive.ErrDamaged) {
				t.Errorf("cut at %d: %v", at, err)
			}
		}
	}
	if _, err := p.after(t, 0, 0); !errors.Is(err, archive.ErrDamaged) || !strings.Contains(err.Error(), p.files(t)[0]) {
		t.Errorf("what is needed is damaged: %v", err)
	}
	got, err := p.after(t, 20, 1)
	same(t, "what is damaged is not needed", all[20:], got, err)
	p.write(t, 0, all[:21])
	got, err = p.after(t, 0, 0)
	same(t, "the entries are there twice", all, got, err)

	newer := bytes.Clone(whole)
	newer[9]++
	put(newer)
	if _, _, err := p.Read(t.Context(), s); !errors.Is(err, archive.ErrNewerFormat) {
		t.Errorf("a newer format: %v", err)
	}
}

func TestGapAndForeign(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	all := entries(t, 1, 1, 30)
	p.write(t, 0, all[:10])
	p.write(t, 0, all[15:])
	got, err := p.after(t, 0, 0)
	if diff := cmp.Diff(all[:10], got); !errors.Is(err, archive.ErrGap) || diff != "" || !strings.Contains(err.Error(), "entries 11 to 15 are missing") {
		t.Errorf("%v %s", err, diff)
	}
	got, err = p.after(t, 15, 1)
	same(t, "after the gap", all[15:], got, err)

	if err := os.WriteFile(filepath.Join(p.dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := p.List(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}

	other := open(t, nil)
	foreign, err := archive.Open(archive.Options{Store: fileStore(t, other), Folder: "file://" + filepath.Dir(other.dir), ClusterID: "another"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := foreign.Write(t.Context(), 0, all[:3]); err != nil {
		t.Fatal(err)
	}
	if _, err := other.after(t, 0, 0); !errors.Is(err, archive.ErrForeign) {
		t.Errorf("a segment of another cluster: %v", err)
	}
}

func fileStore(t *testing.T, p place) archive.Store {
	t.Helper()
	store, err := storage.Open("file://"+filepath.Dir(filepath.Dir(p.dir)), storage.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// A cluster that lost its quorum and was recovered by force gives indexes again
// whose entries were archived: what it did afterwards counts.
func TestForcedRecovery(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(p place, old, kept, again []fsm.Entry){
		"apart":    func(p place, old, kept, again []fsm.Entry) { p.write(t, 0, old); p.write(t, 2, again) },
		"together": func(p place, old, kept, again []fsm.Entry) { p.write(t, 0, append(kept, again...)); p.write(t, 0, old) },
		"in parts": func(p place, old, kept, again []fsm.Entry) {
			p.write(t, 0, old[:12])
			p.write(t, 2, old[12:])
			p.write(t, 2, again[:2])
			p.write(t, 5, again[2:])
		},
	} {
		p := open(t, nil)
		old := entries(t, 2, 1, 20)
		kept := append([]fsm.Entry(nil), old[:10]...)
		again := entries(t, 5, 11, 30)
		write(p, old, kept, again)
		got, err := p.after(t, 0, 0)
		same(t, name, append(append([]fsm.Entry(nil), old[:10]...), again...), got, err)
		// A snapshot from what was lost goes on with what was lost.
		got, err = p.after(t, 15, 2)
		same(t, name+", of the lost history", old[15:], got, err)
	}
}

// parent is the cluster's folder.
func parent(p place) string { return filepath.Dir(p.dir) }
