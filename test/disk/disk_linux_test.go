package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	d := Start(t, filepath.Join(dir, "disk"), filepath.Join(dir, "contents"))
	path := filepath.Join(d.Dir, "file")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func() error { _, err := file.WriteAt([]byte("data"), 0); return err }
	for _, c := range []struct {
		faults Faults
		what   string
		do     func() error
		want   error
	}{
		{Faults{}, "write", write, nil},
		{Faults{}, "sync", file.Sync, nil},
		{Faults{Full: true}, "write", write, syscall.ENOSPC},
		{Faults{Full: true}, "sync", file.Sync, nil},
		{Faults{Full: true}, "mkdir", func() error { return os.Mkdir(path+"d", 0o700) }, syscall.ENOSPC},
		{Faults{ReadOnly: true}, "write", write, syscall.EROFS},
		{Faults{ReadOnly: true}, "truncate", func() error { return file.Truncate(0) }, syscall.EROFS},
		{Faults{ReadOnly: true}, "remove", func() error { return os.Remove(path) }, syscall.EROFS},
		{Faults{ReadOnly: true}, "create", func() error { return os.WriteFile(path+"2", nil, 0o600) }, syscall.EROFS},
		{Faults{ReadOnly: true}, "read", func() error { _, err := os.ReadFile(path); return err }, nil},
		{Faults{SyncFails: true}, "write", write, nil},
		{Faults{SyncFails: true}, "sync", file.Sync, syscall.EIO},
		{Faults{}, "sync", file.Sync, nil},
	} {
		d.Set(c.faults)
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s with %+v: %v, want %v", c.what, c.faults, err, c.want)
		}
	}
	d.Set(Faults{Slow: 50 * time.Millisecond})
	began := time.Now()
	if err := errors.Join(write(), file.Sync()); err != nil || time.Since(began) < 100*time.Millisecond {
		t.Errorf("a slow disk took %s: %v", time.Since(began), err)
	}
	if d.Met() == 0 {
		t.Error("no fault was met")
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

const child = "FLOEBERG_TEST_DISK_DATABASE"

// TestMain is also the process that TestMapped starts: this one serves the file
// system, and can't do so while it waits for a page of it itself.
func TestMain(m *testing.M) {
	path := os.Getenv(child)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := put(path, os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// put writes to a bolt database, which reads through a mapping what it writes
// with system calls, and prints what was there before.
func put(path, value string) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", b.Get([]byte("k")))
		return b.Put([]byte("k"), []byte(value))
	})
	return errors.Join(err, db.Close())
}

func TestMapped(t *testing.T) {
	dir := t.TempDir()
	d := Start(t, filepath.Join(dir, "disk"), filepath.Join(dir, "contents"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		faults Faults
		value  string
		fails  string
		before string
	}{
		{Faults{}, "first", "", ""},
		{Faults{Full: true}, "second", "no space left", "first"},
		{Faults{SyncFails: true}, "third", "input/output error", "first"},
		{Faults{}, "fourth", "", ""},
		{Faults{}, "fifth", "", "fourth"},
	} {
		d.Set(c.faults)
		cmd := exec.Command(self, c.value)
		cmd.Env = append(os.Environ(), child+"="+filepath.Join(d.Dir, "db"))
		out, err := cmd.CombinedOutput()
		if (err != nil) != (c.fails != "") || !strings.Contains(string(out), c.fails) || !strings.Contains(string(out), c.before) {
			t.Errorf("%s with %+v: %v: %s", c.value, c.faults, err, out)
		}
	}
}
