package app

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/floeberg/floeberg/internal/storage"
)

// lateStore is the object store of the default warehouse. Where that is, the
// replicated state says and no single node: a node that joins, or whose settings
// differ, learns it only there.
type lateStore struct {
	config storage.Config

	known chan struct{} // closed once there is a store

	mu    sync.RWMutex
	roots []string
	store storage.Store
}

func newLateStore(config storage.Config) *lateStore {
	return &lateStore{config: config, known: make(chan struct{})}
}

// open opens the store that holds these roots. The same ones again change nothing.
func (s *lateStore) open(root string, allowed []string) error {
	roots := append([]string{root}, allowed...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store != nil && slices.Equal(roots, s.roots) {
		return nil
	}
	cfg := s.config
	cfg.AllowLocations = allowed
	next, err := storage.Open(root, cfg)
	if err != nil {
		return fmt.Errorf("opening the warehouse at %s: %w", root, err)
	}
	old := s.store
	s.store, s.roots = next, roots
	if old != nil {
		return old.Close()
	}
	close(s.known)
	return nil
}

// opened gives the store. A node that has only just joined waits for the
// state to tell it where that is.
func (s *lateStore) opened(ctx context.Context) (storage.Store, error) {
	select {
	case <-s.known:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: this node does not know the warehouse yet: %w", storage.ErrUnavailable, ctx.Err())
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.store == nil {
		return nil, fmt.Errorf("%w: this node is stopping", storage.ErrUnavailable)
	}
	return s.store, nil
}

// Put implements catalog.Store.
func (s *lateStore) Put(ctx context.Context, location string, body []byte) error {
	store, err := s.opened(ctx)
	if err != nil {
		return err
	}
	return store.Put(ctx, location, body)
}

// Get implements catalog.Store.
func (s *lateStore) Get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	store, err := s.opened(ctx)
	if err != nil {
		return nil, err
	}
	return store.Get(ctx, location, maxBytes)
}

// Exists implements catalog.Store.
func (s *lateStore) Exists(ctx context.Context, location string) (bool, error) {
	store, err := s.opened(ctx)
	if err != nil {
		return false, err
	}
	return store.Exists(ctx, location)
}

// Delete implements catalog.Store.
func (s *lateStore) Delete(ctx context.Context, location string) error {
	store, err := s.opened(ctx)
	if err != nil {
		return err
	}
	return store.Delete(ctx, location)
}

// DeleteMany implements tasks.Store.
func (s *lateStore) DeleteMany(ctx context.Context, locations []string) error {
	store, err := s.opened(ctx)
	if err != nil {
		return err
	}
	return store.DeleteMany(ctx, locations)
}

// EnsureFolder implements catalog.Store.
func (s *lateStore) EnsureFolder(ctx context.Context, location string) error {
	store, err := s.opened(ctx)
	if err != nil {
		return err
	}
	return store.EnsureFolder(ctx, location)
}

func (s *lateStore) close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		return nil
	}
	err := s.store.Close()
	s.store = nil
	return err
}
