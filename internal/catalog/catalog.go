package catalog

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// What a Log's Propose returns beside a result.
var (
	// ErrNotProposed is returned when the transaction certainly did not and will not apply.
	ErrNotProposed = errors.New("nothing was proposed")
	// ErrNotMember is returned, beside ErrNotProposed, when the node was taken out of
	// its cluster: no repeat on it will do. View returns it too.
	ErrNotMember = errors.New("the node is in no cluster any more")
	// ErrQueueFull is returned when a bounded queue had no place: nothing was proposed.
	ErrQueueFull = errors.New("too many changes are waiting")
	// ErrOutcomeUnknown is returned when the transaction may have applied, or may yet.
	ErrOutcomeUnknown = errors.New("the outcome of the change is unknown")
)

// Log is the replicated log and the state that it leads to.
type Log interface {
	// Propose puts a transaction into the log, on whichever node it is called. A
	// nil error means that the result is final. Else the error is one of
	// ErrNotProposed, ErrQueueFull and ErrOutcomeUnknown.
	Propose(ctx context.Context, tx *command.Transaction) (command.Result, error)
	// View gives the state as current as the read asks for. The caller closes it.
	View(ctx context.Context, read Read) (*state.View, error)
	// WaitApplied returns once this node has applied the log up to index.
	WaitApplied(ctx context.Context, index uint64) error
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// StoreOf gives the store of a warehouse, as this node's state has the warehouse now.
type StoreOf func(ctx context.Context, warehouse string) (Store, error)

// Store keeps metadata files under absolute canonical locations.
type Store interface {
	// Put makes a new object; it is durable when Put returns.
	Put(ctx context.Context, location string, body []byte) error
	// Get returns a whole object of at most maxBytes.
	Get(ctx context.Context, location string, maxBytes int64) ([]byte, error)
	// Exists tells whether there is an object.
	Exists(ctx context.Context, location string) (bool, error)
	// Delete removes an object; a missing one is no error.
	Delete(ctx context.Context, location string) error
	// EnsureFolder makes an empty folder where the store has folders.
	EnsureFolder(ctx context.Context, location string) error
}

// Observer is told what happens inside. Nil members are skipped.
type Observer struct {
	// Conflict is called for each proposal that another change overtook.
	Conflict func()
	// CacheLookup is called for each lookup of a table's document.
	CacheLookup func(hit bool)
	// OrphanKept is called for each metadata file that no table points to and
	// that could not be deleted, or must not be.
	OrphanKept func(location string)
	// Reported is called for each report that a client sent of its work on a table.
	Reported func(*Report)
	// TaskMade is called after each change that left a background job to do.
	TaskMade func()
}

// Options are what a Catalog is made of.
type Options struct {
	Log    Log
	Stores StoreOf
	Logger *slog.Logger
	// NewUUID makes random UUIDs in text form.
	NewUUID func() string
	// DefaultWarehouse is the name that stands for "no warehouse was named".
	DefaultWarehouse string
	// AnswerLifetime is how long an Idempotency-Key is remembered. Default 30 minutes.
	AnswerLifetime time.Duration
	// CacheBytes bounds the documents kept ready for loads. Default 64 MiB.
	CacheBytes int64
	// MaxMetadataBytes bounds a table's document. Default 256 MiB.
	MaxMetadataBytes int64
	// MaxWaiters bounds the changes of one table that wait for each other
	// on this node. Default 256.
	MaxWaiters int
	// VerifyMetadata makes a load also check that the table's metadata file is there.
	VerifyMetadata bool
	Observer       Observer
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.AnswerLifetime == 0 {
		o.AnswerLifetime = 30 * time.Minute
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.MaxMetadataBytes == 0 {
		o.MaxMetadataBytes = 256 << 20
	}
	if o.MaxWaiters == 0 {
		o.MaxWaiters = 256
	}
}

// Catalog answers and changes namespaces, tables and views. It keeps nothing that
// another node would miss: all of it is in the replicated state or can be made
// from there. It is safe for concurrent use.
type Catalog struct {
	opts   Options
	log    Log
	stores StoreOf
	logger *slog.Logger

	queues  *queues
	answers *queues
	cache   *tableCache
	reports reports
	janitor janitor

	// proposed is the newest log entry that this node's own changes led to:
	// changes start from a state that has it, so that a client that works
	// through one node does not conflict with itself.
	proposed atomic.Uint64

	// heard is set once this node has heard from a leader since it started: from
	// then on it knows what time it is.
	heard atomic.Bool
}

// New makes a catalog over a log and a store. It is closed with Close.
func New(opts Options) (*Catalog, error) {
	opts.setDefaults()
	switch {
	case opts.Log == nil:
		return nil, errors.New("catalog: Log is missing")
	case opts.Stores == nil:
		return nil, errors.New("catalog: Stores is missing")
	case opts.NewUUID == nil:
		return nil, errors.New("catalog: NewUUID is missing")
	}
	cache, err := newTableCache(opts.CacheBytes)
	if err != nil {
		return nil, err
	}
	c := &Catalog{
		opts:    opts,
		log:     opts.Log,
		stores:  opts.Stores,
		logger:  opts.Logger,
		queues:  newQueues(opts.MaxWaiters),
		answers: newQueues(opts.MaxWaiters),
		cache:   cache,
	}
	c.startJanitor()
	return c, nil
}

// view gives a read's state, or the refusal that clients get where there is none.
func (c *Catalog) view(ctx context.Context, read Read) (*state.View, error) {
	v, err := c.log.View(ctx, read)
	switch {
	case errors.Is(err, ErrNotMember):
		return nil, refuseBecause(KindUnavailable, err, "This node was removed from its cluster; ask another one")
	case err != nil:
		return nil, refuseBecause(KindUnavailable, err, "The catalog can't prove its state current now; try again")
	}
	if read.Consistency == Linearizable {
		c.heard.Store(true)
	}
	return v, nil
}

// look gives a read's state and a warehouse in it. The caller closes the state.
func (c *Catalog) look(ctx context.Context, read Read, warehouse string) (*state.View, *WarehouseInfo, error) {
	v, err := c.view(ctx, read)
	if err != nil {
		return nil, nil, err
	}
	wh, err := c.warehouse(v, warehouse)
	if err != nil {
		v.Close()
		return nil, nil, err
	}
	return v, wh, nil
}

// broken is the refusal for a state that can't be read: a defect of this node's disk.
func broken(err error) error {
	return refuseBecause(KindUnavailable, err, "The catalog's state can't be read on this node")
}

// warehouseID tells a warehouse from others that had its name before; nil is that there
// is none of the name, or that no other can have had it.
func warehouseID(v *state.View, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	rec, _, _, err := v.Warehouse(name)
	if err != nil {
		return nil, broken(err)
	}
	return rec.GetId(), nil
}

// WarehouseInfo is a warehouse as the catalog needs and clients see it.
type WarehouseInfo struct {
	Name         string
	Root         string
	AllowedRoots []string
	Revision     uint64
	Index        uint64
}

// Warehouse returns a warehouse by name; "" is the default one.
func (c *Catalog) Warehouse(ctx context.Context, read Read, name string) (*WarehouseInfo, error) {
	v, wh, err := c.look(ctx, read, name)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return wh, nil
}

// NoSuchWarehouse is the refusal where a warehouse does not exist.
func NoSuchWarehouse(name string) error {
	return refuse(KindNoSuchWarehouse, "Warehouse does not exist: %s", name)
}

func (c *Catalog) warehouse(v *state.View, name string) (*WarehouseInfo, error) {
	if name == "" {
		name = c.opts.DefaultWarehouse
	}
	rec, rev, ok, err := v.Warehouse(name)
	if err != nil {
		return nil, broken(err)
	}
	if !ok {
		return nil, NoSuchWarehouse(name)
	}
	return &WarehouseInfo{Name: rec.Name, Root: rec.Root, AllowedRoots: rec.AllowedRoots, Revision: rev, Index: v.Index}, nil
}
