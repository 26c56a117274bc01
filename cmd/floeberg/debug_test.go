package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDebugBundle(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	code, stdout, stderr := n.command(t, "debug", "bundle", "--out", file, "--output", "json")
	var info bundleInfo
	if err := json.Unmarshal([]byte(stdout), &info); err != nil || code != exitDone || stderr != "" || info.File != file || len(info.Missing) != 0 {
		t.Fatalf("exit code %d, %v, %q %q", code, err, stdout, stderr)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if stat, err := in.Stat(); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", err, stat)
	}
	packed, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	archive := tar.NewReader(packed)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil || strings.Contains(string(data), testKey) {
			t.Errorf("%s: %v, or it holds the key", h.Name, err)
		}
		names[h.Name] = true
	}
	for _, name := range []string{"missing.txt", "n1/settings.json", "n1/log.txt", "n1/heap.pprof"} {
		if !names["floeberg-debug/"+name] {
			t.Errorf("%s is missing: %v", name, names)
		}
	}
	if info.Files != len(names) {
		t.Errorf("%d files, told of %d", len(names), info.Files)
	}
	code, stdout, stderr = n.command(t, "debug", "bundle", "--out", file)
	if code != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, file+" is there already") {
		t.Errorf("it overwrites: exit code %d, %q %q", code, stdout, stderr)
	}
}
