package cluster_test

import (
	"os"
	"path/filepath"
	"testing"
)

func loseLog(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "raft", "raft.db")); err != nil {
		t.Fatal(err)
	}
}

func loseState(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
}
