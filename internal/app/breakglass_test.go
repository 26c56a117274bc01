package app_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/authz/authn"
)

const policiesPath = "/management/v1/policies"

// given asks for a token for the node's key.
func (n *node) given(t *testing.T) string {
	t.Helper()
	res, err := n.client.PostForm(n.URL()+"/v1/oauth/tokens", url.Values{"grant_type": {"client_credentials"}, "client_secret": {n.key}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != http.StatusOK || body.Token == "" {
		t.Fatalf("%s %v", res.Status, err)
	}
	return body.Token
}

// Whoever holds the key that the cluster was founded with mends policies that allow
// nothing, and reads no data by that; a token for the key is the key. Nobody else is
// who it is by having its name or its id: no other key, no certificate, and nobody of
// whom an identity provider says so.
func TestWhoBreaksTheGlass(t *testing.T) {
	t.Parallel()
	ca, files := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(files, name) }
	ca.issue(t, at("cert"), at("key"), "server")
	write(t, at("ca"), ca.pem)
	provider := newIssuer(t, ca)
	founder := authn.KeyID(adminKey)
	n := start(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "tls-cert": at("cert"), "tls-key": at("key"), "tls-client-ca": at("ca"),
		"tls-client-name": "cn", "tls-client-groups": "bootstrap=admin," + founder + "=admin",
		"oidc-issuer": provider.URL, "oidc-audience": "lake", "oidc-ca": at("ca"), "oidc-groups-map": "admins=admin",
	})
	shown := 0
	as := func(name, credential string) *node {
		shown++
		cert, key := at("cert"+string(rune('a'+shown))), at("key"+string(rune('a'+shown)))
		ca.issue(t, cert, key, name)
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &node{App: n.App, key: credential, client: withTLS(&tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})}
	}
	root := as("anybody", adminKey)
	root.awaitReady(t)
	root.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(root.must(t, 200, "POST", keysPath, `{"name":"bootstrap","groups":["admin"]}`)), &made); err != nil {
		t.Fatal(err)
	}
	others := map[string]*node{
		"a key of its name":           as("anybody", made.Key),
		"a token for that":            as("anybody", as("anybody", made.Key).given(t)),
		"a certificate of its name":   as("bootstrap", ""),
		"a certificate of its id":     as(founder, ""),
		"a subject of its name":       as("anybody", provider.token(t, "lake", "bootstrap", "admins")),
		"a subject of its id":         as("anybody", provider.token(t, "lake", founder, "admins")),
		"a subject in its own group":  as("anybody", provider.token(t, "lake", founder, "admins", founder, "bootstrap")),
		"one that is called as it is": as("anybody", provider.token(t, "lake", "cert:cn:bootstrap", "admins")),
	}
	for what, other := range others {
		if code, answer := other.try(t, "GET", policiesPath, ""); code != 200 {
			t.Errorf("%s is no admin: %d %s", what, code, answer)
		}
	}
	token := as("anybody", root.given(t))
	token.must(t, 200, "PUT", policiesPath, `{"text":"forbid (principal, action, resource);"}`)
	for what, founders := range map[string]*node{"the key": root, "a token for it": token, "a token from then on": as("anybody", root.given(t))} {
		if code, answer := founders.try(t, "GET", policiesPath, ""); code != 200 {
			t.Errorf("%s does not see the policies: %d %s", what, code, answer)
		}
		for path, want := range map[string]int{namespaces: 404, namespaces + "/a": 404, keysPath: 403, "/management/v1/audit": 403, "/management/v1/cluster": 403} {
			if code, answer := founders.try(t, "GET", path, ""); code != want {
				t.Errorf("%s, %s: %d %s", what, path, code, answer)
			}
		}
	}
	for what, other := range others {
		for method, body := range map[string]string{"GET": "", "PUT": `{"text":"permit (principal, action, resource);","force":true}`} {
			if code, answer := other.try(t, method, policiesPath, body); code != 403 {
				t.Errorf("%s, %s: %d %s", what, method, code, answer)
			}
		}
	}
	token.must(t, 200, "POST", policiesPath+"/rollback", `{"version":0}`)
	if got := root.must(t, 200, "GET", namespaces, ""); !strings.Contains(got, `"a"`) {
		t.Error(got)
	}
}
