package warehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/storage"
)

// Opener makes sealed secrets readable.
type Opener interface {
	// Open opens what was sealed for a purpose.
	Open(ctx context.Context, purpose string, sealed []byte) ([]byte, error)
}

// StoresOptions are what Stores are made of.
type StoresOptions struct {
	// Latest gives the newest state that can be had without waiting. The caller closes it.
	// Required.
	Latest func() (*state.View, error)
	// Proven gives a state that has all that any read on this node has shown. The caller
	// closes it. It is asked where the latest knows no such warehouse. Required.
	Proven func(context.Context) (*state.View, error)
	// Config is how this node's settings reach stores.
	Config storage.Config
	// Secrets opens credentials. Required.
	Secrets Opener
}

// Stores are the object stores of the warehouses, as this node's state has them. What a
// warehouse is and where it lies may change at any time, and no single node's settings
// say it: each use looks at the state first, and a store is kept only as long as the
// record is the same that it was opened for. It is safe for concurrent use.
type Stores struct {
	opts StoresOptions

	mu      sync.Mutex
	kept    map[string]kept // by name
	changed uint64          // the last change of warehouses that kept was gone through for
	closed  bool
}

// kept is a store, and the record that it was opened for, byte for byte: after the
// restoring of a backup another record may have the same revision.
type kept struct {
	record string
	store  storage.Store
}

var errStopping = fmt.Errorf("%w: this node is stopping", storage.ErrUnavailable)

// NewStores makes stores that are opened when they are asked for.
func NewStores(opts StoresOptions) (*Stores, error) {
	if opts.Latest == nil || opts.Proven == nil || opts.Secrets == nil {
		return nil, errors.New("warehouse: Latest, Proven and Secrets are required")
	}
	return &Stores{opts: opts, kept: make(map[string]kept)}, nil
}

// Of gives the store of a warehouse. It is not closed by who asks.
func (s *Stores) Of(ctx context.Context, name string) (storage.Store, error) {
	record, err := s.look(ctx, name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	k, ok := s.kept[name]
	s.mu.Unlock()
	if ok && k.record == record {
		return k.store, nil
	}
	rec := &state.Warehouse{}
	if err := proto.Unmarshal([]byte(record), rec); err != nil {
		return nil, fmt.Errorf("%w: the record of warehouse %s can't be read: %w", storage.ErrUnavailable, name, err)
	}
	store, err := s.open(ctx, rec, storage.Timeouts{})
	if err != nil {
		return nil, fmt.Errorf("opening the store of warehouse %s: %w", name, err)
	}
	return s.keep(name, kept{record, store})
}

// look reads the record of a warehouse.
func (s *Stores) look(ctx context.Context, name string) (record string, err error) {
	v, err := s.opts.Latest()
	if err == nil {
		record, err = s.lookIn(v, name)
	}
	if err == nil && record == "" {
		if v, err = s.opts.Proven(ctx); err == nil {
			record, err = s.lookIn(v, name)
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	case record == "":
		return "", fmt.Errorf("%w: this node knows no warehouse %s", storage.ErrUnavailable, name)
	}
	return record, nil
}

// lookIn reads the record of a warehouse in a state, which it closes, and drops the stores
// of those that are not what they were. "" is that there is no such warehouse.
func (s *Stores) lookIn(v *state.View, name string) (record string, err error) {
	defer v.Close()
	changed, _, err := v.Get(state.WarehousesChangedKey())
	if err == nil {
		err = s.sweep(v, changed.Revision)
	}
	if err != nil {
		return "", err
	}
	value, ok, err := v.Get(state.WarehouseKey(name))
	if err != nil || !ok {
		return "", err
	}
	return string(value.Data), nil
}

// sweep drops what a change of warehouses has made old, once for each: credentials that
// are good no more are not kept because nobody asks for their warehouse again.
func (s *Stores) sweep(v *state.View, changed uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == changed {
		return nil
	}
	for name, k := range s.kept {
		value, ok, err := v.Get(state.WarehouseKey(name))
		if err != nil {
			return err
		}
		if ok && string(value.Data) == k.record {
			continue
		}
		delete(s.kept, name)
		// Calls under way end undisturbed; idle connections are all that it has.
		_ = k.store.Close()
	}
	s.changed = changed
	return nil
}

// keep takes a store in the place of the one before it.
func (s *Stores) keep(name string, k kept) (storage.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.kept[name]
	switch {
	case s.closed:
		return nil, errors.Join(errStopping, k.store.Close())
	case ok && before.record == k.record: // another call was first
		_ = k.store.Close()
		return before.store, nil
	case ok:
		_ = before.store.Close()
	}
	s.kept[name] = k
	return k.store, nil
}

// open opens the store of a record; see openWith.
func (s *Stores) open(ctx context.Context, rec *state.Warehouse, patience storage.Timeouts) (storage.Store, error) {
	var own *Credentials
	if sealed := rec.GetStore().GetCredentials(); len(sealed) > 0 {
		plain, err := s.opts.Secrets.Open(ctx, purpose(rec.GetName()), sealed)
		if err != nil {
			return nil, fmt.Errorf("%w: its credentials can't be opened: %w", storage.ErrUnavailable, err)
		}
		own = &Credentials{}
		if err := json.Unmarshal(plain, own); err != nil {
			// The parser's error repeats some of them.
			return nil, fmt.Errorf("%w: its credentials can't be read", storage.ErrUnavailable)
		}
	}
	return s.openWith(rec, own, patience)
}

// openWith opens the store of a record with its own credentials; nil are the nodes'. It
// is waited for as long as patience says, or as ever where that is nothing.
func (s *Stores) openWith(rec *state.Warehouse, own *Credentials, patience storage.Timeouts) (storage.Store, error) {
	cfg := s.opts.Config
	cfg.AllowLocations = rec.GetAllowedRoots()
	if patience != (storage.Timeouts{}) {
		cfg.Timeouts = patience
	}
	store := rec.GetStore()
	switch {
	case own != nil:
		own.apply(&cfg, schemeOf(rec.GetRoot()), store)
	case store != nil:
		if store.GetRegion() != "" {
			cfg.S3.Region = store.GetRegion()
		}
		cfg.S3.PathStyle = cfg.S3.PathStyle || store.GetPathStyle()
	}
	return storage.Open(rec.GetRoot(), cfg)
}

// Close closes all stores and opens no more.
func (s *Stores) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for name, k := range s.kept {
		delete(s.kept, name)
		errs = append(errs, k.store.Close())
	}
	return errors.Join(errs...)
}
