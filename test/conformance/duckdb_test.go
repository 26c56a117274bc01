package conformance_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/test/cluster"
)

// TestDuckDB does one job of SQL on the reference server and on floeberg: what a
// user sees is the same.
func TestDuckDB(t *testing.T) {
	python := tool(t, "python.sh", "duckdb/requirements.txt")
	ref := startReference(t)
	c := cluster.Start(t, cluster.Options{})
	rotation := c.Rotate(t)
	out := filepath.Join(t.TempDir(), "results.json")
	runJob(t, python, "duckdb/job.py", map[string]any{"out": out, "attach": map[string]string{
		// The reference server is attached as the page shows it for floeberg.
		"theirs":   strings.ReplaceAll(snippet(t, "DuckDB", ref.URL, cluster.Key), "floeberg", "theirs"),
		"floeberg": snippet(t, "DuckDB", rotation.URL, cluster.Key),
	}})
	steps := readSteps(t, out)
	compare(t, steps["theirs"], steps["floeberg"], duckDBDifferences())
	c.AllServed(t, rotation)
}

// duckDBDifferences are the steps in which floeberg means to differ.
func duckDBDifferences() map[string]difference {
	listed := map[string]difference{}
	list := func(why string, wants map[string]string) {
		for name, want := range wants {
			listed[name] = difference{why: why, want: want}
		}
	}
	list("a staged create leaves metadata/ in place, where DuckDB writes; the reference server leaves nothing", map[string]string{
		"staged 1": "[[10]]", "staged 2": "[[0, 4], [1, 3], [2, 3]]", "staged 3": "[]",
	})
	list("the reference server adds a property of its own, created-at, to a table that is staged", map[string]string{
		"tables 27": "[[3]]",
	})
	list("DuckDB parts levels with 0x1F whatever separator is advertised, and the HTTP server of the reference refuses that", map[string]string{
		"nested 2": "[]", "nested 3": "[]", "nested 4": "[[1]]", "nested 5": "[[1]]", "nested 7": "[]", "nested 8": "[]", "nested 9": "[]",
		"nested 6": `{"refused": "TransactionException: TransactionContext Error: Failed to commit: Failed to commit Iceberg transaction: ` +
			`Request to '<url>' returned a non-200 status code (Conflict_409), with reason: Conflict, NamespaceNotEmptyException"}`,
	})
	for _, number := range []int{4, 5} {
		for i, want := range []string{"[]", "[]", "[[1]]", "[[1]]", "[]", "[]"} {
			list("the HTTP server of the reference refuses paths with an encoded percent sign or slash", map[string]string{
				fmt.Sprintf("names %d %d", number, i+1): want,
			})
		}
	}
	return listed
}
