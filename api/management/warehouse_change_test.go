package management_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/policy"
)

func createWarehouse(t testing.TB, body management.CreateWarehouse) apitest.Ask {
	t.Helper()
	return apitest.Ask{Method: http.MethodPost, Path: warehouses, Body: asJSON(t, body)}
}

// The whole life of a warehouse over HTTP, on two nodes of one state.
func TestWarehouseChanges(t *testing.T) {
	t.Parallel()
	s := apitest.NewSite(t)
	h, other := handler(s, s.Options("n1"), s.Catalog(s.OwnStores()), policy.Options{}), handler(s, s.Options("n2"), s.Catalog(s.OwnStores()), policy.Options{})
	create := createWarehouse(t, management.CreateWarehouse{Name: "w", Root: s.Made() + "/w/", AllowedRoots: []string{s.Made() + "/more"}})
	create.Header = http.Header{"Idempotency-Key": {uuid.NewString()}}
	made := apitest.Decode[management.Warehouse](t, create.Want(t, h, 200))
	if made.Name != "w" || made.Root != s.Made()+"/w" || made.Generation == 0 || made.FromSettings || made.OwnCredentials || made.CreatedAt == nil || made.ChangedAt != nil {
		t.Errorf("got %+v", made)
	}
	show := func(h http.Handler) management.Warehouse {
		t.Helper()
		return apitest.Decode[management.Warehouse](t, apitest.Ask{Method: "GET", Path: warehouses + "/w"}.Want(t, h, 200))
	}
	if got := show(other); asJSON(t, got) != asJSON(t, made) {
		t.Errorf("the other node shows %+v", got)
	}
	if again := apitest.Decode[management.Warehouse](t, create.Want(t, other, 200)); asJSON(t, again) != asJSON(t, made) {
		t.Errorf("the repeat is answered with %+v", again)
	}
	create.Header = nil
	create.WantError(t, other, 409, "AlreadyExistsException")
	createWarehouse(t, management.CreateWarehouse{Name: "x", Root: s.Made() + "/more/x"}).WantError(t, other, 409, "WarehouseRefusedException")
	createWarehouse(t, management.CreateWarehouse{Name: "x", Root: s.Root + "/x"}).WantError(t, other, 400, "IllegalArgumentException")
	for _, body := range []string{``, `[]`, `{}`, `{"name": "x"}`, `{"root": "s3://b/x"}`, `{"name": 1, "root": "s3://b"}`,
		`{"name": "x", "root": "s3://b/x", "credentials": {"access_key_id": 1}}`,
		`{"name": "x", "root": "gs://b/x", "credentials": {"service_account_key": "text"}}`} {
		apitest.Ask{Method: "POST", Path: warehouses, Body: body}.WantError(t, h, 400, "BadRequestException")
	}

	// It is used through the other node at once.
	apitest.Ask{Method: "GET", Path: "/v1/config?warehouse=w"}.Want(t, other, 200)
	apitest.Ask{Method: "POST", Path: "/v1/w/namespaces", Body: `{"namespace": ["ns"]}`}.Want(t, other, 200)
	tables := "/v1/w/namespaces/ns/tables"
	table := `{"name": "t", "location": "` + s.Made() + `/more/t", "schema": {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "type": "long", "required": true}]}}`
	etag := apitest.Ask{Method: "POST", Path: tables, Body: table}.Want(t, other, 200).Header().Get("ETag")
	load := apitest.Ask{Method: "GET", Path: tables + "/t", Header: http.Header{"If-None-Match": {etag}}}
	load.Want(t, h, 304)

	// What it is changed to counts on every node, and makes answers old.
	patch := func(body string) apitest.Ask {
		return apitest.Ask{Method: "PATCH", Path: warehouses + "/w", Body: body}
	}
	patch(`{"expected_generation": 1, "allowed_roots": []}`).WantError(t, other, 409, "WarehouseChangedException")
	patch(`{"region": "r"}`).WantError(t, other, 400, "IllegalArgumentException")
	patch(`{"allowed_roots": ["`+s.Made()+`/more", "`+s.Made()+`/most"]}`).Want(t, h, 200)
	load.Want(t, other, 200)
	changed := apitest.Decode[management.Warehouse](t, patch(`{"allowed_roots": []}`).Want(t, h, 200))
	if changed.Generation <= made.Generation || changed.ChangedAt == nil || len(changed.AllowedRoots) != 0 {
		t.Errorf("got %+v", changed)
	}
	load.WantError(t, other, 403, "ForbiddenException")
	apitest.Ask{Method: "PATCH", Path: warehouses + "/nowhere", Body: `{}`}.WantError(t, h, 404, "NoSuchWarehouseException")

	// Its end.
	remove := apitest.Ask{Method: "DELETE", Path: warehouses + "/w"}
	remove.WantError(t, h, 409, "WarehouseRefusedException")
	apitest.Ask{Method: "DELETE", Path: tables + "/t"}.Want(t, other, 204)
	apitest.Ask{Method: "DELETE", Path: "/v1/w/namespaces/ns"}.Want(t, other, 204)
	s.PutPolicies("w", `forbid (principal, action, resource is Floeberg::View);`)
	stale := remove
	stale.Path += "?expected_generation=1"
	stale.WantError(t, h, 409, "WarehouseChangedException")
	stale.Path = remove.Path + "?expected_generation=x"
	stale.WantError(t, h, 400, "BadRequestException")
	remove.Want(t, h, 204)
	apitest.Ask{Method: "GET", Path: "/v1/config?warehouse=w"}.WantError(t, other, 404, "NoSuchWarehouseException")
	remove.WantError(t, other, 404, "NoSuchWarehouseException")
	create.Want(t, other, 200)
	if p := apitest.Decode[management.PolicyVersion](t, apitest.Ask{Method: "GET", Path: policiesPath + "?warehouse=w"}.Want(t, h, 200)); p.Version != 0 || *p.Text != "" {
		t.Errorf("the new one has the policies of the old one: %+v", p)
	}
	apitest.Ask{Method: "DELETE", Path: warehouses + "/default"}.WantError(t, h, 409, "WarehouseRefusedException")
}

// Who may do what, and who is shown what.
func TestWarehouseRights(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-nobody-may-see"
	s := apitest.NewSite(t)
	h := handler(s, s.Options("n1"), s.Catalog(s.OwnStores()), policy.Options{})
	s.GiveKey("keeper", "keepers")
	s.PutPolicies("", `
permit (principal in Floeberg::Group::"admin", action, resource);
permit (principal in Floeberg::Group::"reader", action in Floeberg::Action::"Read", resource);
permit (principal in Floeberg::Group::"keepers", action, resource in Floeberg::Warehouse::"w");
permit (principal in Floeberg::Group::"writer", action == Floeberg::Action::"CreateWarehouse", resource);
`)
	sealed, err := apitest.Seals{}.Seal(t.Context(), "warehouse/w/credentials", []byte(`{"access_key_id": "key-1", "secret_access_key": "`+secret+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	s.Log.Put(t, state.WarehouseKey("w"), &state.Warehouse{
		Name: "w", Root: "s3://lake/w", Id: []byte("0123456789abcdef"), CreatedMs: 1,
		Store: &state.WarehouseStore{Credentials: sealed, CredentialsName: "access key key-1", Endpoint: "http://127.0.0.1:1"},
	})
	for who, named := range map[string]bool{"admin": true, "keeper": true, "reader": false} {
		body := apitest.Ask{Method: "GET", Path: warehouses + "/w", As: who}.Want(t, h, 200).Body.String()
		if strings.Contains(body, secret) || strings.Contains(body, "key-1") != named || !strings.Contains(body, `"own_credentials":true`) {
			t.Errorf("%s is shown %s", who, body)
		}
	}
	body := apitest.Ask{Method: "GET", Path: warehouses}.Want(t, h, 200).Body.String()
	if strings.Contains(body, secret) || !strings.Contains(body, "key-1") {
		t.Errorf("the listing shows %s", body)
	}

	create := createWarehouse(t, management.CreateWarehouse{Name: "x", Root: s.Made() + "/x"})
	for _, who := range []string{"reader", "keeper", "auditor"} {
		create.As = who
		create.WantError(t, h, 403, "ForbiddenException")
	}
	// Who could not see it can't make it: whether the name is taken is not told either.
	create.As = "writer"
	create.WantError(t, h, 403, "ForbiddenException")
	taken := createWarehouse(t, management.CreateWarehouse{Name: "w", Root: s.Made() + "/w"})
	taken.As = "writer"
	taken.WantError(t, h, 403, "ForbiddenException")

	for _, c := range []struct {
		who, name, errorType string
		status               int
	}{
		{"reader", "w", "ForbiddenException", 403},
		{"auditor", "w", "NoSuchWarehouseException", 404},
		{"auditor", "nowhere", "NoSuchWarehouseException", 404},
		{"keeper", "other", "NoSuchWarehouseException", 404},
	} {
		for _, ask := range []apitest.Ask{{Method: "PATCH", Body: `{"path_style": true}`}, {Method: "DELETE"}} {
			ask.As, ask.Path = c.who, warehouses+"/"+c.name
			ask.WantError(t, h, c.status, c.errorType)
		}
	}
	// The keeper may change it, and gets it nowhere that the nodes' own rights reach.
	keep := apitest.Ask{Method: "PATCH", Path: warehouses + "/w", As: "keeper", Body: `{"node_credentials": true}`}
	keep.WantError(t, h, 400, "IllegalArgumentException")
	keep.Body = `{"endpoint": "http://127.0.0.1:2"}`
	keep.WantError(t, h, 400, "IllegalArgumentException")
	keep.Body = `{"credentials": {"access_key_id": "key-2", "secret_access_key": "` + secret + `-2"}}`
	if e := keep.WantError(t, h, 503, "ServiceUnavailableException"); strings.Contains(e.Error.Message, secret) {
		t.Errorf("the refusal tells the secret: %s", e.Error.Message)
	}
	remove := apitest.Ask{Method: "DELETE", Path: warehouses + "/w", As: "keeper"}
	remove.Want(t, h, 204)
}
