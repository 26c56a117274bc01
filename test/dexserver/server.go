// Package dexserver runs Dex, a real OpenID Connect provider, for tests: on a free port
// of the loopback interface, in memory alone. It gives tokens to people, with the groups
// that they are in, and changes the key that it signs them with while it runs.
package dexserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/process"
)

// Version of the module that the server is in, which is that of Dex 2.45.1;
// test/tools/dex.sh installs it.
const Version = "v0.0.0-20260303133905-11d2eeb52b42"

// What the server knows from the start.
const (
	// Audience is the client that asks for tokens, and whom they are for.
	Audience = "lake"
	// Person is who logs in, and Group what its tokens say that it is in.
	Person = "nansen@lake.example"
	Group  = "crew"

	secret   = "lake-secret"
	password = "fram"
	// hash is the password's, with bcrypt.
	hash = "$2b$10$hFmQzyFe771WikVGiQ5vy.6U/O6vWcebQ.eKm.EF5SsmDeGc3wPSe"

	// keyLifetime is how long the server signs with a key; it looks twice a minute whether
	// that is over. What it has signed stays good to its end, in an hour.
	keyLifetime = "1s"
)

// Server is a running provider. Restarted, it has forgotten all keys.
type Server struct {
	*process.Service
	// Issuer is its name.
	Issuer string
}

// Start runs a provider until the test ends. Where the program is not installed the
// test is skipped, or fails if FLOEBERG_TOOLS_REQUIRED is set.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := process.Tool(t, "dex.sh", "dex-"+Version, "dex")
	file := filepath.Join(t.TempDir(), "dex.json")
	s := &Server{}
	s.Service = process.Serve(t, "Dex", func(port int) *exec.Cmd {
		s.Issuer = fmt.Sprintf("http://127.0.0.1:%d/dex", port)
		if err := os.WriteFile(file, config(s.Issuer, port), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(binary, "serve", file)
	}, func(port int) (string, int) {
		return fmt.Sprintf("http://127.0.0.1:%d/dex/.well-known/openid-configuration", port), http.StatusOK
	})
	return s
}

// config is the server's file; JSON is YAML.
func config(issuer string, port int) []byte {
	type object = map[string]any
	raw, err := json.Marshal(object{
		"issuer":           issuer,
		"storage":          object{"type": "memory"},
		"web":              object{"http": fmt.Sprintf("127.0.0.1:%d", port)},
		"expiry":           object{"idTokens": "1h", "signingKeys": keyLifetime},
		"oauth2":           object{"grantTypes": []string{"password"}, "passwordConnector": "local"},
		"staticClients":    []object{{"id": Audience, "name": "The lake", "secret": secret}},
		"enablePasswordDB": true,
		"staticPasswords":  []object{{"email": Person, "hash": hash, "username": "nansen", "userID": "1861", "groups": []string{Group}}},
	})
	if err != nil {
		panic(err) // texts and lists of them
	}
	return raw
}

// rotationPatience is long enough for two looks at whether a key's time is over.
const rotationPatience = 70 * time.Second

// AwaitAnotherKey waits until the server signs with another key than it did, and returns a
// token that is signed with that.
func (s *Server) AwaitAnotherKey(t testing.TB, signed string) string {
	t.Helper()
	before := keyOf(t, signed)
	for deadline := time.Now().Add(rotationPatience); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		if next := s.Login(t); keyOf(t, next) != before {
			return next
		}
	}
	t.Fatalf("Dex still signs with the same key after %s", rotationPatience)
	return ""
}

// keyOf is the key that a token says that it was signed with.
func keyOf(t testing.TB, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var says struct {
		Key string `json:"kid"`
	}
	if err := json.Unmarshal(raw, &says); err != nil || says.Key == "" {
		t.Fatalf("the token names no key: %s", raw)
	}
	return says.Key
}

// Login is a token of Person.
func (s *Server) Login(t testing.TB) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {Person}, "password": {password}, "scope": {"openid email groups"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(Audience, secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(said, &body); err != nil || res.StatusCode != http.StatusOK || body.Token == "" {
		t.Fatalf("Dex gives no token: %s %s", res.Status, said)
	}
	return body.Token
}
