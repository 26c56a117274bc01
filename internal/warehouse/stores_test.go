package warehouse_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/storage"
)

// A store is kept as long as its warehouse is the same, and not a moment longer.
func TestStoresFollowTheState(t *testing.T) {
	t.Parallel()
	s := apitest.NewSite(t)
	stores := s.WarehouseStores()
	of := func(name string) storage.Store {
		t.Helper()
		store, err := stores.Of(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	first := of("default")
	if of("default") != first {
		t.Error("it is opened anew for nothing")
	}
	s.Log.Put(t, state.WarehouseKey("x"), &state.Warehouse{Name: "x", Root: s.Root + "/x"})
	if of("default") != first {
		t.Error("it is opened anew for another warehouse")
	}
	s.Log.Put(t, state.WarehouseKey("default"), &state.Warehouse{Name: "default", Root: s.Root + "/elsewhere"})
	second := of("default")
	if second == first {
		t.Fatal("it is the one of before")
	}
	if err := second.Put(t.Context(), s.Root+"/default/f", []byte("f")); !errors.Is(err, storage.ErrOutside) {
		t.Errorf("got %v", err)
	}
	s.Log.Delete(t, state.WarehouseKey("default"))
	if _, err := stores.Of(t.Context(), "default"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := stores.Close(); err != nil {
		t.Error(err)
	}
	if _, err := stores.Of(t.Context(), "other"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Credentials that can't be opened are no reason to use others.
func TestStoresWithoutTheSecret(t *testing.T) {
	t.Parallel()
	s := apitest.NewSite(t)
	sealed, err := apitest.Seals{}.Seal(t.Context(), "warehouse/x/credentials", []byte(`{"access_key_id": "k", "secret_access_key": "s"}`))
	if err != nil {
		t.Fatal(err)
	}
	rec := &state.Warehouse{Name: "x", Root: "s3://lake/x", Store: &state.WarehouseStore{Credentials: sealed}}
	s.Log.Put(t, state.WarehouseKey("x"), rec)
	if _, err := s.WarehouseStores().Of(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	other := proto.CloneOf(rec)
	other.Name = "y"
	s.Log.Put(t, state.WarehouseKey("y"), other)
	if _, err := s.WarehouseStores().Of(t.Context(), "y"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("sealed for another warehouse: %v", err)
	}
}
