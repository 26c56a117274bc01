package conformance_test

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestTrinoConfiguration holds what docs/clients.md shows for Trino to Trino's own
// connector, which must know each setting, and to a node, which must take what they say.
// Trino itself is too large to run here; what it sends is among the tests of
// test/cluster.
func TestTrinoConfiguration(t *testing.T) {
	jars := tool(t, "maven.sh", "trino/pom.xml")
	c := cluster.Start(t, cluster.Options{})
	settings := properties(t, snippet(t, "Trino", c.Nodes[c.Follower(t)].URL, cluster.Key))
	known := constants(t, jars)
	for name, value := range settings {
		// Of Trino, not of its connector: which connector it is.
		if name == "connector.name" {
			name = value
		}
		// As a class file holds it: with its length before it.
		if !bytes.Contains(known, append([]byte{0, byte(len(name))}, name...)) {
			t.Errorf("Trino's connector does not know %s", name)
		}
	}
	const prefix = "iceberg.rest-catalog."
	if settings[prefix+"security"] != "OAUTH2" {
		t.Errorf("the security is %q", settings[prefix+"security"])
	}
	node := client.New(client.Options{
		URLs: []string{settings[prefix+"uri"]}, Token: settings[prefix+"oauth2.token"], Warehouse: settings[prefix+"warehouse"],
	})
	for _, path := range []string{"/v1/config?warehouse=" + settings[prefix+"warehouse"], node.NamespacePath()} {
		res, err := node.Do(t.Context(), client.Request{Method: http.MethodGet, Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != http.StatusOK {
			t.Errorf("%s: %s", path, res)
		}
	}
}

// constants are the class files of the jars in a folder, one after the other.
func constants(t *testing.T, folder string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.jar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no jars in %s: %v", folder, err)
	}
	var all bytes.Buffer
	for _, file := range files {
		jar, err := zip.OpenReader(file)
		if err != nil {
			t.Fatal(err)
		}
		defer jar.Close()
		for _, entry := range jar.File {
			if !strings.HasSuffix(entry.Name, ".class") {
				continue
			}
			class, err := entry.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(&all, class); err != nil {
				t.Fatal(err)
			}
			if err := class.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all.Bytes()
}
