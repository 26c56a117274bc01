package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataFolderIsClosedToOthers(t *testing.T) {
	t.Parallel()
	mode := func(path string) os.FileMode {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	open := func(path string) error {
		t.Helper()
		f, err := openFolder(path, "test")
		if err == nil {
			err = f.close()
		}
		return err
	}
	chmod := func(path string) {
		t.Helper()
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}

	made := filepath.Join(t.TempDir(), "a", "b")
	if err := open(made); err != nil || mode(made) != 0o700 {
		t.Errorf("a new folder: %v, mode %v", err, mode(made))
	}
	chmod(made)
	if err := open(made); err != nil || mode(made) != 0o700 {
		t.Errorf("our folder, opened to others since: %v, mode %v", err, mode(made))
	}
	empty := t.TempDir()
	chmod(empty)
	if err := open(empty); err != nil || mode(empty) != 0o700 {
		t.Errorf("an empty folder: %v, mode %v", err, mode(empty))
	}
	foreign := t.TempDir()
	chmod(foreign)
	if err := os.WriteFile(filepath.Join(foreign, "letter"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(foreign); err == nil || !strings.Contains(err.Error(), "not floeberg's") || mode(foreign) != 0o755 {
		t.Errorf("somebody's folder: %v, mode %v", err, mode(foreign))
	}
}
