package identity

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// PublishSigningKey writes what a node's signatures are checked with into the state of
// all nodes.
func PublishSigningKey(ctx context.Context, log Log, id string, rec *state.SigningKey) error {
	data, err := state.Encode(rec)
	if err != nil {
		return err
	}
	key := state.SigningKeyKey(id)
	_, err = log.Transact(ctx, catalog.Change{}, key, func(context.Context, *state.View) (*catalog.Plan, error) {
		return &catalog.Plan{Writes: []*command.Write{command.PutExpiring(key, data, rec.ExpiresMs)}}, nil
	})
	return err
}
