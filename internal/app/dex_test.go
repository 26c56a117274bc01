package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/test/dexserver"
)

// A person of a provider gets what its groups stand for here, on every node. When the
// provider signs with another key, tokens of the new one are good at once, and those of the
// old one as long as it publishes that; when it has lost all that it had, the old ones end.
func TestAProviderThatChangesItsKeys(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for half a minute")
	}
	provider := dexserver.Start(t)
	nodes := threeNodes(t, flags{
		"bootstrap-key": adminKey, "oidc-issuer": provider.Issuer, "oidc-audience": dexserver.Audience, "oidc-groups-map": dexserver.Group + "=writer",
	})
	first := provider.Login(t)
	for i, n := range nodes {
		user := &node{App: n.App, client: n.client, key: first}
		user.must(t, 200, "POST", namespaces, fmt.Sprintf(`{"namespace":["n%d"]}`, i))
		user.must(t, 403, "GET", "/management/v1/cluster", "")
	}
	made := read[management.AuditList](t, nodes[0], "/management/v1/audit?event=outcome&action=CreateNamespace").Records
	if len(made) != 3 {
		t.Fatalf("%+v", made)
	}
	for _, r := range made {
		if !strings.HasPrefix(r.Principal, "oidc:"+provider.Issuer+"#") || r.PrincipalName != dexserver.Person || r.PrincipalType != "user" {
			t.Errorf("%+v", r)
		}
	}

	code := func(n *node, token string) int {
		got, _ := (&node{App: n.App, client: n.client, key: token}).try(t, "GET", namespaces, "")
		return got
	}
	second := provider.AwaitAnotherKey(t, first)
	for i, n := range nodes {
		if a, b := code(n, second), code(n, first); a != 200 || b != 200 {
			t.Errorf("node %d: %d for the new key, %d for the old one", i, a, b)
		}
	}
	provider.Restart(t)
	third := provider.Login(t)
	for i, n := range nodes {
		// An issuer is asked for its keys once in a while, and not for one who fails too often.
		awaitPolling(t, 250*time.Millisecond, "the key of a provider that began anew", func() bool { return code(n, third) == 200 })
		if a, b := code(n, second), code(n, first); a != 401 || b != 401 {
			t.Errorf("node %d: %d and %d for keys that are gone", i, a, b)
		}
	}
}
