package rest_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/ops/audit"
)

const tokensPath = "/v1/oauth/tokens"

const (
	grantCredentials = "client_credentials"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
)

// desk is nodes that give tokens, and a clock of theirs that a test can put forward.
type desk struct {
	*site
	ahead atomic.Int64 // milliseconds
	mu    sync.Mutex
	why   map[string]int
	noted []audit.Record // failures
	given []audit.Record // tokens
}

// Note implements rest.TokenLog.
func (d *desk) Note(r audit.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.given = append(d.given, r)
}

// NoteFailure implements rest.TokenLog.
func (d *desk) NoteFailure(r audit.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noted = append(d.noted, r)
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{site: newSite(t), why: map[string]int{}}
	d.put(state.ClusterKey(), encode(t, &state.Cluster{Id: "c1"}))
	return d
}

func (d *desk) nowMs() uint64 { return d.Log.NowMs() + uint64(d.ahead.Load()) }

// node is one more node.
func (d *desk) node(id string) http.Handler {
	d.t.Helper()
	view := func(context.Context) (*state.View, error) { return d.Log.State() }
	keys, err := authn.NewKeys(authn.Options{Local: view, Proven: view, Current: view, NowMs: d.nowMs})
	if err != nil {
		d.t.Fatal(err)
	}
	cat := d.Catalog()
	issuer, err := authn.NewIssuer(authn.IssuerOptions{
		Node: id, ClusterID: func() string { return "c1" }, Local: view, NowMs: d.nowMs, Lifetime: time.Hour,
		Publish: func(ctx context.Context, id string, rec *state.SigningKey) error {
			return identity.PublishSigningKey(ctx, cat, id, rec)
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	grants, err := identity.NewGrants(keys, issuer)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.site.node(id, func(o *nodeOptions) {
		o.Authenticator = keys
		o.Open = rest.Open(rest.OpenOptions{Tokens: grants, Audit: d, AuthFailed: func(reason string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.why[reason]++
		}})
	})
}

// form asks for a token; values are names and values.
func form(h http.Handler, adjust func(*http.Request), values ...string) *httptest.ResponseRecorder {
	body := url.Values{}
	for i := 0; i < len(values); i += 2 {
		body.Add(values[i], values[i+1])
	}
	r := httptest.NewRequest("POST", tokensPath, strings.NewReader(body.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if adjust != nil {
		adjust(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(id, secret) }
}

func tokenOf(t *testing.T, w *httptest.ResponseRecorder) wire.OAuthToken {
	t.Helper()
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	got := decode[wire.OAuthToken](t, w)
	if got.TokenType != "bearer" || strings.Count(got.AccessToken, ".") != 2 {
		t.Fatalf("got %+v", got)
	}
	return got
}

// loads uses a key or a token on a node.
func loads(h http.Handler, token string) int {
	r := httptest.NewRequest("GET", "/v1/default/namespaces", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// What Iceberg's clients send: id and secret in the form or in the header, or the
// secret alone; then their own token, with or without what they began with.
func TestTokensAsClientsAskForThem(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	here, there := d.node("n1"), d.node("n2")
	id, key := "id-reader", keyOf("reader")
	for name, w := range map[string]*httptest.ResponseRecorder{
		"form":   form(here, nil, "grant_type", grantCredentials, "client_id", id, "client_secret", key, "scope", "catalog"),
		"header": form(here, basic(id, key), "grant_type", grantCredentials, "scope", "PRINCIPAL_ROLE:ALL"),
		"both":   form(here, basic(id, key), "grant_type", grantCredentials, "client_id", id, "client_secret", key),
		"secret": form(here, nil, "grant_type", grantCredentials, "client_secret", key),
	} {
		got := tokenOf(t, w)
		if got.ExpiresIn < 3590 || got.ExpiresIn > 3600 || got.IssuedTokenType != "" {
			t.Errorf("%s: %+v", name, got)
		}
		if a, b := loads(here, got.AccessToken), loads(there, got.AccessToken); a != 200 || b != 200 {
			t.Errorf("%s: %d where it was made, and %d on another node", name, a, b)
		}
	}
	token := tokenOf(t, form(here, nil, "grant_type", grantCredentials, "client_id", id, "client_secret", key)).AccessToken
	exchange := []string{"grant_type", grantExchange, "subject_token_type", typeAccessToken, "scope", "catalog", "subject_token"}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"with itself":      form(there, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, append(exchange, token)...),
		"alone":            form(there, nil, append(exchange, token)...),
		"with credentials": form(there, basic(id, key), append(exchange, token)...),
		// As a client does that was given a key as its token, after an hour.
		"a key": form(there, nil, append(exchange, key)...),
	} {
		got := tokenOf(t, w)
		if got.IssuedTokenType != typeAccessToken || got.AccessToken == token || loads(here, got.AccessToken) != 200 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// It is whom the key is, and has what the key has at the moment.
	writes := func() int {
		r := httptest.NewRequest("POST", "/v1/default/namespaces", strings.NewReader(`{"namespace":["of_a_token"]}`))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		here.ServeHTTP(w, r)
		return w.Code
	}
	if got := writes(); got != 403 {
		t.Errorf("a reader's token writes: %d", got)
	}
	d.giveKey("reader", "writer")
	if got := writes(); got != 200 {
		t.Errorf("a writer's token: %d", got)
	}
	// Later it is too old, but for a client that proves itself as well.
	d.ahead.Store(int64(time.Hour/time.Millisecond) + 1000)
	if got := loads(here, token); got != 401 {
		t.Errorf("after its time: %d", got)
	}
	if w := form(there, nil, append(exchange, token)...); w.Code != 400 || decode[wire.OAuthError](t, w).Error != "invalid_grant" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := tokenOf(t, form(there, basic(id, key), append(exchange, token)...)); loads(here, got.AccessToken) != 200 {
		t.Error("the new one is not honoured")
	}
}

// Whom a token is given is on record, and what for; never the token.
func TestTokensThatAreGivenAreOnRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	node := d.node("n1")
	first := form(node, basic("id-reader", keyOf("reader")), "grant_type", grantCredentials)
	second := form(node, nil, "grant_type", grantExchange, "subject_token_type", typeAccessToken, "subject_token", tokenOf(t, first).AccessToken)
	tokenOf(t, second)
	if w := form(node, basic("id-reader", "wrong"), "grant_type", grantCredentials); w.Code != 401 {
		t.Errorf("a wrong key: %d", w.Code)
	}
	record := func(w *httptest.ResponseRecorder, grant string) audit.Record {
		return audit.Record{
			Event: audit.Credentials, Decision: audit.Allow, RequestID: w.Header().Get("X-Request-Id"), Source: "192.0.2.1", Principal: "id-reader", Reason: grant,
		}
	}
	if diff := cmp.Diff([]audit.Record{record(first, "client_credentials"), record(second, "token_exchange")}, d.given); diff != "" {
		t.Error(diff)
	}
}

func TestATokenEndsWithItsKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	here, there := d.node("n1"), d.node("n2")
	ask := func(name string) wire.OAuthToken {
		return tokenOf(t, form(here, nil, "grant_type", grantCredentials, "client_secret", keyOf(name)))
	}
	d.giveKey("gone", "reader")
	token := ask("gone").AccessToken
	if got := loads(there, token); got != 200 {
		t.Fatal(got)
	}
	d.revokeKey("gone")
	for name, h := range map[string]http.Handler{"here": here, "there": there} {
		if got := loads(h, token); got != 401 {
			t.Errorf("%s: the token of a revoked key: %d", name, got)
		}
	}
	if w := form(there, nil, "grant_type", grantExchange, "subject_token_type", typeAccessToken, "subject_token", token); w.Code != 400 {
		t.Errorf("a revoked key's token is exchanged: %d", w.Code)
	}
	// It lives no longer than its key would.
	rec := &state.APIKey{Id: "id-short", Groups: []string{"reader"}, ExpiresMs: d.nowMs() + 90_000}
	d.put(state.APIKeyKey(authn.HashKey(keyOf("short"))), encode(t, rec))
	d.put(state.KeyIDKey("id-short"), encode(t, &state.KeyEntry{Hash: authn.HashKey(keyOf("short"))}))
	short := ask("short")
	if short.ExpiresIn < 80 || short.ExpiresIn > 90 {
		t.Errorf("got %+v", short)
	}
	// Nor longer than the node belongs to the cluster that signed it.
	token = ask("writer").AccessToken
	d.put(state.MemberKey("n1"), encode(t, &state.Member{RemovedMs: d.nowMs() + 1}))
	if got := loads(there, token); got != 401 {
		t.Errorf("signed by a node that was removed: %d", got)
	}
}

// Nobody can make a token: not of parts of others, not with a key of its own.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := d.node("n1")
	token := tokenOf(t, form(h, nil, "grant_type", grantCredentials, "client_secret", keyOf("reader"))).AccessToken
	parts := strings.Split(token, ".")
	decoded := func(i int) map[string]any {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatal(err)
		}
		for k, v := range out {
			if n, ok := v.(float64); ok {
				out[k] = int64(n) // as it was written
			}
		}
		return out
	}
	encoded := func(v map[string]any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	head, said := decoded(0), decoded(1)
	signer := head["kid"].(string)
	admin := map[string]any{}
	for k, v := range said {
		admin[k] = v
	}
	admin["sub"], admin["key_id"] = "id-admin", "id-admin"
	sign := func(key any, alg jose.SignatureAlgorithm, kid string, c map[string]any) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(s).Claims(c).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	_, own, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	view, err := d.Log.State()
	if err != nil {
		t.Fatal(err)
	}
	rec, _, ok, err := view.SigningKey(signer)
	view.Close()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	// As a member of the state would find, with a secret that somebody knows.
	d.put(state.SigningKeyKey("known"), encode(t, &state.SigningKey{PublicKey: own.Public().(ed25519.PublicKey), Node: "n9", CreatedMs: d.nowMs()}))
	with := func(key string, value any) map[string]any {
		out := map[string]any{}
		for k, v := range said {
			out[k] = v
		}
		out[key] = value
		return out
	}
	if got := loads(h, sign(own, jose.EdDSA, "known", said)); got != 200 {
		t.Fatalf("what the forged ones differ from is refused itself: %d", got)
	}
	for name, forged := range map[string]string{
		"other claims":        parts[0] + "." + encoded(admin) + "." + parts[2],
		"no signature":        parts[0] + "." + parts[1] + ".",
		"algorithm none":      encoded(map[string]any{"alg": "none", "kid": signer}) + "." + encoded(admin) + ".",
		"another key":         sign(own, jose.EdDSA, signer, admin),
		"a key of nobody":     sign(own, jose.EdDSA, "unknown", admin),
		"the public key":      sign(rec.PublicKey, jose.HS256, signer, admin),
		"another cluster":     sign(own, jose.EdDSA, "known", with("iss", "floeberg:c2")),
		"no issuer":           sign(own, jose.EdDSA, "known", with("iss", "")),
		"no end":              sign(own, jose.EdDSA, "known", with("exp", nil)),
		"another's principal": sign(own, jose.EdDSA, "known", with("sub", "id-admin")),
		"a key that is none":  sign(own, jose.EdDSA, "known", with("key_id", "id-nobody")),
		"junk":                "eyJ.eyJ.x",
		"too long":            token + strings.Repeat("A", 2048),
	} {
		if got := loads(h, forged); got != 401 {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := d.node("n1")
	credentials := func(id, secret string) []string {
		return []string{"grant_type", grantCredentials, "client_id", id, "client_secret", secret}
	}
	theirs := tokenOf(t, form(h, nil, credentials("id-writer", keyOf("writer"))...)).AccessToken
	exchange := func(values ...string) []string {
		return append([]string{"grant_type", grantExchange, "subject_token_type", typeAccessToken}, values...)
	}
	want401 := ""
	for name, w := range map[string]*httptest.ResponseRecorder{
		"unknown key":    form(h, nil, credentials("id-reader", "fb_unknown_0123456789")...),
		"another's id":   form(h, nil, credentials("id-admin", keyOf("reader"))...),
		"in the header":  form(h, basic("id-reader", "fb_unknown_0123456789"), "grant_type", grantCredentials),
		"a token":        form(h, nil, credentials("id-writer", theirs)...),
		"in an exchange": form(h, basic("id-reader", "wrong"), exchange("subject_token", theirs)...),
	} {
		if want401 == "" {
			want401 = w.Body.String()
		}
		if w.Code != 401 || w.Body.String() != want401 || w.Header().Get("WWW-Authenticate") != `Basic realm="floeberg"` ||
			w.Header().Get("Cache-Control") != "no-store" || decode[wire.OAuthError](t, w).Error != "invalid_client" {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	if diff := cmp.Diff(map[string]int{"unknown": 4, "malformed": 1}, d.why); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct {
		w    *httptest.ResponseRecorder
		want string
	}{
		"no grant":              {form(h, nil, "client_secret", keyOf("reader")), "invalid_request"},
		"another grant":         {form(h, nil, "grant_type", "password"), "unsupported_grant_type"},
		"no secret":             {form(h, nil, "grant_type", grantCredentials, "client_id", "id-reader"), "invalid_request"},
		"two secrets":           {form(h, nil, append(credentials("id-reader", keyOf("reader")), "client_secret", "x")...), "invalid_request"},
		"two clients":           {form(h, basic("id-reader", keyOf("reader")), credentials("id-writer", keyOf("writer"))...), "invalid_request"},
		"no subject":            {form(h, nil, exchange()...), "invalid_request"},
		"a subject of no type":  {form(h, nil, "grant_type", grantExchange, "subject_token", theirs), "invalid_request"},
		"for somebody else":     {form(h, nil, exchange("subject_token", theirs, "actor_token", theirs)...), "invalid_request"},
		"another's token":       {form(h, basic("id-reader", keyOf("reader")), exchange("subject_token", theirs)...), "invalid_grant"},
		"what is no token":      {form(h, nil, exchange("subject_token", "nothing")...), "invalid_grant"},
		"no token and a client": {form(h, basic("id-reader", keyOf("reader")), exchange("subject_token", "nothing")...), "invalid_grant"},
		"no form": {form(h, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
			credentials("id-reader", keyOf("reader"))...), "invalid_request"},
		"too long a form": {form(h, nil, append(credentials("id-reader", keyOf("reader")), "scope", strings.Repeat("x", 70_000))...), "invalid_request"},
	} {
		if tc.w.Code != 400 || decode[wire.OAuthError](t, tc.w).Error != tc.want || tc.w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, tc.w.Code, tc.w.Body)
		}
	}
}

// Whatever is presented in vain is on record, as it is elsewhere: from where, and why,
// and nothing of what it was. What is no attempt to prove anything is not.
func TestRefusedTokensAreOnRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := d.node("n1")
	token := func(name string) string {
		return tokenOf(t, form(h, nil, "grant_type", grantCredentials, "client_secret", keyOf(name))).AccessToken
	}
	exchange := func(subject string) []string {
		return []string{"grant_type", grantExchange, "subject_token_type", typeAccessToken, "subject_token", subject}
	}
	d.giveKey("gone", "reader")
	ofGone, ofWriter := token("gone"), token("writer")
	d.revokeKey("gone")
	const planted = "fb_PLANTED_0123456789"
	parts := strings.Split(ofWriter, ".")
	// As Java's client does with any token that has an end.
	const ofAProvider = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJzdWIiOiJhIn0.AAAA"
	for _, tc := range []struct {
		adjust func(*http.Request)
		values []string
		want   string // "" is not on record
	}{
		{nil, []string{"grant_type", grantCredentials, "client_id", planted, "client_secret", planted}, "unknown"},
		{basic("id-admin", keyOf("reader")), []string{"grant_type", grantCredentials}, "unknown"},
		{nil, []string{"grant_type", grantCredentials, "client_secret", ofWriter}, "malformed"},
		{nil, exchange(planted), "unknown"},
		{nil, exchange(ofGone), "unknown"},
		{nil, exchange(parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))), "bad_token"},
		{basic("id-reader", keyOf("reader")), exchange(ofWriter), "others_token"},
		{nil, exchange(ofAProvider), "foreign_token"},
		{basic("id-reader", keyOf("reader")), exchange(ofAProvider), "foreign_token"},
		{nil, []string{"grant_type", grantCredentials}, ""},
		{nil, []string{"grant_type", "password", "client_secret", planted}, ""},
		{nil, []string{"grant_type", grantCredentials, "client_secret", keyOf("reader")}, ""},
	} {
		d.noted = nil
		w := form(h, tc.adjust, tc.values...)
		if told := strings.Contains(w.Body.String(), "identity provider"); told != (tc.want == "foreign_token") {
			t.Errorf("%s: %s", tc.want, w.Body)
		}
		var want []audit.Record
		if tc.want != "" {
			want = []audit.Record{{RequestID: w.Header().Get("X-Request-Id"), Source: "192.0.2.1", Reason: tc.want}}
		}
		if diff := cmp.Diff(want, d.noted); diff != "" || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%d %s: wanted (-) and on record (+):\n%s", w.Code, w.Body, diff)
		}
	}
}

// Where a backup took the state's place, what signatures were checked with is gone
// with it: the node that signs sees that.
func TestWhatSignaturesAreCheckedWithComesBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := d.node("n1")
	ask := func() string {
		return tokenOf(t, form(h, nil, "grant_type", grantCredentials, "client_secret", keyOf("reader"))).AccessToken
	}
	first := ask()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(first, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var head struct{ Kid string }
	if err := json.Unmarshal(raw, &head); err != nil || head.Kid == "" {
		t.Fatal(err)
	}
	d.Log.Delete(t, state.SigningKeyKey(head.Kid))
	if got := loads(h, first); got != 401 {
		t.Errorf("a token that nothing vouches for: %d", got)
	}
	if second := ask(); loads(h, second) != 200 || loads(h, first) != 200 {
		t.Error("the node's signatures are not known again")
	}
	// In time it signs with another one, and what it signed before is good to its end.
	d.ahead.Store(int64(24*time.Hour/time.Millisecond) - 1800_000)
	late := ask()
	d.ahead.Store(int64(24*time.Hour/time.Millisecond) + 1000)
	next := ask()
	if strings.Split(late, ".")[0] == strings.Split(next, ".")[0] {
		t.Error("a node signs with the same key after a day")
	}
	for name, token := range map[string]string{"the last of the old": late, "the new": next} {
		if got := loads(h, token); got != 200 {
			t.Errorf("%s: %d", name, got)
		}
	}
}
