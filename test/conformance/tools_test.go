package conformance_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// tool runs a script of test/tools, which installs what a test needs, and gives
// the path that it prints. A tool that can't be had skips the test, or fails it
// where FLOEBERG_TOOLS_REQUIRED is set.
func tool(t *testing.T, script string, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	cmd := exec.Command("bash", append([]string{"../tools/" + script}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("FLOEBERG_TOOLS_REQUIRED") == "" {
			t.Skipf("%s: %v", script, err)
		}
		t.Fatalf("%s: %v", script, err)
	}
	return strings.TrimSpace(string(out))
}
