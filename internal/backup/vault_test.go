package backup_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/internal/backup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCreateListReadVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.vault()
	if l, err := v.List(t.Context()); err != nil || len(l.Snapshots) != 0 {
		t.Fatalf("an empty vault lists %v, %v", l, err)
	}
	if _, err := v.Newest(t.Context()); !errors.Is(err, backup.ErrNoSnapshot) {
		t.Fatalf("the newest of none: %v", err)
	}
	first := s.create(v)
	s.grow(10)
	second := s.create(v)

	sum, index := s.log.Machine().Checksum()
	if second.Index != index || second.StateChecksum != hex.EncodeToString(sum[:]) || second.ClusterID != clusterID {
		t.Errorf("the manifest says %+v, the state is index %d with checksum %x", second, index, sum)
	}
	if diff := cmp.Diff(about.Members, second.Members); diff != "" || second.Node != "n1" || second.Version != "1.2.3" {
		t.Errorf("the manifest says %+v %s", second, diff)
	}
	// What another process finds is the same.
	other := s.vault()
	l, err := other.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*backup.Manifest{second, first}, l.Snapshots); diff != "" || len(l.Damaged) != 0 {
		t.Errorf("%v (-want +got)\n%s", l.Damaged, diff)
	}
	found, err := other.Find(t.Context(), first.ID)
	if err != nil || found.Index != first.Index {
		t.Errorf("Find = %+v, %v", found, err)
	}
	for _, id := range []string{"", "nothing", "../x", first.ID + "x"} {
		if _, err := other.Find(t.Context(), id); !errors.Is(err, backup.ErrNoSnapshot) {
			t.Errorf("Find(%q): %v", id, err)
		}
	}
	stream, err := other.Read(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	header, err := fsm.VerifySnapshot(stream)
	if err != nil || header.Index != second.Index || header.Revision != second.Revision {
		t.Errorf("the stream holds %+v, %v", header, err)
	}
	dir := t.TempDir()
	trial, err := other.Verify(t.Context(), second, dir, nil)
	if err != nil || trial.StateChecksum != second.StateChecksum {
		t.Errorf("Verify = %+v, %v", trial, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("the trial left %v, %v", left, err)
	}
	ids, err := backup.Clusters(t.Context(), s.store, s.root)
	if err != nil || !cmp.Equal(ids, []string{clusterID}) {
		t.Errorf("Clusters = %v, %v", ids, err)
	}
}

// Each way in which an object or a manifest can be wrong is found, before
// anything of it is believed.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	for name, tc := range map[string]struct {
		manifest  bool
		change    func([]byte) []byte
		byListing bool
		want      error
	}{
		"a flipped byte at the begin":  {change: flip(3), want: backup.ErrDamaged},
		"a flipped byte in the middle": {change: flip(150_000), want: backup.ErrDamaged},
		"a flipped byte at the end":    {change: func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, want: backup.ErrDamaged},
		"cut short":                    {change: func(b []byte) []byte { return b[:len(b)-1] }, byListing: true, want: backup.ErrDamaged},
		"empty":                        {change: func([]byte) []byte { return nil }, byListing: true, want: backup.ErrDamaged},
		"another object of its size":   {change: func(b []byte) []byte { return bytes.Repeat([]byte{7}, len(b)) }, want: backup.ErrDamaged},
		"a manifest that is none":      {manifest: true, change: func([]byte) []byte { return []byte("{") }, byListing: true, want: backup.ErrDamaged},
		"a manifest of a newer program": {
			manifest: true, byListing: true, want: backup.ErrNewerFormat,
			change: func(b []byte) []byte { return bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 2`), 1) },
		},
		"a manifest of another cluster": {
			manifest: true, byListing: true, want: backup.ErrForeign,
			change: func(b []byte) []byte { return bytes.Replace(b, []byte(clusterID), []byte("another"), 1) },
		},
		"a manifest with another checksum": {
			manifest: true, want: backup.ErrDamaged,
			change: func(b []byte) []byte {
				at := bytes.Index(b, []byte(`"state_checksum": "`)) + len(`"state_checksum": "`)
				b[at] = "01"[b[at]&1^1]
				return b
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			m := s.create(s.vault())
			file := m.Object
			if tc.manifest {
				file = m.ID + ".json"
			}
			s.damage(file, tc.change)
			v := s.vault()
			l, err := v.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if listed := len(l.Damaged) == 1 && errors.Is(l.Damaged[0].Err, tc.want); listed != tc.byListing {
				t.Errorf("List: %v", l.Damaged)
			}
			found, err := v.Find(t.Context(), m.ID)
			if tc.manifest && tc.byListing {
				if !errors.Is(err, tc.want) {
					t.Errorf("Find: %v, want %v", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), found, t.TempDir(), nil); !errors.Is(err, tc.want) {
				t.Errorf("Verify: %v, want %v", err, tc.want)
			}
			if err := v.Check(t.Context(), found, nil); !errors.Is(err, tc.want) {
				t.Errorf("Check: %v, want %v", err, tc.want)
			}
		})
	}
}

// What arrives damaged never gets a manifest.
func TestUploadThatArrivesDamaged(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*faultyStore){
		"a flipped byte": func(f *faultyStore) { f.flip = true },
		"cut short":      func(f *faultyStore) { f.cut = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.store.set(fault)
			if m, err := s.vault().Create(t.Context(), s.log.Machine(), about, nil); err == nil {
				t.Fatalf("Create = %+v", m)
			} else {
				t.Log(err)
			}
			if left := s.files(); len(left) != 0 {
				t.Errorf("left in the store: %v", left)
			}
		})
	}
}

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.vault()
	s.store.set(func(f *faultyStore) {
		f.during = func() { s.store.set(func(f *faultyStore) { f.down = true }) }
	})
	if _, err := v.Create(t.Context(), s.log.Machine(), about, nil); !errors.Is(err, errDown) {
		t.Fatalf("a store that goes away during the upload: %v", err)
	}
	s.store.set(func(f *faultyStore) { f.down, f.during, f.noManifest = false, nil, true })
	if _, err := v.Create(t.Context(), s.log.Machine(), about, nil); !errors.Is(err, errDown) {
		t.Fatalf("a manifest that can't be written: %v", err)
	}
	s.store.set(func(f *faultyStore) { f.noManifest = false })
	if l, err := v.List(t.Context()); err != nil || len(l.Snapshots)+len(l.Damaged) != 0 {
		t.Fatalf("List = %+v, %v", l, err)
	}
	m := s.create(v)
	// Leftovers go once they are old enough not to be somebody's upload.
	later := s.vault(func(o *backup.Options) { o.Now = func() time.Time { return time.Now().Add(25 * time.Hour) } })
	for _, w := range []*backup.Vault{v, later} {
		if gone, err := w.Prune(t.Context(), backup.Retention{Keep: 1}); err != nil || len(gone) != 0 {
			t.Fatalf("Prune = %v, %v", gone, err)
		}
	}
	if diff := cmp.Diff([]string{m.ID + ".json", m.Object}, s.files()); diff != "" {
		t.Errorf("what is left (-want +got)\n%s", diff)
	}
}

// A node that was wiped and got another state does not put it among the old ones.
func TestForeignState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.vault(func(o *backup.Options) { o.ClusterID = "another" })
	if _, err := v.Create(t.Context(), s.log.Machine(), about, nil); !errors.Is(err, backup.ErrForeign) {
		t.Fatal(err)
	}
	if l, err := v.List(t.Context()); err != nil || len(l.Snapshots) != 0 {
		t.Fatalf("List = %+v, %v", l, err)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.vault()
	var all []*backup.Manifest
	for range 5 {
		s.grow(1)
		all = append([]*backup.Manifest{s.create(v)}, all...) // the newest first
	}
	count := func(want int) {
		t.Helper()
		l, err := s.vault().List(t.Context())
		if err != nil || len(l.Damaged) != 0 {
			t.Fatal(l, err)
		}
		if diff := cmp.Diff(all[:want], l.Snapshots); diff != "" {
			t.Fatalf("kept (-want +got)\n%s", diff)
		}
		if files := s.files(); len(files) != 2*want {
			t.Fatalf("files: %v", files)
		}
	}
	prune := func(v *backup.Vault, keep backup.Retention, want int) {
		t.Helper()
		gone, err := v.Prune(t.Context(), keep)
		if err != nil || len(gone) != want {
			t.Fatalf("Prune(%+v) = %v, %v, want %d", keep, gone, err, want)
		}
	}
	prune(v, backup.Retention{}, 0)
	prune(v, backup.Retention{Keep: 5, MaxAge: time.Hour}, 0)
	count(5)
	prune(v, backup.Retention{Keep: 3}, 2)
	count(3)
	// A damaged one is neither deleted nor counted as one that is kept.
	s.damage(all[0].Object, func(b []byte) []byte { return b[:10] })
	prune(v, backup.Retention{Keep: 1}, 1)
	if files := s.files(); len(files) != 4 {
		t.Fatalf("files: %v", files)
	}
	old := s.vault(func(o *backup.Options) { o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } })
	prune(old, backup.Retention{MaxAge: time.Hour}, 0) // the last good one stays, however old
	if l, err := v.List(t.Context()); err != nil || len(l.Snapshots) != 1 || l.Snapshots[0].ID != all[1].ID {
		t.Fatal(l, err)
	}
}

func TestManifestIsPlain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file, recipient, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	m := s.create(s.vault(withKeys(t, file)))
	raw, err := os.ReadFile(s.path(m.ID + ".json"))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), recipient) || strings.Contains(string(raw), "SECRET") {
		t.Errorf("manifest: %s", raw)
	}
	for _, name := range []string{
		"format", "id", "cluster_id", "index", "term", "time", "revision", "state_checksum", "members", "object",
		"bytes", "sha256", "compression", "encryption", "created_at", "node", "version",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("the manifest has no %s", name)
		}
	}
	object, err := os.ReadFile(s.path(m.Object))
	if err != nil || bytes.Contains(object, []byte("floesnap")) || !bytes.HasPrefix(object, []byte("age-encryption.org/v1")) {
		t.Errorf("the object is not encrypted: %v", err)
	}
}

func withKeys(t testing.TB, text string) func(*backup.Options) {
	t.Helper()
	file := t.TempDir() + "/keys"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := backup.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *backup.Options) { o.Keys = keys }
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file, recipient, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	// The node has the recipient only: it can write, and compares what it wrote byte by byte.
	m := s.create(s.vault(withKeys(t, "# only the public half\n\n"+recipient+"\n")))
	writer := s.vault(withKeys(t, recipient))
	if err := writer.Check(t.Context(), m, nil); err != nil {
		t.Errorf("Check without a secret key: %v", err)
	}
	for name, v := range map[string]*backup.Vault{
		"no keys": s.vault(), "another key": s.vault(withKeys(t, other)), "the recipient": writer,
	} {
		if _, err := v.Read(t.Context(), m); !errors.Is(err, backup.ErrKey) {
			t.Errorf("Read with %s: %v, want ErrKey", name, err)
		}
	}
	owner := s.vault(withKeys(t, other+file))
	if _, err := owner.Verify(t.Context(), m, t.TempDir(), nil); err != nil {
		t.Errorf("Verify with the key: %v", err)
	}
	s.damage(m.Object, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	for name, v := range map[string]*backup.Vault{"the key": owner, "the recipient": writer} {
		if err := v.Check(t.Context(), m, nil); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("Check of a flipped byte with %s: %v, want ErrDamaged", name, err)
		}
	}
	stream, err := owner.Read(t.Context(), m)
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	if !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("Read of a flipped byte: %v, want ErrDamaged", err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	file, _, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(file[strings.Index(file, "AGE-SECRET"):])
	for name, text := range map[string]string{
		"empty": "", "comments": "# nothing\n", "half a key": secret[:len(secret)-1], "a password": "correct horse", "noise": "age1xyz",
	} {
		path := t.TempDir() + "/keys"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := backup.ReadKeys(path)
		if !errors.Is(err, backup.ErrKey) || strings.Contains(err.Error(), secret[:30]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := backup.ReadKeys("/nowhere/keys"); !errors.Is(err, backup.ErrKey) {
		t.Error(err)
	}
}
