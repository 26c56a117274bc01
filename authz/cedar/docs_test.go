package cedar

import (
	"os"
	"strings"
	"testing"
)

// The policies in the documentation can be put as they stand there, and the first
// are those that a cluster has from the start.
func TestPoliciesInTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```cedar\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		compile(t, text, "")
		if i == 0 && !strings.HasSuffix(DefaultText, text) {
			t.Errorf("the ready-made policies are shown as\n%s", text)
		}
	}
	for _, a := range Actions() {
		if !strings.Contains(string(page), "`"+string(a)+"`") {
			t.Errorf("action %s is not described", a)
		}
	}
}
