package secret

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// Rotation is what a rotation led to.
type Rotation struct {
	// DataKey is the new data key, ClusterKey what it is wrapped with.
	DataKey, ClusterKey string
	// Secrets is how many secrets it seals now.
	Secrets int
	// Left is how many secrets no data key opens that this node has: they are as they were.
	Left int
	// Forgotten are the data keys that sealed nothing any more.
	Forgotten []string
	// Index is the last log entry that is reflected.
	Index uint64
}

// Rotate makes another data key, under the cluster key of this node, seals all secrets
// anew with it, and forgets the data keys that are not needed any more. What is cut off
// in the middle the leader brings to its end by itself; to ask again makes one more key.
//
// It is refused where a node would be left behind that does not hold the cluster key, or
// secrets that this node can't open, unless it is forced.
func (b *Box) Rotate(ctx context.Context, force bool) (*Rotation, error) {
	if len(b.ring) == 0 {
		return nil, ErrNoKey
	}
	b.turning.Lock()
	defer b.turning.Unlock()
	if !force {
		if err := b.opensAll(ctx); err != nil {
			return nil, err
		}
	}
	rec, err := b.mint(ctx)
	if err != nil {
		return nil, err
	}
	if !force {
		if err := b.othersOpen(ctx, rec); err != nil {
			return nil, err
		}
	}
	if err := b.sealWithOnly(ctx, rec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	id := keyID(rec.GetId())
	b.opts.Logger.Info("secrets are sealed with another data key", "data_key", id.String(), "cluster_key", rec.GetClusterKey())
	out := &Rotation{DataKey: id.String(), ClusterKey: rec.GetClusterKey()}
	if err := b.finish(ctx, out); err != nil {
		return nil, fmt.Errorf("%w: the new data key is in use, and what others sealed is not all sealed anew yet; the leader goes on with it: %w", ErrUnavailable, err)
	}
	return out, nil
}

// opensAll refuses where the state has data keys that this node can't open.
func (b *Box) opensAll(ctx context.Context) error {
	v, err := b.opts.Log.Current(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	known, err := v.DataKeys()
	v.Close()
	if err != nil {
		return err
	}
	for _, rec := range known.Keys {
		id, err := readID(rec.GetId())
		if err != nil {
			return err
		}
		if _, err := b.opener(ctx, id); err != nil {
			return fmt.Errorf("%w: secrets under data key %s, wrapped by %s, would stay as they are: %w; give this node that cluster key too, "+
				"as --secret-key-previous, or force it where the cluster key is lost", ErrRefused, id, rec.GetClusterKey(), err)
		}
	}
	return nil
}

// othersOpen refuses where a node can't unwrap a data key.
func (b *Box) othersOpen(ctx context.Context, rec *state.DataKey) error {
	var behind []string
	for _, a := range b.askAll(ctx, question{Try: &trial{ClusterKey: rec.GetClusterKey(), Wrapped: rec.GetWrapped()}}) {
		switch {
		case a.err != nil:
			behind = append(behind, fmt.Sprintf("%s does not answer (%v)", a.node, a.err))
		case a.answer.Problem != "":
			behind = append(behind, fmt.Sprintf("%s can't open what %s wraps (%s)", a.node, rec.GetClusterKey(), a.answer.Problem))
		}
	}
	if len(behind) == 0 {
		return nil
	}
	return fmt.Errorf("%w: nothing was changed, since these nodes would be left behind: %s; give every node the cluster key, or force it", ErrRefused, strings.Join(behind, "; "))
}

// sealWithOnly brings a data key into the state, in the place of the one that seals now.
func (b *Box) sealWithOnly(ctx context.Context, rec *state.DataKey) error {
	writes, err := bring(rec)
	if err != nil {
		return err
	}
	for {
		v, err := b.opts.Log.Current(ctx)
		if err != nil {
			return err
		}
		known, err := v.DataKeys()
		v.Close()
		if err != nil {
			return err
		}
		tx := &command.Transaction{Writes: slices.Clone(writes)}
		if known.Seals == nil {
			all := state.DataKeysThatSeal()
			tx.Preconditions = []*command.Precondition{command.RangeEmpty(all.Start, all.End)}
		} else {
			key := state.DataKeySealsKey(known.Seals)
			tx.Preconditions = []*command.Precondition{command.KeyPresent(key)}
			tx.Writes = append(tx.Writes, command.DeleteKey(key))
		}
		// Rejected is that another rotation came first: this one follows it.
		if applied, err := b.propose(ctx, tx); applied || err != nil {
			b.hurry()
			return err
		}
	}
}

// finish seals anew what other data keys sealed than the one that seals, and forgets
// those that sealed nothing any more. It can be cut off anywhere and done again, by
// several nodes at a time: each secret is replaced only as long as nobody else has
// changed the value that it is in.
func (b *Box) finish(ctx context.Context, out *Rotation) error {
	for {
		r, err := b.survey(ctx)
		if errors.Is(err, errOld) {
			continue
		}
		if err != nil {
			return err
		}
		out.Secrets, out.Left, out.Index = r.uses[r.seals], r.left, r.index
		if len(r.changes) == 0 {
			return b.forgetUnused(ctx, r, out)
		}
		for _, tx := range r.changes {
			// Rejected is that somebody else was first; the next survey tells.
			if _, err := b.propose(ctx, tx); err != nil {
				return err
			}
		}
	}
}

// errOld is returned when a survey looked at a state that is not that of the cluster any
// more: another rotation came to its end meanwhile.
var errOld = errors.New("the state has changed")

// survey is what there is to do in one state.
type survey struct {
	known *state.DataKeys
	seals keyID
	// uses is how many secrets each data key has sealed.
	uses map[keyID]int
	// changes are transactions that seal anew, one for each secret.
	changes []*command.Transaction
	// left is how many can't be opened here.
	left  int
	index uint64
}

func (b *Box) survey(ctx context.Context) (*survey, error) {
	v, err := b.opts.Log.Current(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	// What is found in it is looked for in this node's own state, too.
	if err := b.opts.Log.WaitApplied(ctx, v.Index); err != nil {
		return nil, err
	}
	r := &survey{uses: make(map[keyID]int), index: v.Index}
	if r.known, err = v.DataKeys(); err != nil {
		return nil, err
	}
	if r.known.Seals == nil {
		return nil, errors.New("there is no data key to seal with")
	}
	if r.seals, err = readID(r.known.Seals); err != nil {
		return nil, err
	}
	for _, o := range b.opts.Owners {
		if err := o.Sealed(v, func(rec Record) error { return b.renew(ctx, r, rec) }); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// renew adds to a survey what it takes that a secret is sealed by the key that seals.
func (b *Box) renew(ctx context.Context, r *survey, rec Record) error {
	id, err := sealedBy(rec.Sealed)
	if err != nil {
		return fmt.Errorf("%s: %w", rec.Purpose, err)
	}
	r.uses[id]++
	if id == r.seals {
		return nil
	}
	plain, err := b.opened(ctx, r.known, id, rec)
	switch {
	case err == nil:
		return b.replace(ctx, r, rec, plain)
	case ctx.Err() != nil, errors.Is(err, errOld):
		return err
	}
	r.left++
	b.opts.Logger.Warn("a secret can't be sealed anew, and stays as it is", "purpose", rec.Purpose, "data_key", id.String(), "error", err)
	return nil
}

func (b *Box) opened(ctx context.Context, known *state.DataKeys, id keyID, rec Record) ([]byte, error) {
	if _, ok := known.Find(id[:]); !ok {
		return nil, fmt.Errorf("%w: its data key is gone", ErrDamaged)
	}
	key, err := b.surveyed(ctx, id)
	if err != nil {
		return nil, err
	}
	return openWith(key, rec.Purpose, rec.Sealed)
}

// surveyed gives a data key that a survey found.
func (b *Box) surveyed(ctx context.Context, id keyID) (cipher.AEAD, error) {
	return b.await(ctx, func() (cipher.AEAD, error) {
		key, err := b.key(id)
		if key != nil || err != nil {
			return key, err
		}
		now, err := b.known()
		if err != nil {
			return nil, err
		}
		if _, ok := now.Find(id[:]); !ok {
			return nil, errOld
		}
		return nil, nil
	})
}

func (b *Box) replace(ctx context.Context, r *survey, rec Record, plain []byte) error {
	key, err := b.surveyed(ctx, r.seals)
	if err != nil {
		return err
	}
	writes, err := rec.Put(sealWith(r.seals, key, rec.Purpose, plain))
	if err != nil {
		return err
	}
	r.changes = append(r.changes, &command.Transaction{
		Preconditions: []*command.Precondition{command.KeyUnchanged(rec.Key, rec.Revision), command.KeyPresent(state.DataKeySealsKey(r.seals[:]))},
		Writes:        writes,
	})
	return nil
}

// forgetUnused forgets the data keys that sealed nothing in the survey. Nothing more
// comes under them: see Precondition.
func (b *Box) forgetUnused(ctx context.Context, r *survey, out *Rotation) error {
	for _, kind := range r.known.Kinds {
		if !slices.ContainsFunc(b.opts.Owners, func(o Owner) bool { return o.Kind() == kind }) {
			b.opts.Logger.Info("no data key is forgotten: a newer program keeps secrets that this one does not know", "kind", kind)
			return nil
		}
	}
	for _, rec := range r.known.Keys {
		id, err := readID(rec.GetId())
		if err != nil {
			return err
		}
		if id == r.seals || r.uses[id] > 0 {
			continue
		}
		applied, err := b.propose(ctx, &command.Transaction{
			Preconditions: []*command.Precondition{command.KeyPresent(state.DataKeyKey(id[:])), command.KeyAbsent(state.DataKeySealsKey(id[:]))},
			Writes:        []*command.Write{command.DeleteKey(state.DataKeyKey(id[:]))},
		})
		if err != nil {
			return err
		}
		if applied {
			b.opts.Logger.Info("a data key that sealed nothing any more is forgotten", "data_key", id.String())
		}
		out.Forgotten = append(out.Forgotten, id.String())
	}
	return nil
}

// opener gives a data key, once this node's state has it.
func (b *Box) opener(ctx context.Context, id keyID) (cipher.AEAD, error) {
	return b.await(ctx, func() (cipher.AEAD, error) { return b.key(id) })
}

// resumeTimeout bounds one attempt at what a rotation left undone.
const resumeTimeout = 30 * time.Second

// resume brings a rotation to its end that was cut off.
func (b *Box) resume(ctx context.Context) {
	if !b.turning.TryLock() {
		return
	}
	defer b.turning.Unlock()
	if time.Now().Before(b.finishing.again) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	out := &Rotation{}
	err := b.finish(ctx, out)
	if b.closing.Err() != nil {
		return
	}
	if err == nil && out.Left > 0 {
		err = fmt.Errorf("%d secrets can't be opened here", out.Left)
	}
	if err == nil {
		b.finishing = attempt{}
		return
	}
	if b.finishing.failed(err, &b.opts) {
		b.opts.Logger.Warn("not all secrets are sealed with the new data key yet; it is tried again", "error", err)
	}
}
