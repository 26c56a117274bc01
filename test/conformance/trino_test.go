package conformance_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/authz/authn"
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
	known := constants(t, jars)
	shown := func(heading string) map[string]string {
		settings := properties(t, strings.ReplaceAll(snippet(t, heading, c.Nodes[c.Follower(t)].URL, cluster.Key), "key-0123456789abcdef", authn.KeyID(cluster.Key)))
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
		if settings[trinoPrefix+"security"] != "OAUTH2" {
			t.Errorf("%s: the security is %q", heading, settings[trinoPrefix+"security"])
		}
		return settings
	}
	given := shown("Trino")
	loads(t, given, given[trinoPrefix+"oauth2.token"])
	credential := shown("Trino with a credential")
	loads(t, credential, issued(t, credential[trinoPrefix+"uri"], credential[trinoPrefix+"oauth2.credential"]))
	shown("Trino with an identity provider")
}

// trinoPrefix begins the settings of the catalog.
const trinoPrefix = "iceberg.rest-catalog."

// loads has a node take a token, at the address and for the warehouse of these settings.
func loads(t *testing.T, settings map[string]string, token string) {
	t.Helper()
	node := client.New(client.Options{URLs: []string{settings[trinoPrefix+"uri"]}, Token: token, Warehouse: settings[trinoPrefix+"warehouse"]})
	for _, path := range []string{"/v1/config?warehouse=" + settings[trinoPrefix+"warehouse"], node.NamespacePath()} {
		res, err := node.Do(t.Context(), client.Request{Method: http.MethodGet, Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != http.StatusOK {
			t.Errorf("%s: %s", path, res)
		}
	}
}

// issued is the token that a node gives for a credential, asked as Java's client asks.
func issued(t *testing.T, uri, credential string) string {
	t.Helper()
	id, secret, found := strings.Cut(credential, ":")
	if !found {
		t.Fatalf("docs/clients.md shows the credential %q", credential)
	}
	res, err := http.PostForm(uri+"/v1/oauth/tokens", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {"catalog"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return body.Token
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
