// Package warehouse manages the warehouses of a cluster while it runs, and opens their
// object stores on each node.
package warehouse

import (
	"context"
	"errors"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Log is the replicated state and how it is changed.
type Log interface {
	// Transact carries out a change.
	Transact(ctx context.Context, ch catalog.Change, name []byte, attempt func(context.Context, *state.View) (*catalog.Plan, error)) (*state.Answer, error)
	// View gives the state as current as the read asks for. The caller closes it.
	View(ctx context.Context, read catalog.Read) (*state.View, error)
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// Sealer makes secrets unreadable for whoever has the state and not the cluster's key.
type Sealer interface {
	// Seal seals a secret for a purpose.
	Seal(ctx context.Context, purpose string, plain []byte) ([]byte, error)
	// Precondition is what must hold when a transaction applies that brings it in.
	Precondition(sealed []byte) (*command.Precondition, error)
}

// Options are what Warehouses are made of.
type Options struct {
	// Log is required.
	Log Log
	// Stores open the stores of warehouses to be, so that they can be tried. Required.
	Stores *Stores
	// Sealer seals credentials. Required.
	Sealer Sealer
	// Places are where warehouses may lie, as canonical locations.
	Places Places
	// CheckName refuses names that no warehouse can have here. Required.
	CheckName func(name string) error
	// NewID makes ids of 16 bytes, never the same twice. Required.
	NewID func() [16]byte
}

// Warehouses is the warehouses of a cluster. It is safe for concurrent use.
type Warehouses struct {
	opts Options
	log  Log
}

// New makes it over a log.
func New(opts Options) (*Warehouses, error) {
	if opts.Log == nil || opts.Stores == nil || opts.Sealer == nil || opts.CheckName == nil || opts.NewID == nil {
		return nil, errors.New("warehouse: Log, Stores, Sealer, CheckName and NewID are required")
	}
	return &Warehouses{opts: opts, log: opts.Log}, nil
}

// Info is a warehouse as operators see it: without its credentials, which nobody is shown.
type Info struct {
	Name         string
	Root         string
	AllowedRoots []string
	// Generation changes with each change of the warehouse.
	Generation uint64
	// FromSettings tells that it was made of the nodes' settings, which say how its store
	// is reached.
	FromSettings     bool
	Endpoint, Region string
	PathStyle        bool
	// Credentials is what may be known of its own credentials, such as an access key's
	// id; "" where nodes use theirs.
	Credentials string
	Created     time.Time
	// Changed is zero where it never was.
	Changed time.Time
	Index   uint64
}

func show(rec *state.Warehouse, generation, index uint64) *Info {
	store := rec.GetStore()
	return &Info{
		Name: rec.GetName(), Root: rec.GetRoot(), AllowedRoots: rec.GetAllowedRoots(), Generation: generation, FromSettings: fromSettings(rec),
		Endpoint: store.GetEndpoint(), Region: store.GetRegion(), PathStyle: store.GetPathStyle(), Credentials: store.GetCredentialsName(),
		Created: moment(rec.GetCreatedMs()), Changed: moment(rec.GetChangedMs()), Index: index,
	}
}

func moment(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// hasOwn tells whether a warehouse has credentials of its own, sealed or still to be.
func hasOwn(rec *state.Warehouse) bool { return rec.GetStore().GetCredentialsName() != "" }

// fromSettings tells whether nodes' settings made a warehouse.
func fromSettings(rec *state.Warehouse) bool { return rec.GetStore() == nil }

// Get returns a warehouse.
func (w *Warehouses) Get(ctx context.Context, read catalog.Read, name string) (*Info, error) {
	v, err := w.log.View(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	rec, generation, err := find(v, name)
	if err != nil {
		return nil, err
	}
	return show(rec, generation, v.Index), nil
}

func find(v *state.View, name string) (rec *state.Warehouse, generation uint64, err error) {
	rec, generation, ok, err := v.Warehouse(name)
	switch {
	case err != nil:
		return nil, 0, catalog.Broken(err)
	case !ok:
		return nil, 0, catalog.NoSuchWarehouse(catalog.Brief(name))
	}
	return rec, generation, nil
}

// List is a page of warehouses, in byte order of their names.
type List struct {
	Warehouses []*Info
	Next       string // "" on the last page
	Index      uint64
}

// List returns warehouses.
func (w *Warehouses) List(ctx context.Context, read catalog.Read, page catalog.Page) (*List, error) {
	v, err := w.log.View(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := &List{Warehouses: []*Info{}, Index: v.Index}
	out.Next, err = catalog.EachOf(v, state.SpaceRange(state.SpaceWarehouse), page, func(_ []byte, value state.Value) (func(), error) {
		rec := &state.Warehouse{}
		if err := state.Decode(value, rec); err != nil {
			return nil, err
		}
		if page.Filter != nil && !page.Filter.Allows(rec.GetName()) {
			return nil, nil
		}
		return func() { out.Warehouses = append(out.Warehouses, show(rec, value.Revision, v.Index)) }, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
