package apitest

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/internal/warehouse"
)

// Made is the location below which a site's warehouses of run time may lie.
func (s *Site) Made() string { return s.Root + "/made" }

// WarehouseStores are the stores of the site's warehouses, as its state has them.
func (s *Site) WarehouseStores() *warehouse.Stores {
	s.T.Helper()
	stores, err := warehouse.NewStores(warehouse.StoresOptions{Latest: s.Log.State, Proven: s.state, Secrets: Seals{}})
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() {
		if err := stores.Close(); err != nil {
			s.T.Error(err)
		}
	})
	return stores
}

func (s *Site) state(context.Context) (*state.View, error) { return s.Log.State() }

// OwnStores has a catalog use the stores of the warehouses, each its own.
func (s *Site) OwnStores() func(*catalog.Options) {
	stores := s.WarehouseStores()
	return func(o *catalog.Options) {
		o.Stores = func(ctx context.Context, name string) (catalog.Store, error) { return stores.Of(ctx, name) }
	}
}

// Warehouses are those of one more node.
func (s *Site) Warehouses(c *catalog.Catalog) *warehouse.Warehouses {
	s.T.Helper()
	w, err := warehouse.New(warehouse.Options{
		Log: c, Stores: s.WarehouseStores(), Sealer: Seals{},
		Places:    warehouse.Places{Allowed: []string{s.Made()}, Kept: []string{s.Root + "/made/kept"}},
		CheckName: config.CheckWarehouseName,
		NewID:     func() [16]byte { return uuid.New() },
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return w
}

// Seals seals secrets so that tests see whether they were: a sealed one has nothing of
// the plain one in it, and opens for its own purpose only.
type Seals struct{}

var errSeal = errors.New("it was not sealed for this")

// Seal implements warehouse.Sealer.
func (Seals) Seal(_ context.Context, purpose string, plain []byte) ([]byte, error) {
	return flip(append([]byte(purpose+"\x00"), plain...)), nil
}

// Precondition implements warehouse.Sealer.
func (Seals) Precondition([]byte) (*command.Precondition, error) {
	return command.KeyAbsent([]byte{byte(state.SpaceTask)}), nil
}

// Open implements warehouse.Opener.
func (Seals) Open(_ context.Context, purpose string, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(flip(slices.Clone(sealed)), []byte(purpose+"\x00"))
	if !ok {
		return nil, errSeal
	}
	return plain, nil
}

func flip(b []byte) []byte {
	for i := range b {
		b[i] ^= 0xA5
	}
	return b
}
