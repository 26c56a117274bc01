package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/internal/warehouse"
)

// warehouses are those that operators make and change while the cluster runs.
func (a *App) warehouses(log warehouse.Log) (*warehouse.Warehouses, error) {
	var places warehouse.Places
	for _, place := range []struct {
		name      string
		locations []string
		into      *[]string
	}{
		{"warehouse-locations", a.config.WarehouseLocations, &places.Allowed},
		{"data-dir", []string{"file://" + a.config.DataDir}, &places.Kept},
		{"snapshot-store", []string{a.config.SnapshotStore}, &places.Kept},
	} {
		for _, location := range place.locations {
			if location == "" {
				continue
			}
			canonical, err := storage.Canonical(location)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", place.name, err)
			}
			*place.into = append(*place.into, canonical)
		}
	}
	return warehouse.New(warehouse.Options{
		Log:       log,
		Stores:    a.stores,
		Sealer:    a.box.Load(),
		Places:    places,
		CheckName: config.CheckWarehouseName,
		NewID:     func() [16]byte { return uuid.New() },
	})
}

// catalogStores gives the catalog a warehouse's store.
func (a *App) catalogStores(ctx context.Context, name string) (catalog.Store, error) {
	return a.stores.Of(ctx, name)
}

// storedFiles looks for the files of whatever warehouse.
type storedFiles struct{ stores *warehouse.Stores }

// Exists implements restore.Files.
func (f storedFiles) Exists(ctx context.Context, name, location string) (bool, error) {
	store, err := f.stores.Of(ctx, name)
	if err != nil {
		return false, err
	}
	return store.Exists(ctx, location)
}
