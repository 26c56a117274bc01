package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/floeberg/floeberg/test/cluster"
)

// TestIcebergGo runs the module in icebergo/, which holds the REST catalog client
// of iceberg-go to what that library's own suite asks and to more, against the
// reference server and against floeberg.
func TestIcebergGo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	program := filepath.Join(t.TempDir(), "icebergo.test")
	icebergGo(t, "test", "-c", "-o", program, ".")
	t.Run("reference", func(t *testing.T) {
		ref := startReference(t)
		runIcebergGo(t, program, "FLOEBERG_TEST_REFERENCE=1", "FLOEBERG_TEST_URI="+ref.URL)
	})
	t.Run("floeberg", func(t *testing.T) {
		c := cluster.Start(t, cluster.Options{})
		rotation := c.Rotate(t)
		runIcebergGo(t, program, "FLOEBERG_TEST_URI="+rotation.URL, "FLOEBERG_TEST_TOKEN="+cluster.Key)
		c.AllServed(t, rotation)
	})
	t.Run("snippet", func(t *testing.T) {
		c := cluster.Start(t, cluster.Options{})
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(snippet(t, "iceberg-go", c.Nodes[c.Follower(t)].URL, cluster.Key)), 0o600); err != nil {
			t.Fatal(err)
		}
		icebergGo(t, "run", file)
	})
}

// icebergGo runs the go command in the module.
func icebergGo(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = "icebergo"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	printed, err := cmd.CombinedOutput()
	t.Logf("go %s:\n%s", args[0], printed)
	if err != nil {
		t.Fatalf("go %v: %v", args, err)
	}
}

// runIcebergGo runs the module's tests against a catalog.
func runIcebergGo(t *testing.T, program string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), env...)
	printed, err := cmd.CombinedOutput()
	t.Logf("%s", printed)
	if err != nil {
		t.Error(err)
	}
}
