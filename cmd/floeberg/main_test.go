package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/config"
)

// asProgram makes the test's binary behave as the program: tests of processes
// need nothing built.
const asProgram = "RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command runs a command line in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodesAndOneLineErrors(t *testing.T) {
	t.Parallel()
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, "format"), []byte("floeberg data 99\nwritten by v9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown command":      {[]string{"melt"}, exitUsage, "melt"},
		"unknown flag":         {[]string{"serve", "--htp-listen", "x"}, exitUsage, "--htp-listen"},
		"flag without value":   {[]string{"serve", "--node-id"}, exitUsage, "--node-id"},
		"argument too many":    {[]string{"serve", "now"}, exitUsage, "now"},
		"bad value":            {[]string{"config", "check", "--log-level", "loud"}, exitUsage, "--log-level"},
		"bad combination":      {[]string{"config", "check", "--tls-cert", "x"}, exitUsage, "tls-key"},
		"half a pair":          {[]string{"serve", "--oidc-audience", "x"}, exitUsage, "oidc-issuer"},
		"no file":              {[]string{"serve", "--config", "/nonexistent"}, exitUsage, "--config"},
		"no table of it":       {[]string{"openapi", "--output", "table"}, exitUsage, "--output"},
		"unknown output":       {[]string{"version", "--output", "xml"}, exitUsage, "--output"},
		"too many nodes":       {[]string{"dev", "--nodes", "99"}, exitUsage, "--nodes"},
		"folder can't be made": {[]string{"serve", "--data-dir", "/dev/null/x"}, exitFailed, "data-dir"},
		"newer data folder":    {[]string{"serve", "--data-dir", newer}, exitFailed, "format 99, written by version v9"},
		"port taken, or worse": {[]string{"serve", "--data-dir", filepath.Join(t.TempDir(), "d"), "--http-listen", "192.0.2.1:1", "--insecure-cluster"}, exitFailed, "http-listen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := command(t, tc.args...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			last := lines[len(lines)-1]
			if code != tc.code || !strings.Contains(last, tc.says) || !strings.HasPrefix(last, "floeberg: ") {
				t.Errorf("exit code %d, %q; want %d and %q", code, stderr, tc.code, tc.says)
			}
			if tc.code == exitUsage && len(lines) != 1 {
				t.Errorf("more than one line: %q", stderr)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, "version", "--output", "json")
	var got versionInfo
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitDone || stderr != "" {
		t.Fatalf("exit code %d, %v, %q %q", code, err, stdout, stderr)
	}
	if got.Version == "" || !strings.HasPrefix(got.Go, "go") || got.OldestCommand != 1 || got.NewestCommand < 1 || got.Folder < 1 || got.State < 1 || got.Snapshot < 1 {
		t.Errorf("got %+v", got)
	}
	if code, stdout, _ := command(t, "version"); code != exitDone || !strings.HasPrefix(stdout, "floeberg ") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestConfigCommands(t *testing.T) {
	t.Parallel()
	code, example, _ := command(t, "config", "example")
	if code != exitDone || !strings.Contains(example, "[http]") {
		t.Fatalf("exit code %d, %q", code, example)
	}
	path := filepath.Join(t.TempDir(), "floeberg.toml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, "config", "check", "--config", path); code != exitDone {
		t.Errorf("the example is refused: %s", stderr)
	}
	code, stdout, _ := command(t, "config", "check", "--output", "json")
	if diff := cmp.Diff("{\n  \"valid\": true\n}\n", stdout); code != exitDone || diff != "" {
		t.Errorf("exit code %d, %s", code, diff)
	}
}

func TestServeHasAFlagForEverySetting(t *testing.T) {
	t.Parallel()
	flags := serveCommand().Flags()
	for _, s := range config.Settings() {
		if flags.Lookup(s.Name) == nil {
			t.Errorf("--%s is missing", s.Name)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"serve", "--help"}, {"config"}} {
		if code, stdout, _ := command(t, args...); code != exitDone || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	code, text, stderr := command(t, "openapi")
	if code != exitDone || stderr != "" || !strings.HasPrefix(text, "openapi: 3") {
		t.Errorf("%d %.100s %s", code, text, stderr)
	}
	code, text, stderr = command(t, "openapi", "--output", "json")
	var doc struct{ Paths map[string]any }
	if err := json.Unmarshal([]byte(text), &doc); err != nil || code != exitDone || stderr != "" || doc.Paths["/health"] == nil {
		t.Errorf("%d %.100s %s %v", code, text, stderr, err)
	}
}
