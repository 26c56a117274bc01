package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/test/cluster"
)

// block is what a reader of a page pastes, and what the page says that it prints.
type block struct{ script, prints string }

var fenced = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// tutorial is the blocks of the section of docs/security.md.
func tutorial(t *testing.T) []block {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## From an empty cluster to three teams\n")
	if !found {
		t.Fatal("the tutorial is not there")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []block
	for _, m := range fenced.FindAllStringSubmatch(section, -1) {
		switch {
		case m[1] == "sh":
			blocks = append(blocks, block{script: m[2]})
		case len(blocks) == 0 || blocks[len(blocks)-1].prints != "":
			t.Fatalf("what prints this is not said:\n%s", m[2])
		default:
			blocks[len(blocks)-1].prints = m[2]
		}
	}
	return blocks
}

// TestTutorial does what docs/security.md tells its readers to do, in one shell, and
// compares what they see with what the page says.
func TestTutorial(t *testing.T) {
	// The page's commands use what the reader's distribution has; no target installs it.
	for _, tool := range []string{"jq", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the commands use %s, which is not installed: %v", tool, err)
		}
	}
	c := start(t, cluster.Options{})
	program, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	blocks := tutorial(t)
	if len(blocks) < 8 || !strings.Contains(blocks[0].script, "FLOEBERG_KEY=…") {
		t.Fatalf("%d blocks, of which the first should set the address and the key:\n%s", len(blocks), blocks[0].script)
	}
	// The first one names what each reader has another one of.
	script := fmt.Sprintf("set -eu\nexport FLOEBERG_ADDR=%s FLOEBERG_KEY=%s\n", c.Nodes[0].URL, cluster.Key)
	const mark = "=== end of a block ==="
	for _, b := range blocks[1:] {
		script += b.script + "echo '" + mark + "'\n"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = t.TempDir()
	// Under its own name, whatever the file of the program under test is called.
	bin := t.TempDir()
	if err := os.Symlink(program, filepath.Join(bin, "floeberg")); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	printed := strings.Split(string(out), mark+"\n")
	for i, b := range blocks[1:] {
		if i >= len(printed)-1 {
			t.Fatalf("this ended with %v:\n%s\nand printed:\n%s", err, b.script, printed[len(printed)-1])
		}
		if diff := cmp.Diff(trimmed(b.prints), trimmed(printed[i])); diff != "" {
			t.Errorf("this prints something else (-page +run):\n%s\n%s", b.script, diff)
		}
	}
}

// trimmed is text without spaces at the ends of its lines, as a page has it.
func trimmed(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}
