package conformance_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/test/cluster"
)

// sparkTools are what Spark is run with.
type sparkTools struct {
	// python has PySpark, and the folder jars has Iceberg's runtime.
	python, jars string
}

func newSparkTools(t *testing.T) sparkTools {
	t.Helper()
	return sparkTools{python: tool(t, "python.sh", "spark/requirements.txt"), jars: tool(t, "maven.sh", "spark/pom.xml")}
}

// conf is a small Spark on this machine.
func (s sparkTools) conf(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"spark.ui.enabled":             "false",
		"spark.sql.shuffle.partitions": "2",
		"spark.default.parallelism":    "2",
		"spark.driver.memory":          "1g",
		"spark.driver.host":            "127.0.0.1",
		"spark.driver.bindAddress":     "127.0.0.1",
		"spark.sql.warehouse.dir":      t.TempDir(),
		"spark.local.dir":              t.TempDir(),
		"spark.sql.session.timeZone":   "UTC",
	}
}

// useRuntime puts the runtime that was fetched ahead of time in the place of the one
// that the page has Spark fetch.
func (s sparkTools) useRuntime(t *testing.T, conf map[string]string) {
	t.Helper()
	packages := conf["spark.jars.packages"]
	delete(conf, "spark.jars.packages")
	parts := strings.Split(packages, ":")
	if len(parts) != 3 {
		t.Fatalf("docs/clients.md names the runtime %q", packages)
	}
	conf["spark.jars"] = filepath.Join(s.jars, parts[1]+"-"+parts[2]+".jar")
	if _, err := os.Stat(conf["spark.jars"]); err != nil {
		t.Fatalf("docs/clients.md names another runtime than spark/pom.xml: %v", err)
	}
}

// TestSpark does one job of SQL on the reference server and on floeberg: what a
// user sees is the same.
func TestSpark(t *testing.T) {
	spark := newSparkTools(t)
	ref := startReference(t)
	c := cluster.Start(t, cluster.Options{})
	rotation := c.Rotate(t)

	conf := spark.conf(t)
	// The reference server gets the configuration that the page shows for floeberg.
	shown := snippet(t, "Spark", ref.URL, cluster.Key)
	maps.Copy(conf, properties(t, strings.ReplaceAll(shown, ".floeberg", ".theirs")))
	maps.Copy(conf, properties(t, snippet(t, "Spark", rotation.URL, cluster.Key)))
	spark.useRuntime(t, conf)

	out := filepath.Join(t.TempDir(), "results.json")
	runJob(t, spark.python, "spark/job.py", map[string]any{"conf": conf, "catalogs": []string{"theirs", "floeberg"}, "out": out})
	steps := readSteps(t, out)
	compare(t, steps["theirs"], steps["floeberg"], sparkDifferences())
	c.AllServed(t, rotation)
}

// sparkDifferences are the steps in which floeberg means to differ.
func sparkDifferences() map[string]difference {
	listed := map[string]difference{
		"namespaces 12": {
			why:  "the reference server counts what is in a namespace; one look that finds something is enough to refuse",
			want: `{"refused": "org.apache.iceberg.exceptions.NamespaceNotEmptyException: Namespace lab is not empty"}`,
		},
		"views 27": {
			why:  "as for namespaces 12",
			want: `{"refused": "org.apache.iceberg.exceptions.NamespaceNotEmptyException: Namespace lab.deep is not empty"}`,
		},
		"create 4": {
			why:  "one text for all that misses its namespace, without the name of a catalog behind the server",
			want: `{"refused": "org.apache.iceberg.exceptions.NoSuchNamespaceException: Namespace does not exist: nowhere"}`,
		},
		"register 5": {
			why:  "as for create 4",
			want: `{"refused": "org.apache.iceberg.exceptions.NoSuchNamespaceException: Namespace does not exist: nowhere"}`,
		},
		"drop namespaces 4": {
			why:  "a namespace needs its parent; the reference server makes what is missing",
			want: `{"refused": "org.apache.iceberg.exceptions.NoSuchNamespaceException: Namespace does not exist: nowhere"}`,
		},
	}
	// The names of the job that hold a percent sign or a slash, by their number.
	for number, name := range map[int]string{2: "per%cent", 3: "a%2Fb", 7: "a/b"} {
		for i, want := range []string{
			"[]", "[]", "[]", "[[1]]", fmt.Sprintf("[[%q, %q, false]]", "lab.`"+name+"`", name), "[]", "[]",
		} {
			listed[fmt.Sprintf("names %d %d", number, i+1)] = difference{
				why: "the HTTP server of the reference refuses paths with an encoded percent sign or slash", want: want,
			}
		}
	}
	return listed
}
