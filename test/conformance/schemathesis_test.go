package conformance_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
)

// TestSchemathesis lets schemathesis make requests of the description that a
// node serves, sensible and senseless ones, and hold the answers to it: statuses
// and bodies are those described, nothing fails on our side, and nothing is told
// to those who have no key.
func TestSchemathesis(t *testing.T) {
	python := environment(t, "schemathesis")
	c := cluster.Start(t, cluster.Options{Nodes: 1, Args: []string{"--snapshot-store", "file://" + t.TempDir()}})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// What the examples of the description name.
	if res, err := c.Client().CreateNamespace(ctx, nil, "sales"); err != nil || res.Status != http.StatusOK {
		t.Fatalf("%s, %v", res, err)
	}
	if res, err := c.Client().CreateTable(ctx, "sales", "orders"); err != nil || res.Status != http.StatusOK {
		t.Fatalf("%s, %v", res, err)
	}
	config, err := filepath.Abs("schemathesis/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, python, "-m", "schemathesis.cli", "--config-file", config, "run", c.Nodes[0].URL+"/openapi.json",
		"--header", "Authorization: Bearer "+cluster.Key,
		"--checks", "all", "--max-examples", "30", "--seed", "1", "--request-timeout", "20", "--no-color")
	cmd.Dir = t.TempDir() // it keeps what it found there
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("schemathesis: %v", err)
	}
	if err := c.Nodes[0].Ready(ctx); err != nil {
		t.Errorf("after it: %v", err)
	}
}
