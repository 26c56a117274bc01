package identity

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

const (
	// useEvery is how often the last use of a key is written at most, by all nodes
	// together: what is written is older than the last use by no more than that and flushEvery.
	useEvery = time.Hour
	// flushEvery is how often it is looked whether something is to be written.
	flushEvery = time.Minute
	// usesAtOnce bounds a transaction.
	usesAtOnce = 256
)

// Uses remembers when keys were last used, and writes it down now and then: a log
// entry for each request would cost more than the request. What a node has seen and
// not written is lost with its process.
type Uses struct {
	log    Log
	logger *slog.Logger
	seen   sync.Map // key id → *atomic.Uint64, replicated time
}

// NewUses makes one over a log.
func NewUses(log Log, logger *slog.Logger) *Uses { return &Uses{log: log, logger: logger} }

// Note notes that a key was used.
func (u *Uses) Note(id string, nowMs uint64) {
	last, known := u.seen.Load(id)
	if !known {
		last, _ = u.seen.LoadOrStore(id, &atomic.Uint64{})
	}
	last.(*atomic.Uint64).Store(nowMs)
}

// Run writes what is due, over and over, until the context ends.
func (u *Uses) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := u.Flush(ctx); err != nil && ctx.Err() == nil {
			u.logger.DebugContext(ctx, "when keys were last used was not written", slog.Any("error", err))
		}
	}
}

// Flush writes what is due now.
func (u *Uses) Flush(ctx context.Context) error {
	due, err := u.due(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(due, usesAtOnce) {
		_, err := u.log.Transact(ctx, catalog.Change{}, state.KeyUseKey(""), func(_ context.Context, v *state.View) (*catalog.Plan, error) {
			return planUses(v, some)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// use is when a key was used.
type use struct {
	id string
	ms uint64
}

// due finds what is to be written, and forgets what is not.
func (u *Uses) due(ctx context.Context) ([]use, error) {
	v, err := u.log.View(ctx, catalog.Read{Consistency: catalog.Stale})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	var due []use
	u.seen.Range(func(key, last any) bool {
		one := use{key.(string), last.(*atomic.Uint64).Load()}
		var wanted bool
		if _, wanted, err = wants(v, one); wanted {
			due = append(due, one)
		} else if err == nil {
			// Of a use between the look and this the next one tells.
			u.seen.Delete(key)
		}
		return err == nil
	})
	return due, err
}

// wants tells whether a use is worth writing down.
func wants(v *state.View, u use) (*found, bool, error) {
	entry, revision, ok, err := v.KeyEntry(u.id)
	if err != nil || !ok {
		return nil, false, err
	}
	rec, _, ok, err := v.APIKey(entry.Hash)
	if err != nil || !ok {
		return nil, false, err
	}
	before, err := lastUsed(v, u.id)
	if err != nil {
		return nil, false, err
	}
	return &found{rec: rec, hash: entry.Hash, entry: revision}, u.ms >= before+uint64(useEvery.Milliseconds()), nil
}

// planUses is the transaction that writes uses down, as far as they are still wanted.
func planUses(v *state.View, uses []use) (*catalog.Plan, error) {
	p := &catalog.Plan{Nothing: true}
	for _, one := range uses {
		f, wanted, err := wants(v, one)
		if err != nil {
			return nil, err
		}
		if !wanted {
			continue
		}
		data, err := state.Encode(&state.KeyUse{UsedMs: one.ms})
		if err != nil {
			return nil, err
		}
		// The entry changes when the key ends: what is kept of it must go with it.
		p.Preconditions = append(p.Preconditions, command.KeyUnchanged(state.KeyIDKey(one.id), f.entry))
		if err := unchanged(v, p, state.KeyUseKey(one.id)); err != nil {
			return nil, err
		}
		p.Writes = append(p.Writes, command.PutExpiring(state.KeyUseKey(one.id), data, f.rec.KeptUntilMs()))
		p.Nothing = false
	}
	return p, nil
}
