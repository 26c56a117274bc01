package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/test/oidcserver"
)

// asking sends a request with a credential, and gives the answer without what differs
// between any two.
func (n *node) asking(t *testing.T, credential string) (status int, answer string) {
	t.Helper()
	res, err := n.client.Do(func() *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), "GET", n.URL()+namespaces, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+credential)
		return req
	}())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	head := res.Header.Clone()
	for _, name := range []string{"X-Request-Id", "Date", "Floeberg-Node", "Floeberg-Index"} {
		head.Del(name)
	}
	body := make([]byte, 4096)
	read, _ := res.Body.Read(body)
	return res.StatusCode, fmt.Sprint(head, string(body[:read]))
}

// A token of a provider that nobody here wrote is good on every node, with the rights
// of the groups that its groups stand for; whatever else is presented gets one answer.
func TestTokensOfAnIdentityProvider(t *testing.T) {
	t.Parallel()
	provider := oidcserver.Start(t)
	token := provider.Login(t)
	nodes := threeNodes(t, flags{
		"bootstrap-key": adminKey, "oidc-issuer": "https://id.invalid," + provider.Issuer, "oidc-audience": oidcserver.Client,
		"oidc-groups-claim": oidcserver.GroupsClaim, "oidc-groups-map": oidcserver.Client + "=writer",
	})
	for i, n := range nodes {
		user := &node{App: n.App, client: n.client, key: token}
		user.must(t, 200, "POST", namespaces, fmt.Sprintf(`{"namespace":["n%d"]}`, i))
		user.must(t, 200, "GET", namespaces, "")
		user.must(t, 403, "GET", "/management/v1/cluster", "")
		n.must(t, 200, "GET", "/management/v1/cluster", "")

		parts := strings.Split(token, ".")
		_, want := n.asking(t, "fb_nobody_knows_this_one")
		for what, credential := range map[string]string{
			"no signature":   parts[0] + "." + parts[1] + ".",
			"other claims":   parts[0] + "." + parts[1] + "x." + parts[2],
			"an algorithm":   "eyJhbGciOiJub25lIn0." + parts[1] + ".",
			"another issuer": "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2V2aWwuZXhhbXBsZSJ9.AAAA",
			"half of one":    parts[0] + "." + parts[1],
			"too much":       "eyJ" + strings.Repeat("a", 20<<10) + ".b.c",
		} {
			if status, got := n.asking(t, credential); status != 401 || got != want {
				t.Errorf("%s: %d %s\nwant %s", what, status, got, want)
			}
		}
		if got := sum(n.scrape(t), `floeberg_auth_failures_total{reason="token_`); got < 5 {
			t.Errorf("%v refused tokens are counted", got)
		}
	}
	if log := nodes[0].log.String(); strings.Contains(log, token) || !strings.Contains(log, "principal=oidc:"+provider.Issuer+"#"+oidcserver.Subject) {
		t.Error("the log does not say who it was, or says how to become it")
	}
}

// A node needs no provider to start, and takes its tokens once it can be asked.
func TestStartWithoutAProvider(t *testing.T) {
	t.Parallel()
	provider := oidcserver.Start(t)
	token := provider.Login(t)
	provider.Freeze(t)
	n := startReady(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "oidc-issuer": provider.Issuer, "oidc-audience": oidcserver.Client,
		"oidc-groups-claim": oidcserver.GroupsClaim, "oidc-groups-map": oidcserver.Client + "=reader",
	})
	n.must(t, 200, "GET", namespaces, "")
	user := &node{App: n.App, client: n.client, key: token}
	if got := user.must(t, 503, "GET", namespaces, ""); !strings.Contains(got, "can't be verified now") {
		t.Error(got)
	}
	provider.Thaw(t)
	await(t, "the token to be taken", func() bool {
		code, _ := user.try(t, "GET", namespaces, "")
		return code == 200
	})
	provider.Stop()
	user.must(t, 200, "GET", namespaces, "")
}

// The authorities of issuers are read again on SIGHUP; a file that holds none changes
// nothing.
func TestIssuersAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	first, second, dir := newAuthority(t), newAuthority(t), t.TempDir()
	provider, file := newIssuer(t, second), filepath.Join(t.TempDir(), "ca")
	write(t, file, first.pem)
	set := flags{
		"bootstrap-key": adminKey, "oidc-issuer": provider.URL, "oidc-audience": "lake", "oidc-ca": file, "oidc-groups-map": "crew=reader",
	}
	r := run(t, dir, set, func() (*config.Config, error) { return settings(t, dir, set), nil })
	user := &node{App: r.App, client: r.client, key: provider.token(t, "lake", "nansen", "crew")}
	user.must(t, 503, "GET", namespaces, "")
	reloads := func(result string) float64 {
		return r.scrape(t)[fmt.Sprintf(`floeberg_certificate_reloads_total{result=%q,use="oidc_ca"}`, result)]
	}
	write(t, file, []byte("junk"))
	r.signals <- syscall.SIGHUP
	await(t, "the failure to be counted", func() bool { return reloads("failed") == 1 })
	if log := r.log.String(); !strings.Contains(log, "oidc-ca: the file holds no certificate") || !strings.Contains(log, "those in use stay") {
		t.Error("the log does not say what is wrong")
	}
	write(t, file, second.pem)
	r.signals <- syscall.SIGHUP
	await(t, "the file to be read", func() bool { return reloads("ok") == 1 })
	awaitPolling(t, 250*time.Millisecond, "the issuer to be asked again", func() bool {
		code, _ := user.try(t, "GET", namespaces, "")
		return code == 200
	})
	r.signals <- syscall.SIGTERM
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// What a claim says of who asks is what policies see, in the words that it is told.
func TestTheTypeOfWhoAsks(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	provider, file := newIssuer(t, ca), filepath.Join(t.TempDir(), "ca")
	write(t, file, ca.pem)
	n := startReady(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "oidc-issuer": provider.URL, "oidc-audience": "lake", "oidc-ca": file,
		"oidc-groups-map": "crew=writer", "oidc-type-claim": "kind", "oidc-type-map": "robot=service",
	})
	n.must(t, 200, "PUT", policiesPath, `{"text":"`+
		`permit (principal, action, resource) when { principal.type == \"service\" };`+
		`permit (principal, action in Floeberg::Action::\"Read\", resource);"}`)
	for kind, want := range map[string]int{"robot": 200, "service": 200, "user": 403, "ghost": 401} {
		provider.more = map[string]any{"kind": kind}
		user := &node{App: n.App, client: n.client, key: provider.token(t, "lake", "nansen", "crew")}
		user.must(t, want, "POST", namespaces, fmt.Sprintf(`{"namespace":[%q]}`, kind))
	}
	provider.more = nil
	(&node{App: n.App, client: n.client, key: provider.token(t, "lake", "nansen", "crew")}).must(t, 403, "POST", namespaces, `{"namespace":["x"]}`)
	n.must(t, 200, "POST", namespaces, `{"namespace":["by_a_key"]}`)
}

// A claim that a setting names says whose a principal is. A token without it is refused
// then, and without the setting nobody looks for it.
func TestTheTenantOfWhoAsks(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	provider, file := newIssuer(t, ca), filepath.Join(t.TempDir(), "ca")
	write(t, file, ca.pem)
	set := flags{
		"bootstrap-key": adminKey, "oidc-issuer": provider.URL, "oidc-audience": "lake", "oidc-ca": file, "oidc-groups-map": "crew=writer",
	}
	nobodys := provider.token(t, "lake", "nansen", "crew")
	provider.more = map[string]any{"org": "north"}
	north := provider.token(t, "lake", "nansen", "crew")
	as := func(n *node, token string) *node { return &node{App: n.App, client: n.client, key: token} }
	plain := startReady(t, t.TempDir(), set)
	as(plain, nobodys).must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	set["oidc-tenant-claim"] = "org"
	n := startReady(t, t.TempDir(), set)
	as(n, nobodys).must(t, 401, "GET", namespaces, "")
	as(n, north).must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	if list := read[management.AuditList](t, n, "/management/v1/audit?tenant=north&event=outcome"); len(list.Records) != 1 {
		t.Errorf("of tenant north: %+v", list.Records)
	}
}
