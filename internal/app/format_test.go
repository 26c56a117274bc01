package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// oneLine fails unless the error is one line that holds all of these.
func oneLine(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one that says %q", want)
		return
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestDataFolderFormat(t *testing.T) {
	t.Parallel()
	open := func(dir, program string) error {
		f, err := openFolder(dir, program)
		if err != nil {
			return err
		}
		return f.close()
	}
	write := func(dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, formatFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(dir string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, formatFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}

	dir := filepath.Join(t.TempDir(), "data")
	if err := open(dir, "v1.0.0"); err != nil || read(dir) != "floeberg data 1\nwritten by v1.0.0\n" {
		t.Errorf("a new folder: %v, %q", err, read(dir))
	}
	if err := open(dir, "v1.1.0"); err != nil || !strings.Contains(read(dir), "v1.1.0") {
		t.Errorf("after an upgrade: %v, %q", err, read(dir))
	}

	write(dir, "floeberg data 2\nwritten by v9.0.0\nand more\n")
	err := open(dir, "v1.1.0")
	oneLine(t, err, "data-dir", dir, "format 2", "v9.0.0", "v1.1.0", "up to 1")
	if !errors.Is(err, ErrNewerFolder) || !strings.Contains(read(dir), "and more") {
		t.Errorf("a newer program's folder: %v, now %q", err, read(dir))
	}
	write(dir, "floeberg data 3")
	oneLine(t, open(dir, "v1.1.0"), "format 3", "version unknown")

	for _, text := range []string{"", "floeberg data x\n", "floeberg data 0\n", "letter\n"} {
		write(dir, text)
		err := open(dir, "v1.1.0")
		oneLine(t, err, "data-dir", dir, formatFile)
		if !errors.Is(err, ErrDamagedFolder) || read(dir) != text {
			t.Errorf("%q: %v, now %q", text, err, read(dir))
		}
	}

	// The first programs wrote no such file: what they left is of format 1.
	if err := os.Remove(filepath.Join(dir, formatFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, raftFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := open(dir, "v1.1.0"); err != nil || !strings.HasPrefix(read(dir), "floeberg data 1\n") {
		t.Errorf("a folder from before: %v, %q", err, read(dir))
	}
}

// A refused folder is let go: whoever knows it can open it.
func TestRefusedFolderIsNotHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, formatFile)
	if err := os.WriteFile(path, []byte("floeberg data 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(dir, "v1"); !errors.Is(err, ErrNewerFolder) {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(dir, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
}

func TestDataFolderBelongsToOneNode(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		if err := f.claim("n1"); err != nil {
			t.Fatal(err)
		}
	}
	err = f.claim("n2")
	oneLine(t, err, "node-id", `"n1"`, `"n2"`, f.path)
	if !errors.Is(err, ErrOtherNode) {
		t.Error(err)
	}
	if owner, err := f.owner(); owner != "n1" || err != nil {
		t.Errorf("the owner is now %q, %v", owner, err)
	}
}
