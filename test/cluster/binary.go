package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// BinaryEnv names the environment variable that points at a ready program.
const BinaryEnv = "FLOEBERG_BIN"

// Binary is the path of the program under test: the one that FLOEBERG_BIN
// names, or one built, once per test process, as `make build` builds it.
var Binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return filepath.Abs(path)
	}
	return build("floeberg")
})

// NextBinary is the path of the program of a release to come, built from the same
// source: once all members of a cluster run it, they write entries that the
// program under test does not know.
var NextBinary = sync.OnceValues(func() (string, error) {
	return build("floeberg-next", "-tags", "floeberg_ahead")
})

// build leaves the program in a folder of this user's that is the same for every run, so
// that an unchanged program costs one look at the build cache.
func build(name string, flags ...string) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "floeberg-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making a folder for the program: %w", err)
	}
	// Packages are tested at the same time: each process builds under a name of
	// its own, and the rename is atomic.
	own := filepath.Join(dir, fmt.Sprintf("%s-%d", name, os.Getpid()))
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", own}, flags...)
	cmd := exec.Command("go", append(args, "./cmd/floeberg")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	final := filepath.Join(dir, name)
	if err := os.Rename(own, final); err != nil {
		return "", fmt.Errorf("placing the program: %w", err)
	}
	return final, nil
}

// ModuleRoot is the folder of this module's go.mod.
func ModuleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("not inside a module: run the tests from a checkout")
	}
	return filepath.Dir(mod), nil
}
