package api_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// row is a row of a table whose first cell is code.
var row = regexp.MustCompile("(?m)^\\| `(/[^`]*)` \\| (.*) \\|$")

// TestDocsListWhatIsServed holds the table of paths in docs/api.md to the routes:
// each path with its methods, none more, none less. What is refused stands below
// the table, in words.
func TestDocsListWhatIsServed(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	method := regexp.MustCompile(`\b(GET|HEAD|POST|DELETE)\b`)
	var listed []string
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		for _, name := range method.FindAllString(m[2], -1) {
			listed = append(listed, name+" "+m[1])
		}
	}
	braces := regexp.MustCompile(`:([a-z]+)`)
	refused := regexp.MustCompile(`/tables/\{table\}/(credentials|sign|plan|tasks)|/functions`)
	var served []string
	for _, r := range node(t).Routes() {
		path := braces.ReplaceAllString(r.Path, "{$1}")
		if last := path[strings.LastIndex(path, "/"):]; refused.MatchString(path) {
			if !strings.Contains(page, last+"`") {
				t.Errorf("%s %s is not told of", r.Method, path)
			}
			continue
		}
		served = append(served, r.Method+" "+path)
	}
	slices.Sort(served)
	slices.Sort(listed)
	if diff := cmp.Diff(served, listed); diff != "" {
		t.Errorf("served (-) and listed in docs/api.md (+):\n%s", diff)
	}
}

// TestDocsListTheStatuses holds the table of statuses in docs/api.md to those that
// the operations are said to have.
func TestDocsListTheStatuses(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	facts, err := os.ReadFile("rest/protocol.txt")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{"405": true} // of no operation: there is none
	for _, line := range strings.Split(string(facts), "\n") {
		if at := strings.LastIndexByte(line, '|'); at >= 0 && line[0] != '#' {
			for _, status := range strings.Fields(line[at+1:]) {
				said[status] = true
			}
		}
	}
	for _, op := range operations(t) {
		for status := range op.Responses {
			said[status] = true
		}
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([0-9, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		for _, status := range strings.Split(m[1], ", ") {
			listed[status] = true
		}
	}
	if diff := cmp.Diff(said, listed); diff != "" {
		t.Errorf("said of the operations (-) and listed in docs/api.md (+):\n%s", diff)
	}
}
