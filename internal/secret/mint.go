package secret

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// proposeTimeout bounds what is proposed without anybody waiting for it.
const proposeTimeout = 5 * time.Second

// mint makes a data key, which is not yet in the state. A cluster key that wraps and
// does not unwrap, for want of a right, is found out before anything is sealed.
func (b *Box) mint(ctx context.Context) (*state.DataKey, error) {
	key, id := make([]byte, keyBytes), keyID{}
	_, _ = rand.Read(key) // never fails
	_, _ = rand.Read(id[:])
	by := b.ring[0]
	wrapped, err := by.wrap(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	back, err := by.unwrap(ctx, wrapped)
	if err == nil && subtle.ConstantTimeCompare(key, back) != 1 {
		err = errors.New(by.name + ": it does not unwrap what it wrapped")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &state.DataKey{Id: id[:], Wrapped: wrapped, ClusterKey: by.name, CreatedMs: b.opts.Log.NowMs()}, nil
}

// bring is the writes that put a data key into the state as the one to seal with.
func bring(rec *state.DataKey) ([]*command.Write, error) {
	data, err := state.Encode(rec)
	if err != nil {
		return nil, err
	}
	return []*command.Write{
		command.PutValue(state.DataKeyKey(rec.GetId()), data), command.PutValue(state.DataKeySealsKey(rec.GetId()), nil),
	}, nil
}

// provide sees to it that there is a data key to seal with, and that the state says
// what kinds of secrets there may be. The leader does it, and who waits for it.
func (b *Box) provide(ctx context.Context, known *state.DataKeys) {
	var kinds []string
	for _, o := range b.opts.Owners {
		if !slices.Contains(known.Kinds, o.Kind()) {
			kinds = append(kinds, o.Kind())
		}
	}
	b.mu.Lock()
	if known.Seals != nil && len(kinds) == 0 {
		b.minting = nil
	} else if b.minting == nil && b.opts.Log.Leads() {
		b.minting = &attempt{}
	}
	due := b.minting
	b.mu.Unlock()
	if due == nil || time.Now().Before(due.again) {
		return
	}
	err := b.prepare(ctx, known, kinds)
	if err == nil || ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if due.failed(err, &b.opts) {
		b.opts.Logger.Warn("there is no data key to seal secrets with yet; it is tried again", "error", err)
	}
}

// prepare puts into the state what it lacks. Where another node was first, the next
// look finds that.
func (b *Box) prepare(ctx context.Context, known *state.DataKeys, kinds []string) error {
	tx := &command.Transaction{}
	for _, kind := range kinds {
		key := state.SealedKindKey(kind)
		tx.Preconditions = append(tx.Preconditions, command.KeyAbsent(key))
		tx.Writes = append(tx.Writes, command.PutValue(key, nil))
	}
	var rec *state.DataKey
	if known.Seals == nil {
		var err error
		if rec, err = b.mint(ctx); err != nil {
			return err
		}
		writes, err := bring(rec)
		if err != nil {
			return err
		}
		all := state.DataKeysThatSeal()
		tx.Preconditions = append(tx.Preconditions, command.RangeEmpty(all.Start, all.End))
		tx.Writes = append(tx.Writes, writes...)
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	made, err := b.propose(ctx, tx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if made && rec != nil {
		b.opts.Logger.Info("made a data key to seal secrets with", "data_key", keyID(rec.GetId()).String(), "cluster_key", rec.GetClusterKey())
	}
	b.hurry()
	return nil
}

// propose puts a transaction into the log, and waits until this node's state shows what
// became of it. It tells whether it applied.
func (b *Box) propose(ctx context.Context, tx *command.Transaction) (applied bool, err error) {
	res, err := b.opts.Log.Propose(ctx, tx)
	if err != nil {
		return false, err
	}
	if err := b.opts.Log.WaitApplied(ctx, res.Index); err != nil {
		return false, err
	}
	switch res.Outcome {
	case command.Applied:
		return true, nil
	case command.Rejected:
		return false, nil
	case command.Expired, command.Forgotten:
	}
	return false, fmt.Errorf("%w: the log took too long", context.DeadlineExceeded)
}
