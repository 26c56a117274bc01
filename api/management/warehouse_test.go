package management_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/fsm/state"
)

const warehouses = "/management/v1/warehouses"

func TestWarehouses(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	s.Log.Put(t, state.WarehouseKey("a/b c"), &state.Warehouse{Name: "a/b c", Root: "s3://lake/c", AllowedRoots: []string{"s3://more"}})
	want := []management.Warehouse{
		{Name: "a/b c", Root: "s3://lake/c", AllowedRoots: []string{"s3://more"}, FromSettings: true},
		{Name: "default", Root: s.Root + "/default", AllowedRoots: []string{}, FromSettings: true},
		{Name: "other", Root: s.Root + "/other", AllowedRoots: []string{}, FromSettings: true},
	}
	v, err := s.Log.State()
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if _, want[i].Generation, _, err = v.Warehouse(want[i].Name); err != nil {
			t.Fatal(err)
		}
	}
	v.Close()
	w := apitest.Ask{Method: "GET", Path: warehouses}.Want(t, h, 200)
	if diff := cmp.Diff(management.WarehouseList{Warehouses: want}, apitest.Decode[management.WarehouseList](t, w)); diff != "" {
		t.Error(diff)
	}
	if w.Header().Get("Floeberg-Index") == "" {
		t.Error("it does not say which state it reflects")
	}
	var got []management.Warehouse
	for token := ""; ; {
		page := apitest.Decode[management.WarehouseList](t, apitest.Ask{Method: "GET", Path: warehouses + "?page_size=1&page_token=" + token}.Want(t, h, 200))
		if len(page.Warehouses) != 1 {
			t.Fatalf("a page of one: %+v", page)
		}
		got = append(got, page.Warehouses...)
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("page by page: %s", diff)
	}
	one := apitest.Ask{Method: "GET", Path: warehouses + "/a%2Fb+c"}.Want(t, h, 200)
	if diff := cmp.Diff(want[0], apitest.Decode[management.Warehouse](t, one)); diff != "" {
		t.Error(diff)
	}

	apitest.Ask{Method: "GET", Path: warehouses + "/nowhere"}.WantError(t, h, 404, "NoSuchWarehouseException")
	apitest.Ask{Method: "GET", Path: warehouses + "/"}.WantError(t, h, 404, "NoSuchEndpointException")
	apitest.Ask{Method: "PUT", Path: warehouses}.WantError(t, h, 405, "MethodNotAllowedException")
	for _, query := range []string{"page_size=0", "page_size=-1", "page_size=x", "page_size=1&page_size=2", "page_size=", "page_token=%zz"} {
		apitest.Ask{Method: "GET", Path: warehouses + "?" + query}.WantError(t, h, 400, "BadRequestException")
	}
	apitest.Ask{Method: "GET", Path: warehouses + "?page_token=junk"}.WantError(t, h, 400, "IllegalArgumentException")
	apitest.Ask{Method: "GET", Path: warehouses, Header: http.Header{"Floeberg-Consistency": {"now"}}}.WantError(t, h, 400, "BadRequestException")
}
