package oidc_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/authn/oidc"
)

func TestEveryAlgorithmThatIsTaken(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	signers := []signer{rsaKey(t, "r", 2048), ecdsaKey(t, "e"), edKey(t, "d")}
	p.publish(signers...)
	tokens := p.tokens(t, c)
	for _, s := range signers {
		got, err := ask(tokens, s.sign(t, p.claims(c, map[string]any{"preferred_username": "Fridtjof", "groups": []string{"explorers"}})))
		if err != nil {
			t.Errorf("%s: %v", s.algorithm, err)
		}
		want := authz.Principal{Proof: authz.ProofOIDC, Type: authz.TypeUser, ID: "oidc:" + p.URL + "#nansen", Name: "Fridtjof", Groups: []string{"explorers"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	// Without the name of a key each of a kind is tried.
	for _, s := range signers {
		s.id = ""
		if _, err := ask(tokens, s.sign(t, p.claims(c, nil))); err != nil {
			t.Errorf("%s without kid: %v", s.algorithm, err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked for keys %d times", n)
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := ecdsaKey(t, "k")
	p.publish(key)
	tokens := p.tokens(t, c)
	at := func(d time.Duration) int64 { return c.time().Add(d).Unix() }
	for name, tc := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"good":                             {nil, ""},
		"one of several audiences":         {map[string]any{"aud": []string{"other", audience}}, ""},
		"no audience":                      {map[string]any{"aud": nil}, "token_audience"},
		"an empty list of audiences":       {map[string]any{"aud": []string{}}, "token_audience"},
		"another audience":                 {map[string]any{"aud": "floeberg2"}, "token_audience"},
		"an audience in other letters":     {map[string]any{"aud": "Floeberg"}, "token_audience"},
		"another issuer":                   {map[string]any{"iss": "https://evil.example"}, "token_issuer"},
		"no issuer":                        {map[string]any{"iss": nil}, "token_issuer"},
		"an issuer with a slash":           {map[string]any{"iss": p.URL + "/"}, "token_issuer"},
		"an issuer of another type":        {map[string]any{"iss": 1}, "token_malformed"},
		"no subject":                       {map[string]any{"sub": nil}, "token_claims"},
		"an empty subject":                 {map[string]any{"sub": ""}, "token_claims"},
		"a subject that is too long":       {map[string]any{"sub": strings.Repeat("x", 256)}, "token_claims"},
		"a subject that turns around":      {map[string]any{"sub": "a\u202eb"}, "token_claims"},
		"a subject that separates":         {map[string]any{"sub": "a\u001fb"}, "token_claims"},
		"a subject of no width":            {map[string]any{"sub": "a\u200bb"}, "token_claims"},
		"no end":                           {map[string]any{"exp": nil}, "token_time"},
		"an end that is null":              {map[string]any{"exp": json.RawMessage("null")}, "token_signature"},
		"an end that is text":              {map[string]any{"exp": "tomorrow"}, "token_signature"},
		"an end beyond time":               {map[string]any{"exp": 1e300}, "token_time"},
		"over":                             {map[string]any{"exp": at(-31 * time.Second)}, "token_time"},
		"over by what clocks differ":       {map[string]any{"exp": at(-29 * time.Second)}, ""},
		"not yet":                          {map[string]any{"nbf": at(31 * time.Second)}, "token_time"},
		"not yet by what clocks differ":    {map[string]any{"nbf": at(29 * time.Second)}, ""},
		"made in the future":               {map[string]any{"iat": at(5 * time.Minute)}, "token_time"},
		"fractions of a second":            {map[string]any{"exp": float64(at(time.Hour)) + 0.5}, ""},
		"groups of another type":           {map[string]any{"groups": map[string]any{"a": 1}}, "token_claims"},
		"groups that are none":             {map[string]any{"groups": json.RawMessage("null")}, ""},
		"a group of another type":          {map[string]any{"groups": []any{"a", 1}}, "token_claims"},
		"a group that separates":           {map[string]any{"groups": []string{"a\u001fadmin"}}, "token_claims"},
		"more groups than anybody belongs": {map[string]any{"groups": strings.Split(strings.Repeat("g,", 600), ",")}, "token_claims"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ask(tokens, key.sign(t, p.claims(c, tc.claims)))
			if got := word(t, err); got != tc.want {
				t.Errorf("%q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

// TestHostileTokens holds what a token can be that nobody of those who may has signed.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	rsa2048, elliptic, stranger := rsaKey(t, "r", 2048), ecdsaKey(t, "e"), ecdsaKey(t, "e")
	weak, encrypting := rsaKey(t, "weak", 1024), ecdsaKey(t, "enc")
	p.publish(rsa2048, elliptic)
	p.set(func() { p.keys = append(p.keys, weak.public("sig"), encrypting.public("enc")) })
	var visited atomic.Int32
	lair := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visited.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{stranger.public("sig")}})
	}))
	t.Cleanup(lair.Close)
	tokens := p.tokens(t, c)
	good := elliptic.sign(t, p.claims(c, nil))
	if _, err := ask(tokens, good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	text := base64.RawURLEncoding.EncodeToString
	public := rsa2048.public("sig")
	pem, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	admin := p.claims(c, map[string]any{"sub": "admin"})
	adminJSON, err := json.Marshal(admin)
	if err != nil {
		t.Fatal(err)
	}
	own := stranger.public("sig")
	for name, token := range map[string]string{
		"no signature at all":        text([]byte(`{"alg":"none"}`)) + "." + text(adminJSON) + ".",
		"none in other letters":      text([]byte(`{"alg":"nOnE"}`)) + "." + text(adminJSON) + "." + parts[2],
		"no algorithm":               text([]byte(`{}`)) + "." + text(adminJSON) + "." + parts[2],
		"a public key as secret":     sign(t, jose.HS256, pem, "r", admin, nil),
		"other claims":               parts[0] + "." + text(adminJSON) + "." + parts[2],
		"another head":               text([]byte(`{"alg":"ES256","kid":"e","x":1}`)) + "." + parts[1] + "." + parts[2],
		"a signature cut short":      good[:len(good)-4],
		"no signature":               parts[0] + "." + parts[1] + ".",
		"another's signature":        sign(t, jose.ES256, stranger.key, "e", admin, nil),
		"one who names no key":       sign(t, jose.ES256, stranger.key, "", admin, nil),
		"a key that nobody has":      sign(t, jose.ES256, stranger.key, "x", admin, nil),
		"its own key inside":         sign(t, jose.ES256, stranger.key, "", admin, map[string]any{"jwk": own}),
		"a place for its key":        sign(t, jose.ES256, stranger.key, "", admin, map[string]any{"jku": lair.URL}),
		"a place for a certificate":  sign(t, jose.ES256, stranger.key, "", admin, map[string]any{"x5u": lair.URL}),
		"a key that is too weak":     sign(t, jose.RS256, weak.key, "weak", admin, nil),
		"a key to encrypt with":      sign(t, jose.ES256, encrypting.key, "enc", admin, nil),
		"another's algorithm":        sign(t, jose.PS256, rsa2048.key, "r", admin, nil),
		"a longer hash":              sign(t, jose.RS512, rsa2048.key, "r", admin, nil),
		"a key of another algorithm": sign(t, jose.ES256, elliptic.key, "r", admin, nil),
		"one more part":              good + "." + parts[2],
		"two parts":                  parts[0] + "." + parts[1],
		"nothing":                    "..",
		"no base64":                  "eyJ!." + parts[1] + "." + parts[2],
		"padding":                    parts[0] + "=." + parts[1] + "." + parts[2],
		"no JSON":                    parts[0] + "." + text([]byte("hello")) + "." + parts[2],
		"a list":                     sign(t, jose.ES256, elliptic.key, "e", []byte(`[1]`), nil),
		"too much":                   elliptic.sign(t, p.claims(c, map[string]any{"x": strings.Repeat("x", 20<<10)})),
		"what it does not know of":   sign(t, jose.ES256, elliptic.key, "e", admin, map[string]any{"crit": []string{"x"}, "x": 1}),
	} {
		got, err := ask(tokens, token)
		if word(t, err) == "" || got.ID != "" {
			t.Errorf("%s is %+v", name, got)
		}
		if strings.Contains(name, "nobody") && word(t, err) != "token_signature" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if visited.Load() != 0 {
		t.Error("a token chose where keys are fetched")
	}
	if _, err := ask(tokens, good); err != nil {
		t.Errorf("a good one, after all that: %v", err)
	}
}

func TestHowClaimsBecomeAPrincipal(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := ecdsaKey(t, "k")
	p.publish(key)
	for name, tc := range map[string]struct {
		mapping oidc.Mapping
		claims  map[string]any
		tenant  string
		groups  []string
		refused bool
	}{
		"groups that have rights from the start are not given away": {
			oidc.Mapping{Groups: "groups"}, map[string]any{"groups": []string{"admin", "writer", "reader", "auditor", "explorers"}}, "", []string{"explorers"}, false},
		"but by who says so": {
			oidc.Mapping{Groups: "groups", Names: map[string][]string{"lake-admins": {"admin"}, "admin": {"reader"}}},
			map[string]any{"groups": []string{"lake-admins", "admin"}}, "", []string{"lake-admins", "admin", "reader"}, false},
		"a single principal": {
			oidc.Mapping{Names: map[string][]string{"oidc:" + p.URL + "#nansen": {"reader"}, "oidc:https://id.example#nansen": {"admin"}, "nansen": {"admin"}}}, nil, "", []string{"reader"}, false},
		"a group that is called as a principal": {
			oidc.Mapping{Groups: "groups", Names: map[string][]string{"oidc:" + p.URL + "#amundsen": {"admin"}}},
			map[string]any{"groups": []string{"oidc:" + p.URL + "#amundsen"}}, "", []string{"oidc:" + p.URL + "#amundsen"}, false},
		"each once":                       {oidc.Mapping{Groups: "groups"}, map[string]any{"groups": []string{"a", "a", "b"}}, "", []string{"a", "b"}, false},
		"a single one":                    {oidc.Mapping{Groups: "role"}, map[string]any{"role": "a"}, "", []string{"a"}, false},
		"inside of others":                {oidc.Mapping{Groups: "realm_access.roles"}, map[string]any{"realm_access": map[string]any{"roles": []string{"a"}}}, "", []string{"a"}, false},
		"a name with dots":                {oidc.Mapping{Groups: "https://x.example/groups"}, map[string]any{"https://x.example/groups": []string{"a"}}, "", []string{"a"}, false},
		"no groups":                       {oidc.Mapping{Groups: "groups"}, nil, "", nil, false},
		"not looked at":                   {oidc.Mapping{}, map[string]any{"groups": []string{"a"}}, "", nil, false},
		"a tenant":                        {oidc.Mapping{Tenant: "org.id"}, map[string]any{"org": map[string]any{"id": "north"}}, "north", nil, false},
		"a tenant that is missing":        {oidc.Mapping{Tenant: "tenant"}, nil, "", nil, true},
		"a tenant that is empty":          {oidc.Mapping{Tenant: "tenant"}, map[string]any{"tenant": ""}, "", nil, true},
		"a tenant that is another's":      {oidc.Mapping{Tenant: "tenant"}, map[string]any{"tenant": "north\u001fsouth"}, "", nil, true},
		"a tenant that is not seen":       {oidc.Mapping{Tenant: "tenant"}, map[string]any{"tenant": "nor\u200bth"}, "", nil, true},
		"a tenant of another type":        {oidc.Mapping{Tenant: "tenant"}, map[string]any{"tenant": []string{"north"}}, "", nil, true},
		"a tenant that nobody looked for": {oidc.Mapping{}, map[string]any{"tenant": "north"}, "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens := p.tokens(t, c, func(o *oidc.Options) { o.Mapping = tc.mapping })
			got, err := ask(tokens, key.sign(t, p.claims(c, tc.claims)))
			if tc.refused {
				if word(t, err) != "token_claims" {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			want := authz.Principal{Proof: authz.ProofOIDC, Type: authz.TypeUser, ID: "oidc:" + p.URL + "#nansen", Name: "nansen", Tenant: tc.tenant, Groups: tc.groups}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func TestPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := ecdsaKey(t, "k")
	p.publish(key)
	asked := oidc.Mapping{Type: "ext.kind", Types: map[string]authz.PrincipalType{"app": authz.TypeService, "person": authz.TypeUser}}
	says := func(kind any) map[string]any { return map[string]any{"ext": map[string]any{"kind": kind}} }
	const account = "system:serviceaccount:lake:spark"
	for name, tc := range map[string]struct {
		mapping oidc.Mapping
		claims  map[string]any
		want    authz.PrincipalType // "" is refused
	}{
		"nobody asks":                 {oidc.Mapping{}, says("app"), authz.TypeUser},
		"nobody says":                 {asked, nil, authz.TypeUser},
		"null":                        {asked, says(nil), authz.TypeUser},
		"a program":                   {asked, says("app"), authz.TypeService},
		"a person":                    {asked, says("person"), authz.TypeUser},
		"our own word":                {asked, says("service"), authz.TypeService},
		"our own other word":          {asked, says("user"), authz.TypeUser},
		"a word that has no meaning":  {asked, says("robot"), ""},
		"a word in other letters":     {asked, says("App"), ""},
		"none":                        {asked, says(""), ""},
		"a list":                      {asked, says([]string{"app"}), ""},
		"an account of Kubernetes":    {asked, map[string]any{"sub": account}, authz.TypeService},
		"one that is said to be else": {asked, map[string]any{"sub": account, "ext": map[string]any{"kind": "person"}}, authz.TypeUser},
		"a name that ends like that":  {asked, map[string]any{"sub": "x" + account}, authz.TypeUser},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens := p.tokens(t, c, func(o *oidc.Options) { o.Mapping = tc.mapping })
			got, err := ask(tokens, key.sign(t, p.claims(c, tc.claims)))
			if tc.want == "" {
				if word(t, err) != "token_claims" {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Type != tc.want {
				t.Errorf("%+v, %v, want a %s", got, err, tc.want)
			}
		})
	}
}

// Whom the client trusts can be changed while it is in use, and holds for the next question.
func TestOtherAuthorities(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := ecdsaKey(t, "k")
	p.publish(key)
	trusted := x509.NewCertPool()
	trusted.AddCert(p.Certificate())
	client := oidc.NewClient(x509.NewCertPool())
	tokens := p.tokens(t, c, func(o *oidc.Options) { o.Client = client })
	token := key.sign(t, p.claims(c, map[string]any{"exp": c.time().Add(100 * time.Hour).Unix()}))
	if _, err := ask(tokens, token); word(t, err) != "unavailable" {
		t.Errorf("nobody vouches for the issuer: %v", err)
	}
	client.Trust(trusted)
	c.pass(10 * time.Second)
	if _, err := ask(tokens, token); err != nil {
		t.Error(err)
	}
	client.Trust(x509.NewCertPool())
	c.pass(24 * time.Hour)
	if _, err := ask(tokens, token); word(t, err) != "unavailable" {
		t.Errorf("nobody vouches for the issuer any more: %v", err)
	}
}

// A service account of Kubernetes proves itself by a token that its cluster signs.
func TestKubernetesServiceAccounts(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := rsaKey(t, "BLvQkO1ZAfCJ2FxxGtzyXxpEgpQD5eKLyOfRoHZd2Wk", 2048)
	p.publish(key)
	got, err := ask(p.tokens(t, c), sign(t, key.algorithm, key.key, key.id, map[string]any{
		"aud": []string{audience}, "exp": c.time().Add(time.Hour).Unix(), "iat": c.time().Unix(), "nbf": c.time().Unix(),
		"iss": p.URL, "jti": "b1cb6b4c-29a4-4a8d-9bd3-5dbb4bb3f6b9", "sub": "system:serviceaccount:lake:spark",
		"kubernetes.io": map[string]any{
			"namespace": "lake", "pod": map[string]any{"name": "driver", "uid": "1"},
			"serviceaccount": map[string]any{"name": "spark", "uid": "2"}, "warnafter": c.time().Add(time.Hour).Unix(),
		},
	}, nil))
	want := authz.Principal{Proof: authz.ProofOIDC, Type: authz.TypeService, ID: "oidc:" + p.URL + "#system:serviceaccount:lake:spark", Name: "system:serviceaccount:lake:spark"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func TestUnknownKeysAreFetchedOnceInAWhile(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	first, second := ecdsaKey(t, "1"), ecdsaKey(t, "2")
	p.publish(first)
	tokens := p.tokens(t, c)
	flood := func() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := ask(tokens, ecdsaKey(t, "nobody").sign(t, p.claims(c, nil))); word(t, err) != "token_signature" {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
	}
	fetches := func(want int32) {
		t.Helper()
		if n := p.asked.Load(); n != want {
			t.Errorf("asked for keys %d times, want %d", n, want)
		}
	}
	flood()
	flood()
	fetches(1)
	if _, err := ask(tokens, first.sign(t, p.claims(c, nil))); err != nil {
		t.Error(err)
	}
	// The provider has a new key, and signs with it at once.
	p.publish(first, second)
	c.pass(10 * time.Second)
	doubtful := authn.Credentials{Key: second.sign(t, p.claims(c, nil)), Doubtful: true}
	if _, err := tokens.Authenticate(t.Context(), doubtful); word(t, err) != "token_signature" {
		t.Errorf("a doubtful one: %v", err)
	}
	fetches(1)
	if _, err := ask(tokens, doubtful.Key); err != nil {
		t.Errorf("a new key: %v", err)
	}
	fetches(2)
	flood()
	fetches(2)
	c.pass(10 * time.Second)
	flood()
	fetches(3)
}

// A key that the provider took out is out, without anybody presenting another one.
func TestKeysThatAreTakenOut(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	first, second := ecdsaKey(t, "1"), ecdsaKey(t, "2")
	p.publish(first, second)
	tokens := p.tokens(t, c)
	old := first.sign(t, p.claims(c, map[string]any{"exp": c.time().Add(100 * time.Hour).Unix()}))
	if _, err := ask(tokens, old); err != nil {
		t.Fatal(err)
	}
	p.publish(second)
	c.pass(5 * time.Minute)
	await(t, "the key to be out", func() bool {
		_, err := ask(tokens, old)
		return word(t, err) == "token_signature"
	})
}

// While a provider is down, those whose keys are known get in, and for others it can't
// be told. When it is back, so are they.
func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	known, later := ecdsaKey(t, "1"), ecdsaKey(t, "2")
	p.publish(known, later)
	down := func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "down", http.StatusBadGateway)
		return true
	}
	p.set(func() { p.instead = down })
	tokens := p.tokens(t, c)
	token := known.sign(t, p.claims(c, map[string]any{"exp": c.time().Add(100 * time.Hour).Unix()}))
	for range 3 {
		if _, err := ask(tokens, token); word(t, err) != "unavailable" {
			t.Errorf("before it was ever asked: %v", err)
		}
	}
	p.set(func() { p.instead = nil })
	c.pass(10 * time.Second)
	if _, err := ask(tokens, token); err != nil {
		t.Fatalf("when it is back: %v", err)
	}
	p.set(func() { p.instead = down })
	c.pass(23 * time.Hour)
	if _, err := ask(tokens, token); err != nil {
		t.Errorf("a key that is known: %v", err)
	}
	if _, err := ask(tokens, ecdsaKey(t, "3").sign(t, p.claims(c, nil))); word(t, err) != "unavailable" {
		t.Errorf("one that is not: %v", err)
	}
	c.pass(time.Hour)
	if _, err := ask(tokens, token); word(t, err) != "unavailable" {
		t.Errorf("a key that was known a day ago: %v", err)
	}
}

func TestProvidersThatLead(t *testing.T) {
	t.Parallel()
	var visited atomic.Int32
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for name, lead := range map[string]func(p *provider){
		"to another issuer":         func(p *provider) { p.document = map[string]any{"issuer": "https://evil.example"} },
		"to an issuer with a slash": func(p *provider) { p.document = map[string]any{"issuer": p.URL + "/"} },
		"to no keys":                func(p *provider) { p.document = map[string]any{"jwks_uri": ""} },
		"into the clear":            func(p *provider) { p.document = map[string]any{"jwks_uri": "http://keys.example/"} },
		"to a file":                 func(p *provider) { p.document = map[string]any{"jwks_uri": "file:///etc/passwd"} },
		"to another host": func(p *provider) {
			p.instead = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
				return true
			}
		},
		"around": func(p *provider) {
			p.instead = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "/round", http.StatusFound)
				return true
			}
		},
		"without end": func(p *provider) { p.keysBody = []byte(`{"keys":[` + strings.Repeat(" ", 2<<20) + `]}`) },
		"to nonsense": func(p *provider) { p.keysBody = []byte(`<html>`) },
		"to nothing":  func(p *provider) { p.keysBody = []byte(`{"keys":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c := newProvider(t), newClock()
			key := ecdsaKey(t, "k")
			p.publish(key)
			p.set(func() { lead(p) })
			if got, err := ask(p.tokens(t, c), key.sign(t, p.claims(c, nil))); word(t, err) != "unavailable" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	t.Cleanup(func() {
		if visited.Load() != 0 {
			t.Error("another host was asked")
		}
	})
}

// A redirect on the same host, as providers make them for a slash, is followed.
func TestRedirectsOnOneHost(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := ecdsaKey(t, "k")
	p.publish(key)
	p.set(func() {
		p.document = map[string]any{"jwks_uri": p.URL + "/moved"}
		p.instead = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/moved" {
				return false
			}
			http.Redirect(w, r, "/keys", http.StatusMovedPermanently)
			return true
		}
	})
	if _, err := ask(p.tokens(t, c), key.sign(t, p.claims(c, nil))); err != nil {
		t.Error(err)
	}
}

// A key of a kind that nobody here knows does not hide the others.
func TestKeysOfOtherKinds(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	key := ecdsaKey(t, "k")
	one, err := key.public("").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() {
		p.keysBody = []byte(`{"keys":[{"kty":"OKP","crv":"X448","x":"AA","kid":"a"},{"kty":"EC","crv":"secp256k1","kid":"b"},{"kty":"oct","k":"c2VjcmV0","kid":"k"},7,` + string(one) + `]}`)
	})
	tokens := p.tokens(t, c)
	if _, err := ask(tokens, key.sign(t, p.claims(c, nil))); err != nil {
		t.Error(err)
	}
	if _, err := ask(tokens, sign(t, jose.HS256, []byte("secret-secret-secret-secret-secret"), "k", p.claims(c, nil), nil)); word(t, err) == "" {
		t.Error("a shared secret is a key")
	}
}

func TestAddressesOfIssuers(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"https://id.example": true, "https://id.example/realms/x": true, "http://127.0.0.1:8080/": true, "http://localhost": true, "http://[::1]:1": true,
		"http://id.example": false, "https://": false, "id.example": false, "ftp://id.example": false, "https://u:p@id.example": false,
		"https://id.example#x": false, "http://localhost.evil.example": false, "": false, "http://127.0.0.1.evil.example": false,
	} {
		if err := oidc.CheckURL(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOptionsThatAreMissing(t *testing.T) {
	t.Parallel()
	for _, opts := range []oidc.Options{
		{},
		{Issuers: []string{"https://id.example"}},
		{Issuers: []string{"https://id.example"}, Audiences: []string{"a"}},
	} {
		if _, err := oidc.New(opts); err == nil {
			t.Errorf("%+v is enough", opts)
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// FuzzToken: whatever is presented, it is a principal or refused, and no key is
// fetched twice for it.
func FuzzToken(f *testing.F) {
	key := ecdsaKey(f, "k")
	for _, seed := range []string{"", "..", "eyJ.e30.", key.sign(f, map[string]any{"iss": "https://id.invalid", "sub": "a", "aud": "floeberg", "exp": 1})} {
		f.Add(seed)
	}
	tokens, err := oidc.New(oidc.Options{
		Issuers: []string{"https://id.invalid"}, Audiences: []string{audience}, Client: oidc.NewClient(nil),
		Mapping: oidc.Mapping{Tenant: "a.b", Groups: "groups"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := tokens.Authenticate(t.Context(), authn.Credentials{Key: token, Doubtful: true})
		if word(t, err) == "" || p.ID != "" {
			t.Fatalf("%q is %+v", token, p)
		}
	})
}
