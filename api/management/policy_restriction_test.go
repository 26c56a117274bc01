package management_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/policy"
)

const (
	partlyOpen = `@id("admin") permit (principal in Floeberg::Group::"admin", action, resource);
		@id("eu") @row_filter("{\"type\":\"eq\",\"term\":\"region\",\"value\":\"EU\"}") @column_mask("{\"ssn\":\"show-last-4\",\"born\":\"truncate-to-year\"}")
		permit (principal in Floeberg::Group::"analyst", action in Floeberg::Action::"Read", resource);
		@id("officer") permit (principal in Floeberg::Group::"officer", action in Floeberg::Action::"Manage", resource);`
	people = `{"name":"t","schema":{"type":"struct","fields":[{"id":1,"name":"ssn","type":"string","required":false},` +
		`{"id":2,"name":"region","type":"string","required":false},{"id":3,"name":"born","type":"date","required":false}]}}`
	askAnalyst = `{"principal":{"id":"x","groups":["analyst"]},"action":"LoadTable","resource":{"type":"Table","warehouse":"default","namespace":["a"],"name":"NAME"}}`
)

func TestRestrictionsExplained(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":["a"]}`}.Want(t, h, 200)
	apitest.Ask{Method: "POST", Path: "/v1/default/namespaces/a/tables", Body: people}.Want(t, h, 200)
	putPolicies(t, management.PutPolicies{Text: partlyOpen}).Want(t, h, 200)
	s.GiveKey("officer", "officer")
	explain := func(as, name string) management.PolicyExplanation {
		t.Helper()
		return apitest.Decode[management.PolicyExplanation](t, apitest.Ask{Method: "POST", Path: policiesPath + "/explain", As: as, Body: strings.Replace(askAnalyst, "NAME", name, 1)}.Want(t, h, 200))
	}
	e := explain("", "t")
	if len(e.Restrictions) != 1 || e.RestrictionProblem != nil {
		t.Fatalf("got %+v", e)
	}
	r := e.Restrictions[0]
	if diff := cmp.Diff(map[string]string{"ssn": "show-last-4", "born": "truncate-to-year"}, r.ColumnMask); diff != "" || r.Policy != "eu" || r.Line != 2 ||
		string(*r.RowFilter) != `{"type":"eq","left":{"type":"reference","name":"region"},"right":{"type":"literal","value":"EU"}}` {
		t.Errorf("got %+v", r)
	}
	const told = `{"required-column-projections":[{"field-id":1,"action":"show-last-4"},{"field-id":3,"action":"truncate-to-year"}],` +
		`"required-row-filter":{"type":"eq","left":{"type":"reference","id":2},"right":{"type":"literal","value":"EU"}}}`
	if string(*e.ReadRestrictions) != told {
		t.Errorf("readers are told %s", *e.ReadRestrictions)
	}
	// Which columns a table has is not for everybody who looks after policies, nor whether it is there.
	for _, name := range []string{"t", "none"} {
		if e := explain("officer", name); len(e.Restrictions) != 1 || e.ReadRestrictions != nil || e.RestrictionProblem != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := explain("", "none"); len(e.Restrictions) != 1 || e.ReadRestrictions != nil {
		t.Errorf("got %+v", e)
	}
	// Why nobody is shown a table that the restriction does not fit.
	apitest.Ask{Method: "POST", Path: "/v1/default/namespaces/a/tables", Body: strings.Replace(strings.Replace(people, `"t"`, `"u"`, 1), `"ssn"`, `"number"`, 1)}.Want(t, h, 200)
	if e := explain("", "u"); e.RestrictionProblem == nil || !strings.Contains(*e.RestrictionProblem, "policy cluster/eu: there is no column ssn") || e.ReadRestrictions != nil {
		t.Errorf("got %+v", e)
	}
	// Nothing of all this is said where nothing is restricted.
	w := apitest.Ask{Method: "POST", Path: policiesPath + "/explain", Body: strings.Replace(strings.Replace(askAnalyst, "NAME", "t", 1), "analyst", "admin", 1)}.Want(t, h, 200)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || string(fields["restrictions"]) != "[]" || string(fields["read_restrictions"]) != "null" || string(fields["restriction_problem"]) != "null" {
		t.Errorf("got %s", w.Body)
	}
}

// A node that hands out no restrictions takes no policies with any, and says why those
// that came in through another do not work there.
func TestPoliciesThatRestrictWhereNobodyIsTold(t *testing.T) {
	t.Parallel()
	s, on := newNode(t)
	c := s.Catalog()
	off := handler(s, s.Options("n2"), c, policy.Options{})
	put := putPolicies(t, management.PutPolicies{Text: partlyOpen})
	if e := put.WantError(t, off, 400, "IllegalArgumentException"); !strings.Contains(e.Error.Message, `policy "eu", line 2`) || !strings.Contains(e.Error.Message, "--read-restrictions") {
		t.Errorf("got %s", e.Error.Message)
	}
	validate := apitest.Ask{Method: "POST", Path: policiesPath + "/validate", Body: put.Body}
	v := apitest.Decode[management.PolicyVerdict](t, validate.Want(t, off, 200))
	if v.Valid || len(v.Problems) != 1 || *v.Problems[0].Policy != "eu" || *v.Problems[0].Line != 2 || !strings.Contains(v.Problems[0].Message, "start every node with --read-restrictions") {
		t.Errorf("got %+v", v)
	}
	if v := apitest.Decode[management.PolicyVerdict](t, validate.Want(t, on, 200)); !v.Valid {
		t.Errorf("got %+v", v)
	}
	put.Want(t, on, 200)
	putPolicies(t, management.PutPolicies{Text: strings.ReplaceAll(partlyOpen, `"officer"`, `"clerk"`)}).Want(t, on, 200)
	rollback := apitest.Ask{Method: "POST", Path: policiesPath + "/rollback", Body: `{"version":1}`}
	if e := rollback.WantError(t, off, 400, "IllegalArgumentException"); !strings.Contains(e.Error.Message, `policy "eu", line 2`) {
		t.Errorf("got %s", e.Error.Message)
	}
	e := apitest.Decode[management.PolicyExplanation](t, apitest.Ask{Method: "POST", Path: policiesPath + "/explain", Body: strings.Replace(askAnalyst, "NAME", "t", 1)}.Want(t, off, 200))
	if e.RestrictionProblem == nil || !strings.Contains(*e.RestrictionProblem, "--read-restrictions") {
		t.Errorf("got %+v", e)
	}
}

// A look at what a table's file and the catalog have of it shows parts of it.
func TestVerifyingARestrictedTable(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":["a"]}`}.Want(t, h, 200)
	apitest.Ask{Method: "POST", Path: "/v1/default/namespaces/a/tables", Body: people}.Want(t, h, 200)
	s.PutPolicies("", partlyOpen)
	s.GiveKey("analyst", "analyst")
	verify := apitest.Ask{Method: "GET", Path: "/management/v1/warehouses/default/namespaces/a/tables/t/verify"}
	verify.Want(t, h, 200)
	verify.As = "analyst"
	verify.WantError(t, h, 403, "ForbiddenException")
}
