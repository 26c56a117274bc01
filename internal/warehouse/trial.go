package warehouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/storage"
)

// patience is how long a store is waited for that is tried: who asks waits for it, and a
// store that works answers in milliseconds.
var patience = storage.Timeouts{Attempt: 4 * time.Second, Total: 8 * time.Second, Attempts: 3}

// probeContent is what is written to a store to see whether it comes back.
var probeContent = []byte("floeberg tried whether it can work here. This file can be deleted.\n")

// trial tries whether the catalog can work in a store, before anything is proposed that
// needs it. The attempts at one change have one trial.
type trial struct {
	stores *Stores
	newID  func() [16]byte

	tried *state.Warehouse // with nothing but what the store depends on
	err   error
}

// of tries the store of a record, once while it is the same one. Own are its credentials
// where they are its own and not sealed.
func (t *trial) of(ctx context.Context, rec *state.Warehouse, own *Credentials) error {
	subject := &state.Warehouse{Name: rec.GetName(), Root: rec.GetRoot(), AllowedRoots: rec.GetAllowedRoots(), Store: proto.CloneOf(rec.GetStore())}
	if own != nil {
		subject.Store.Credentials = nil // of the attempt before
	}
	if t.tried != nil && proto.Equal(t.tried, subject) {
		return t.err
	}
	t.tried = subject
	t.err = t.run(ctx, rec, own)
	return t.err
}

func (t *trial) run(ctx context.Context, rec *state.Warehouse, own *Credentials) error {
	var store storage.Store
	var err error
	if own == nil && len(rec.GetStore().GetCredentials()) > 0 {
		store, err = t.stores.open(ctx, rec, patience)
	} else {
		store, err = t.stores.openWith(rec, own, patience)
	}
	if err != nil {
		return failed("the store can't be opened", err)
	}
	defer func() { _ = store.Close() }() // It has nothing but idle connections.
	for _, root := range rootsOf(rec) {
		if err := t.probe(ctx, store, root); err != nil {
			return err
		}
	}
	return nil
}

// probe writes, reads and deletes an object below a root.
func (t *trial) probe(ctx context.Context, store storage.Store, root string) error {
	location := fmt.Sprintf("%s/.floeberg-probe-%x", strings.TrimSuffix(root, "/"), t.newID())
	if err := store.Put(ctx, location, slices.Clone(probeContent)); err != nil {
		if errors.Is(err, storage.ErrUnavailable) {
			t.cleanUp(ctx, store, location) // It may be there all the same.
		}
		return failed("an object can't be written below "+root, err)
	}
	found, err := store.Get(ctx, location, int64(len(probeContent)))
	if err == nil && !bytes.Equal(found, probeContent) {
		err = storage.ErrCorrupt
	}
	if err != nil {
		t.cleanUp(ctx, store, location)
		return failed("an object that was written below "+root+" can't be read", err)
	}
	if err := store.Delete(ctx, location); err != nil {
		return failed("an object that was written below "+root+" can't be deleted, and stays there as "+location, err)
	}
	return nil
}

// cleanUp deletes what a trial that failed may have left. There is nothing to be done
// where that fails too: it is one small object that says what it is.
func (t *trial) cleanUp(ctx context.Context, store storage.Store, location string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience.Attempt)
	defer cancel()
	_ = store.Delete(ctx, location)
}

// failed is the refusal for a store that does not do its part. Nothing was proposed.
func failed(what string, err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		return catalog.Refuse(catalog.KindUnavailable, "%s; nothing was changed, try again: %v", upper(what), err)
	}
	return catalog.Refuse(catalog.KindStoreRefused, "%s; nothing was changed: %v", upper(what), err)
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
