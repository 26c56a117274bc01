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

var binary struct {
	once sync.Once
	path string
	err  error
}

// Binary is the path of the program under test: the one that FLOEBERG_BIN
// names, or one built, once per test process, as `make build` builds it.
func Binary() (string, error) {
	binary.once.Do(func() {
		if path := os.Getenv(BinaryEnv); path != "" {
			binary.path, binary.err = filepath.Abs(path)
			return
		}
		binary.path, binary.err = build()
	})
	return binary.path, binary.err
}

// build leaves the program in a folder of this user's that is the same for every run, so
// that an unchanged program costs one look at the build cache.
func build() (string, error) {
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
	own := filepath.Join(dir, fmt.Sprintf("floeberg-%d", os.Getpid()))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", own, "./cmd/floeberg")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	final := filepath.Join(dir, "floeberg")
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
