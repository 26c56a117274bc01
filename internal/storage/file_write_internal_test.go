package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The way without links is not reached through the API on a file system that
// has them.
func TestClaimDoesNotReplace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	store := &fileStore{mask: fs.ModePerm}
	content := func(name string) string {
		body, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	for _, name := range []string{"one", "two"} {
		if err := store.writeSynced(root, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.claim(root, "one", "object"); err != nil {
		t.Fatal(err)
	}
	if err := store.claim(root, "two", "object"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("claim of a taken name: %v, want fs.ErrExist", err)
	}
	if got := content("object"); got != "one" {
		t.Errorf("the object holds %q", got)
	}
	// A claim that can't be fulfilled is given back.
	if err := store.claim(root, "missing", "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("claim without content: %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "other")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the claim is still there: %v", err)
	}
}
