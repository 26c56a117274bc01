package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/ops/audit"
)

// The tests of this file are mistakes that other catalogs made with who may do what.

// Names that look like one another, or that another way to join them would make one of,
// are kept apart by policies: a right on one gives none on another.
func TestTrapNamesThatAreTakenForEachOther(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	s.GiveKey("looker", "lookers")
	s.ask("admin", "POST", "/v1/default/namespaces", `{"namespace":["a"]}`).Want(t, s, 200)
	names := [][]string{
		{"a.b"}, {"a", "b"}, {"a/b"}, {"a%2Fb"}, {"a b"}, {"A.b"}, {"a..b"}, {"a%1Fb"},
		{"caf\u00e9"}, {"cafe\u0301"}, {"a", "b.t"}, {"a.b'"}, {"x') or true or ('"}, {"${a}.b"},
		{"а.b"}, // begins with a Cyrillic letter
	}
	pathOf := func(levels []string) string {
		return "/v1/default/namespaces/" + url.PathEscape(strings.Join(levels, "\x1f"))
	}
	idOf := func(levels []string) string {
		id := "default"
		for _, level := range levels {
			id += "/" + cedar.EscapeName(level)
		}
		return id
	}
	for _, levels := range names {
		body, err := json.Marshal(map[string]any{"namespace": levels})
		if err != nil {
			t.Fatal(err)
		}
		s.ask("admin", "POST", "/v1/default/namespaces", string(body)).Want(t, s, 200)
		s.ask("admin", "POST", pathOf(levels)+"/tables", tableBody).Want(t, s, 200)
	}
	for _, mine := range names {
		s.PutPolicies("", tenantPolicies+`permit (principal in Floeberg::Group::"lookers", action in Floeberg::Action::"Read", resource in Floeberg::Namespace::"`+idOf(mine)+`");`)
		for _, levels := range names {
			want := http.StatusNotFound
			if idOf(levels) == idOf(mine) {
				want = http.StatusOK
			}
			for _, path := range []string{"", "/tables/t", "/tables"} {
				if w := s.ask("looker", "GET", pathOf(levels)+path, "").Of(s); w.Code != want {
					t.Errorf("a right on %q: %q%s is answered with %d %s", mine, levels, path, w.Code, w.Body)
				}
			}
		}
	}
}

// The character that separates levels in paths separates nothing in bodies: names with
// it, with no width, or that turn text around are refused or name nothing, whatever the
// one who sends them may do.
func TestTrapNamesThatForge(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	before := s.Log.Index()
	for _, mark := range []string{`\u001f`, `\u0000`, `\u200b`, `\u202e`, `\ufeff`, `\ud800`} {
		change := func(namespace, name string) string {
			return fmt.Sprintf(`{"table-changes":[{"identifier":{"namespace":[%s],"name":%s},"requirements":[{"type":"assert-create"}],"updates":[]}]}`, namespace, name)
		}
		move := func(from, to string) string {
			return fmt.Sprintf(`{"source":{"namespace":[%s],"name":"t"},"destination":{"namespace":[%s],"name":"z"}}`, from, to)
		}
		forged, own, into := `"NS`+mark+`in"`, `"ME"`, `"ME`+mark+`NS"`
		for _, sent := range []struct{ path, body string }{
			{"/transactions/commit", change(forged, `"t"`)},
			{"/transactions/commit", change(`"NS`+mark+`"`, `"t"`)},
			{"/transactions/commit", change(own, `"t`+mark+`x"`)},
			{"/tables/rename", move(own, forged)}, {"/tables/rename", move(forged, own)}, {"/tables/rename", move(own, into)},
			{"/views/rename", move(own, forged)}, {"/views/rename", move(forged, own)},
			{"/namespaces", `{"namespace":[` + forged + `]}`}, {"/namespaces", `{"namespace":[` + into + `]}`}, {"/namespaces", `{"namespace":["ME","a` + mark + `b"]}`},
			{"/namespaces/ME/tables", strings.Replace(tableBody, `"t"`, `"a`+mark+`b"`, 1)},
			{"/namespaces/ME/views", strings.Replace(viewBody, `"v"`, `"a`+mark+`b"`, 1)},
			{"/namespaces/ME/register", `{"name":"a` + mark + `b","metadata-location":"ROOT/ME/x.json"}`},
			{"/namespaces/ME/register-view", `{"name":"a` + mark + `b","metadata-location":"ROOT/ME/x.json"}`},
		} {
			s.alike(t, "beta", "beta", "POST", "/v1/{prefix}"+sent.path, sent.body, [2]place{{"default", "acme"}, {"default", "nope"}})
		}
	}
	if after := s.Log.Index(); after != before {
		t.Errorf("%d changes were made", after-before)
	}
}

// Properties say nothing of whose a thing is, whoever sets them.
func TestTrapPropertiesThatGiveRights(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	for _, property := range []string{"_tenant_id", "tenant", "tenant_id", "owner", "Owner", "floeberg.tenant", "location "} {
		quoted := fmt.Sprintf(`{"updates":{%q:"acme"}}`, property)
		s.ask("beta", "POST", "/v1/default/namespaces/beta/properties", quoted).Want(t, s, 200)
		s.ask("beta", "POST", "/v1/default/namespaces/beta/tables/t", fmt.Sprintf(`{"requirements":[],"updates":[{"action":"set-properties","updates":{%q:"acme"}}]}`, property)).Want(t, s, 200)
		s.ask("acme", "GET", "/v1/default/namespaces/beta", "").Want(t, s, 404)
		s.ask("acme", "GET", "/v1/default/namespaces/beta/tables/t", "").Want(t, s, 404)
		s.ask("beta", "GET", "/v1/default/namespaces/beta/tables/t", "").Want(t, s, 200)
		s.ask("beta", "POST", "/v1/default/namespaces/beta/properties", fmt.Sprintf(`{"removals":[%q]}`, property)).Want(t, s, 200)
		s.ask("beta", "GET", "/v1/default/namespaces/beta", "").Want(t, s, 200)
	}
}

// Where a request comes from is what a trusted proxy saw. Where that is not known,
// policies that ask for it permit nothing and forbid: no address stands for it.
func TestTrapSourceAddresses(t *testing.T) {
	t.Parallel()
	behind := newTenants(t, func(o *serve.Options) {
		o.Proxies = middleware.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	})
	direct := newTenants(t)
	const admin = `permit (principal in Floeberg::Group::"admin", action, resource);`
	inOffice := map[string]string{
		"permit":        admin + `permit (principal, action, resource) when { context.source_ip.isInRange(ip("10.0.0.0/8")) };`,
		"forbid unless": admin + `permit (principal, action, resource); forbid (principal, action in Floeberg::Action::"Read", resource) unless { context.source_ip.isInRange(ip("10.0.0.0/8")) };`,
		"has": admin + `permit (principal, action, resource);
			forbid (principal, action in Floeberg::Action::"Read", resource) unless { context has source_ip && context.source_ip.isInRange(ip("10.0.0.0/8")) };`,
	}
	anywhere := map[string]string{
		"every address": admin + `permit (principal, action, resource) when { context.source_ip.isInRange(ip("0.0.0.0/0")) || context.source_ip.isInRange(ip("::/0")) };`,
		"not the enemy": admin + `permit (principal, action, resource) when { !context.source_ip.isInRange(ip("6.6.6.6/32")) };`,
		"no loopback":   admin + `permit (principal, action, resource); forbid (principal, action in Floeberg::Action::"Read", resource) when { context.source_ip.isLoopback() };`,
		"no sentinel":   admin + `permit (principal, action, resource); forbid (principal, action in Floeberg::Action::"Read", resource) when { context.source_ip == ip("0.0.0.0") };`,
	}
	const office, elsewhere, unknown = 0, 1, 2
	load := func(s *tenants, lines ...string) int {
		a := s.ask("beta", "GET", "/v1/default/namespaces/beta/tables/t", "")
		if len(lines) > 0 {
			a.Header = http.Header{"X-Forwarded-For": lines}
		}
		return a.Of(s).Code
	}
	for _, tc := range []struct {
		lines []string
		from  int
	}{
		{[]string{"10.1.2.3"}, office}, {[]string{"6.6.6.6, 10.1.2.3"}, office}, {[]string{"::ffff:10.1.2.3"}, office},
		{nil, elsewhere}, // the proxy itself
		{[]string{"10.1.2.3, 8.8.8.8"}, elsewhere}, {[]string{"10.1.2.3", "8.8.8.8"}, elsewhere}, {[]string{"10.1.2.3, 10.1.2.3, 2001:db8::1"}, elsewhere},
		{[]string{"10.1.2.3, unknown"}, unknown}, {[]string{"unknown"}, unknown}, {[]string{"10.1.2.3,"}, unknown}, {[]string{"10.1.2.3, _hidden"}, unknown},
	} {
		for name, text := range inOffice {
			behind.PutPolicies("", text)
			if got := load(behind, tc.lines...); (got == 200) != (tc.from == office) {
				t.Errorf("%s, from %q: %d", name, tc.lines, got)
			}
		}
		for name, text := range anywhere {
			behind.PutPolicies("", text)
			if got := load(behind, tc.lines...); (got == 200) != (tc.from != unknown) {
				t.Errorf("%s, from %q: %d", name, tc.lines, got)
			}
		}
	}
	// Of nobody who is trusted it is an idle word.
	for name, text := range inOffice {
		direct.PutPolicies("", text)
		if got := load(direct, "10.1.2.3"); got != 404 {
			t.Errorf("%s, by its own word: %d", name, got)
		}
	}
}

// Once other policies are in force no request is decided by those before, though others
// load and decide all the while.
func TestTrapACacheLoadRacesARevocation(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	load := s.ask("beta", "GET", "/v1/default/namespaces/beta/tables/t", "")
	var others sync.WaitGroup
	var stop atomic.Bool
	defer others.Wait()
	defer stop.Store(true)
	for range 4 {
		others.Go(func() {
			for !stop.Load() {
				load.Of(s)
			}
		})
	}
	for i := range 50 {
		text, want := tenantPolicies, http.StatusOK
		if i%2 == 0 {
			text, want = tenantPolicies+`forbid (principal in Floeberg::Tenant::"beta", action, resource);`, http.StatusNotFound
		}
		s.PutPolicies("", text)
		for range 3 {
			if w := load.Of(s); w.Code != want {
				t.Fatalf("change %d: %d %s, want %d", i, w.Code, w.Body, want)
			}
		}
	}
}

// Policies that deny all can be mended by the key that the cluster was founded with,
// which can do nothing else by that.
func TestTrapPoliciesThatDenyAll(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	hash := authn.HashKey(apitest.KeyOf("founder"))
	s.Log.Put(t, state.APIKeyKey(hash), &state.APIKey{Id: "id-founder", Name: "founder", Groups: []string{"admin"}, BreakGlass: true})
	s.PutPolicies("floes", `forbid (principal, action, resource);`)
	s.PutPolicies("", `forbid (principal, action, resource);`)
	s.ask("admin", "GET", "/management/v1/policies", "").Want(t, s, 403)
	index := s.Log.Index()
	for _, r := range s.routes {
		if strings.Contains(r.Path, "/policies") {
			continue
		}
		path := s.fill(place{"default", "acme"}, "beta").Replace(strings.NewReplacer("{key}", "id-acme", "{node}", "n1").Replace(r.Path))
		for _, body := range append(bodies[r.Method+" "+r.Path], "{}") {
			if w := s.ask("founder", r.Method, strings.NewReplacer("{", "", "}", "").Replace(path), s.fill(place{"default", "acme"}, "beta").Replace(body)).Of(s); w.Code < 400 {
				t.Errorf("%s %s: %d %s", r.Method, path, w.Code, w.Body)
			}
		}
	}
	if now := s.Log.Index(); now != index {
		t.Errorf("%d changes were made", now-index)
	}
	for _, query := range []string{"", "?warehouse=floes"} {
		s.ask("founder", "GET", "/management/v1/policies"+query, "").Want(t, s, 200)
		s.ask("founder", "POST", "/management/v1/policies/rollback"+query, `{"version":0}`).Want(t, s, 200)
	}
	s.ask("admin", "GET", "/v1/floes/namespaces/acme/tables/t", "").Want(t, s, 200)
}

// full is a sink that may have no room.
type full struct {
	isFull atomic.Bool
}

func (f *full) Write(p []byte) (int, error) {
	if f.isFull.Load() {
		return 0, errors.New("no room left")
	}
	return len(p), nil
}

// Policies are in force with what is told of them, on record and in their history, or not at
// all; and so it is with keys.
func TestTrapPoliciesInForceAndNotOnRecord(t *testing.T) {
	t.Parallel()
	disk := &full{}
	log := openLog(t, audit.NewStream("stdout", disk))
	s := newTenants(t, func(o *serve.Options) { o.Audit = log })
	s.GiveKey("spare", "reader")
	await := func(trouble bool) {
		t.Helper()
		disk.isFull.Store(trouble)
		log.Note(audit.Record{Event: audit.Decision})
		for deadline := time.Now().Add(20 * time.Second); (len(log.Trouble()) > 0) != trouble; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for trouble: %v", trouble)
			}
		}
	}
	inForce := func() (management.PolicyVersion, int) {
		t.Helper()
		v := apitest.Decode[management.PolicyVersion](t, s.ask("admin", "GET", "/management/v1/policies", "").Want(t, s, 200))
		h := apitest.Decode[management.PolicyHistory](t, s.ask("admin", "GET", "/management/v1/policies/history", "").Want(t, s, 200))
		return v, len(h.Versions)
	}
	put := s.ask("admin", "PUT", "/management/v1/policies", `{"comment":"new","text":"permit (principal in Floeberg::Group::\"admin\", action, resource);"}`)
	was, versions := inForce()
	await(true)
	put.WantError(t, s, 503, "ServiceUnavailableException")
	s.ask("admin", "POST", "/management/v1/keys/id-spare/revoke", "").WantError(t, s, 503, "ServiceUnavailableException")
	s.ask("admin", "POST", "/management/v1/keys", `{"name":"k","groups":["admin"]}`).WantError(t, s, 503, "ServiceUnavailableException")
	if is, kept := inForce(); is.Version != was.Version || kept != versions {
		t.Errorf("version %d of %d is in force, and nothing on record", is.Version, kept)
	}
	s.ask("spare", "GET", "/v1/config", "").Want(t, s, 200)
	await(false)
	put.Want(t, s, 200)
	is, kept := inForce()
	if is.Version != was.Version+1 || is.Comment != "new" || *is.Author != "id-admin" || kept != versions+1 {
		t.Errorf("%+v of %d", is, kept)
	}
	found, err := log.Find(t.Context(), audit.Query{Action: "ManagePolicies"}, audit.Position{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, r := range found.Records {
		told[fmt.Sprint(r.Event, r.Decision, r.Status, r.Index > 0)] = true
	}
	for _, want := range []string{fmt.Sprint(audit.Decision, audit.Allow, 0, false), fmt.Sprint(audit.Outcome, "", 200, true), fmt.Sprint(audit.Outcome, "", 503, false)} {
		if !told[want] {
			t.Errorf("on record are %v, and not %s", told, want)
		}
	}
}

// What was answered to one is repeated to nobody else, and stands in nobody's way.
func TestTrapAnothersIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	key := http.Header{"Idempotency-Key": {uuid.NewString()}}
	with := func(as, namespace string) apitest.Ask {
		a := s.ask(as, "POST", "/v1/default/namespaces", `{"namespace":["`+namespace+`","k"],"properties":{"secret":"`+as+`"}}`)
		a.Header = key
		return a
	}
	first := with("acme", "acme").Want(t, s, 200)
	there, not := with("beta", "acme").Want(t, s, 404), with("beta", "nope").Want(t, s, 404)
	if strings.ReplaceAll(seen(there), "acme", "nope") != seen(not) {
		t.Errorf("%s, and of what is not there %s", seen(there), seen(not))
	}
	if own := with("beta", "beta").Want(t, s, 200); strings.Contains(own.Body.String(), "acme") {
		t.Errorf("got another's answer: %s", own.Body)
	}
	if again := with("acme", "acme").Want(t, s, 200); again.Body.String() != first.Body.String() {
		t.Errorf("%s, then %s", first.Body, again.Body)
	}
}

// A tag tells nobody that something is there, and is nobody else's.
func TestTrapAnothersTag(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	for _, path := range []string{"/v1/default/namespaces/acme/tables/t", "/v1/default/namespaces/acme/views/v"} {
		tag := s.ask("acme", "GET", path, "").Want(t, s, 200).Header().Get("ETag")
		with := func(as, path string) apitest.Ask {
			a := s.ask(as, "GET", path, "")
			a.Header = http.Header{"If-None-Match": {tag}}
			return a
		}
		with("acme", path).Want(t, s, 304)
		with("acme-manager", path).Want(t, s, 200) // the same bytes, and another's
		there, not := with("beta", path).Want(t, s, 404), with("beta", strings.Replace(path, "acme", "nope", 1)).Want(t, s, 404)
		if strings.ReplaceAll(seen(there), "acme", "nope") != seen(not) {
			t.Errorf("%s, and of what is not there %s", seen(there), seen(not))
		}
		s.PutPolicies("", `permit (principal in Floeberg::Group::"admin", action, resource);`)
		with("acme", path).Want(t, s, 404)
		s.PutPolicies("", tenantPolicies)
	}
	s.RevokeKey("acme")
	s.ask("acme", "GET", "/v1/default/namespaces/acme/tables/t", "").Want(t, s, 401)
}

// A place that is taken is refused in one and the same way, whosever it is and whatever
// it is: the answer says nothing but that.
func TestTrapPlacesThatAreTaken(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	location := func(path string) string {
		made := apitest.Decode[struct{ Metadata struct{ Location string } }](t, s.ask("admin", "GET", path, "").Want(t, s, 200))
		if made.Metadata.Location == "" {
			t.Fatalf("%s has no location", path)
		}
		return made.Metadata.Location
	}
	answers := map[string]string{}
	for _, owner := range []string{"acme", "beta"} {
		for _, path := range []string{"/tables/t", "/views/v"} {
			taken := location("/v1/default/namespaces/" + owner + path)
			for _, place := range []string{taken, taken + "/", taken + "/below", taken[:strings.LastIndex(taken, "/")]} {
				for _, stage := range []string{"", `"stage-create":true,`} {
					w := s.ask("beta", "POST", "/v1/default/namespaces/beta/tables", `{`+stage+`"location":"`+place+`",`+strings.Replace(tableBody[1:], `"t"`, `"z"`, 1)).Want(t, s, 409)
					answers[strings.ReplaceAll(seen(w), strings.TrimSuffix(place, "/"), "PLACE")] = owner + path
				}
			}
		}
	}
	for _, file := range []string{"/metadata/00000.metadata.json", "/metadata/missing.json"} {
		for _, what := range []string{"register", "register-view"} {
			place := location("/v1/default/namespaces/acme/tables/t") + file
			w := s.ask("beta", "POST", "/v1/default/namespaces/beta/"+what, `{"name":"z","metadata-location":"`+place+`"}`).Want(t, s, 409)
			answers[strings.ReplaceAll(seen(w), place, "PLACE")] = what
		}
	}
	if len(answers) != 1 {
		t.Errorf("%d answers: %v", len(answers), answers)
	}
	for answer := range answers {
		if strings.Contains(answer, "acme") || strings.Contains(answer, "id-") {
			t.Errorf("the answer tells whose it is: %s", answer)
		}
	}
	// Of a namespace that is not empty it is not said what is in it.
	s.PutPolicies("", tenantPolicies+`forbid (principal == Floeberg::User::"id-beta", action in Floeberg::Action::"Read", resource is Floeberg::Table);`)
	body := s.ask("beta", "DELETE", "/v1/default/namespaces/beta", "").WantError(t, s, 409, "NamespaceNotEmptyException")
	if body.Error.Message != "Namespace beta is not empty" {
		t.Errorf("%q", body.Error.Message)
	}
}

// Series and what else is told of requests have no names in them, and count what is
// hidden as what is not there.
func TestTrapNamesInSeries(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	tell := func(text string) { mu.Lock(); told = append(told, text); mu.Unlock() }
	s := newTenants(t, func(o *serve.Options) {
		o.Events = middleware.Events{
			RequestDone: func(d middleware.Done) { d.Elapsed = 0; tell(fmt.Sprintf("%+v", d)) },
			AuthFailed:  func(reason string) { tell("failed " + reason) },
			Denied:      func(action string) { tell("denied " + action) },
		}
	})
	of := func(as, namespace string) string {
		mu.Lock()
		told = nil
		mu.Unlock()
		for _, r := range s.routes {
			if strings.Contains(r.Path, "{namespace}") && strings.Contains(r.Path, "{prefix}") {
				p := place{"default", namespace}
				s.ask(as, r.Method, s.fill(p, "beta").Replace(r.Path), "{}").Of(s)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(told, "\n")
	}
	there, not := of("beta", "acme"), of("beta", "nope")
	if there != not || there == "" {
		t.Errorf("of what is there\n%s\nof what is not\n%s", there, not)
	}
	for _, name := range []string{"acme", "beta", "nope"} {
		if strings.Contains(there, name) || strings.Contains(of(apitest.NoKey, name), name) {
			t.Errorf("%s is in %s", name, there)
		}
	}
}
