package catalog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

const (
	// maxPartsAtOnce is how much of a new table goes into the log in one
	// transaction; a larger one is uploaded first. Every node holds an entry in
	// memory several times over, and the log stands still while it is sent.
	maxPartsAtOnce = 4 << 20
	// uploadChunk is how much of an upload goes into one transaction.
	uploadChunk = 1 << 20
	// uploadsAtOnce is how many chunks of an upload are under way at one time.
	uploadsAtOnce = 4
	// uploadLease is how long an upload may take. Past it, what is there belongs to
	// nobody, and the next upload on any node deletes it.
	uploadLease = 30 * time.Minute
)

// upload puts the parts of a large table into the state ahead of the transaction
// that makes a table of them: until then nothing leads to them. A key tells that
// they are there, and another one, which expires, that somebody still works on it.
type upload struct {
	id      []byte
	pending bool // parts may be in the state that no table owns
}

func partsSize(parts []iceberg.Part) int {
	size := 0
	for _, part := range parts {
		size += len(part.JSON)
	}
	return size
}

// begin uploads the parts under the identity that the table is to have.
func (u *upload) begin(ctx context.Context, c *Catalog, ch Change, parts []iceberg.Part, id []byte) error {
	c.sweepUploads(ctx)
	u.id, u.pending = id, true
	expires := c.log.NowMs() + uint64(uploadLease.Milliseconds())
	tx := &command.Transaction{Writes: []*command.Write{
		command.PutValue(state.UploadKey(u.id), nil),
		command.PutExpiring(state.UploadLeaseKey(u.id), nil, expires),
	}}
	if err := c.uploadChunk(ctx, ch, tx); err != nil {
		return err
	}
	return u.send(ctx, c, ch, parts)
}

// send uploads the parts, several chunks at a time: whatever order they land in,
// the parts are the same.
func (u *upload) send(ctx context.Context, c *Catalog, ch Change, parts []iceberg.Part) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	places := make(chan struct{}, uploadsAtOnce)
	var sending sync.WaitGroup
	for len(parts) > 0 && ctx.Err() == nil {
		places <- struct{}{}
		tx := &command.Transaction{Preconditions: []*command.Precondition{command.KeyPresent(state.UploadLeaseKey(u.id))}}
		for size := 0; len(parts) > 0 && size < uploadChunk; parts = parts[1:] {
			tx.Writes = append(tx.Writes, command.PutValue(state.PartKey(u.id, uint8(parts[0].List), parts[0].Ordinal), parts[0].JSON))
			size += len(parts[0].JSON)
		}
		sending.Go(func() {
			defer func() { <-places }()
			if err := c.uploadChunk(ctx, ch, tx); err != nil {
				stop(err)
			}
		})
	}
	sending.Wait()
	if ctx.Err() == nil {
		return nil
	}
	if err := context.Cause(ctx); KindOf(err) != "" {
		return err
	}
	return refuseBecause(KindUnavailable, ctx.Err(), "The table can't be written to the log in time; nothing was changed, try again")
}

// uploadChunk puts one transaction of an upload into the log. What it left behind
// where that fails is seen by nobody, so even an unknown outcome is "nothing changed".
func (c *Catalog) uploadChunk(ctx context.Context, ch Change, tx *command.Transaction) error {
	for _, g := range ch.Guards {
		tx.Preconditions = append(tx.Preconditions, g.precondition())
	}
	res, err := c.log.Propose(ctx, tx)
	switch {
	case errors.Is(err, ErrQueueFull):
		return refuseBecause(KindBusy, err, "Too many changes are waiting; nothing was changed, try again")
	case err != nil:
		return refuseBecause(KindUnavailable, err, "The table can't be written to the log; nothing was changed, try again")
	case res.Outcome != command.Applied:
		return refuse(KindUnavailable, "The table can't be written to the log in time; nothing was changed, try again")
	}
	c.noteProposed(res.Index)
	return nil
}

// finish adds to a plan what makes the uploaded parts a table's own.
func (u *upload) finish(p *plan) {
	p.require(command.KeyPresent(state.UploadLeaseKey(u.id)))
	p.write(command.DeleteKey(state.UploadKey(u.id)), command.DeleteKey(state.UploadLeaseKey(u.id)))
	p.then(func(command.Result) { u.pending = false })
}

// discard deletes what was uploaded for a change that certainly did not apply.
func (u *upload) discard(ctx context.Context, c *Catalog) {
	if u.pending {
		// The request may have been given up, which is no reason to leave it there.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		c.dropUpload(ctx, u.id)
	}
}

// sweepUploads deletes what others, or nodes that were lost, did not bring to an end.
func (c *Catalog) sweepUploads(ctx context.Context) {
	left, err := c.uploadsLeft(ctx)
	if err != nil {
		c.logger.WarnContext(ctx, "uploads that were given up can't be looked for", "error", err)
		return
	}
	for _, id := range left {
		c.dropUpload(ctx, id, command.KeyAbsent(state.UploadLeaseKey(id)))
	}
}

// uploadsLeft gives the uploads that nobody works on any more.
func (c *Catalog) uploadsLeft(ctx context.Context) (left [][]byte, err error) {
	v, err := c.view(ctx, Read{Consistency: Linearizable})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	var ids [][]byte
	err = v.Scan(state.SpaceRange(state.SpaceUpload), func(key []byte, _ state.Value) bool {
		if id, ok := state.UploadID(key); ok {
			ids = append(ids, id)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		_, live, err := v.Get(state.UploadLeaseKey(id))
		if err != nil {
			return nil, err
		}
		if !live {
			left = append(left, id)
		}
	}
	return left, nil
}

// dropUpload deletes an upload. Where that fails, the next sweep does it.
func (c *Catalog) dropUpload(ctx context.Context, id []byte, conds ...*command.Precondition) {
	parts := state.PartsOf(id)
	_, err := c.log.Propose(ctx, &command.Transaction{
		Preconditions: append(conds, command.KeyPresent(state.UploadKey(id))),
		Writes: []*command.Write{
			command.DeleteKey(state.UploadKey(id)), command.DeleteKey(state.UploadLeaseKey(id)),
			command.DeleteKeys(parts.Start, parts.End),
		},
	})
	if err != nil {
		c.logger.WarnContext(ctx, "parts of a table that was not made stay in the state for a while", "error", err)
	}
}
