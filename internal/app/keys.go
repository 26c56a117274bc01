package app

import (
	"context"
	"log/slog"

	"github.com/floeberg/floeberg/internal/identity"
)

// noteUses has this node write down, now and then, when API keys were last used here.
func (a *App) noteUses(log identity.Log) *identity.Uses {
	uses := identity.NewUses(log, a.logger.With(slog.String("room", "identity")))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		uses.Run(ctx)
	}()
	a.undo.add("ending notes of the use of keys", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
	return uses
}
