package dev

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// snippet is a whole program, so that it works wherever it is pasted.
const snippet = `import pyarrow as pa
from pyiceberg.catalog import load_catalog

catalog = load_catalog(
    "floeberg",
    **{
        "type": "rest",
        "uri": "%s",
        "warehouse": "default",
        "token": "%s",
    },
)
catalog.create_namespace_if_not_exists("demo")
rows = pa.table({"id": [1, 2, 3], "name": ["pancake", "brash", "growler"]})
table = catalog.create_table_if_not_exists("demo.floes", schema=rows.schema)
table.append(rows)
print(table.scan().to_arrow().to_pylist())
`

// banner tells all that one needs to play.
func (c *cluster) banner() error {
	code := fmt.Sprintf(snippet, c.nodes[0].url, c.place.key)
	path := filepath.Join(c.place.dir, snippetFile)
	if err := os.WriteFile(path, []byte(code), 0o600); err != nil {
		return fmt.Errorf("writing the snippet: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d nodes, one catalog. Each takes every request:\n\n", len(c.nodes))
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "  %s  %s   kill -9 %d   log: %s\n", n.id, n.url, n.process().pid, n.logFile)
	}
	fmt.Fprintf(&b, "\nAdmin key:  %s\n", c.place.key)
	fmt.Fprintf(&b, "Warehouse:  %s\n", c.place.warehouse())
	b.WriteString("\nKill one, as above, and go on working through the others: it is started again after a few\n")
	fmt.Fprintf(&b, "seconds. PyIceberg (pip install \"pyiceberg[pyarrow]\"), to be pasted or run from\n%s:\n\n", path)
	b.WriteString(code)
	b.WriteString("\nCtrl-C stops the nodes")
	if c.place.temporary {
		b.WriteString(" and removes the data")
	}
	b.WriteString(".\n\n")
	_, err := fmt.Fprint(c.opts.Out, b.String())
	return err
}
