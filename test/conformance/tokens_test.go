package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestPyIcebergWithACredential runs PyIceberg with the id and the secret of a key
// against three nodes, another one for each request, through several lives of a token.
func TestPyIcebergWithACredential(t *testing.T) {
	python := environment(t, "pyiceberg")
	c := cluster.Start(t, cluster.Options{Args: []string{"--token-lifetime", "3s"}})
	suite{python: python, env: []string{
		"FLOEBERG_TEST_SECONDS=10", "FLOEBERG_TEST_CREDENTIAL=" + credential,
	}}.run(t, c, "test_tokens.py")
}

// credential is the id and the secret of the key of every cluster.
var credential = authn.KeyID(cluster.Key) + ":" + cluster.Key

// providedSeconds are more than a token of a few seconds is taken for, with what clocks may
// differ by, and than two lives of a token of the cluster's below.
const providedSeconds = 38

// TestTokensOfAnIdentityProvider runs PyIceberg and Spark side by side against three nodes,
// another one for each request, with tokens of a provider that are good for a few seconds, and
// while it changes the key that it signs them with. Spark has a client with the credential of a key as well.
func TestTokensOfAnIdentityProvider(t *testing.T) {
	spark := newSparkTools(t)
	python := environment(t, "pyiceberg")
	provider := startProvider(t, 5*time.Second, 15*time.Second)
	c := cluster.Start(t, cluster.Options{Args: []string{
		"--token-lifetime", "15s", "--oidc-issuer", provider.issuer, "--oidc-audience", providedID,
		"--oidc-groups-claim", providedGroups, "--oidc-groups-map", providedID + "=writer",
	}})
	t.Run("clients", func(t *testing.T) {
		t.Run("PyIceberg", func(t *testing.T) {
			t.Parallel()
			suite{python: python, env: []string{
				fmt.Sprintf("FLOEBERG_TEST_SECONDS=%d", providedSeconds),
				"FLOEBERG_TEST_TOKEN_URL=" + provider.tokenURL, "FLOEBERG_TEST_SCOPE=" + providedScope,
				"FLOEBERG_TEST_CREDENTIAL=" + providedID + ":" + providedSecret,
			}}.run(t, c, "test_provider.py")
			program := strings.NewReplacer(
				"https://id.example/token", provider.tokenURL, "lake-client", providedID, `"…"`, `"`+providedSecret+`"`, "openid groups", providedScope,
			).Replace(snippet(t, "PyIceberg with an identity provider", c.Nodes[c.Follower(t)].URL, cluster.Key))
			printed, err := exec.CommandContext(t.Context(), python, "-c", program).CombinedOutput()
			if err != nil || !strings.Contains(string(printed), "given") {
				t.Errorf("the snippet: %v\n%s\n%s", err, program, printed)
			}
		})
		t.Run("Spark", func(t *testing.T) {
			t.Parallel()
			spark.renewTokens(t, c, provider)
		})
	})
}

// renewTokens has clients of Spark work for as long as tokens are renewed, and looks
// what became of it.
func (s sparkTools) renewTokens(t *testing.T, c *cluster.Cluster, from *provider) {
	t.Helper()
	rotation := c.Rotate(t)
	conf := s.conf(t)
	// as configures a catalog of Spark's by a section of the page.
	as := func(name, heading string, shown ...string) {
		maps.Copy(conf, properties(t, strings.NewReplacer(append(shown, ".floeberg", "."+name)...).Replace(snippet(t, heading, rotation.URL, cluster.Key))))
	}
	as("keyed", "Spark with a credential", "key-0123456789abcdef", authn.KeyID(cluster.Key))
	as("provided", "Spark with an identity provider",
		"https://id.example/token", from.tokenURL, "lake-client:…", providedID+":"+providedSecret, "openid groups", providedScope)
	as("given", "Spark")
	s.useRuntime(t, conf)

	out := filepath.Join(t.TempDir(), "seen.json")
	runJob(t, s.python, "spark/tokens.py", map[string]any{
		"conf": conf, "renewing": []string{"keyed", "provided"}, "given": "given", "seconds": providedSeconds, "out": out,
		"token_url": from.tokenURL, "client_id": providedID, "client_secret": providedSecret, "scope": providedScope,
	})
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var seen struct {
		Count   int
		Rows    map[string][]int
		Refused string
	}
	if err := json.Unmarshal(raw, &seen); err != nil {
		t.Fatal(err)
	}
	want := make([]int, seen.Count)
	for i := range want {
		want[i] = i
	}
	if diff := cmp.Diff(map[string][]int{"keyed": want, "provided": want}, seen.Rows); diff != "" || len(want) < 3 {
		t.Errorf("of %d rows: %s", seen.Count, diff)
	}
	if !strings.Contains(seen.Refused, "NotAuthorizedException") && !strings.Contains(seen.Refused, "Not authorized") {
		t.Errorf("a token whose time is over: %q", seen.Refused)
	}
	c.AllServed(t, rotation)
}
