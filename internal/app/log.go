package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/config"
)

// catalogLog is the cluster as the catalog sees it.
type catalogLog struct {
	node *cluster.Node
}

// Propose implements catalog.Log.
func (l *catalogLog) Propose(ctx context.Context, tx *command.Transaction) (command.Result, error) {
	res, err := l.node.Propose(ctx, tx)
	return res, proposalError(err)
}

// proposalError is a proposal's error as the catalog knows it. Only what is known
// to mean "nothing was proposed" is passed on as that: a client that is told so
// repeats its change. All else, also what this code has never heard of, is unknown.
func proposalError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cluster.ErrUnknown):
		return fmt.Errorf("%w: %w", catalog.ErrOutcomeUnknown, err)
	case errors.Is(err, cluster.ErrUnavailable) && errors.Is(err, cluster.ErrRemoved):
		return fmt.Errorf("%w: %w: %w", catalog.ErrNotProposed, catalog.ErrNotMember, err)
	case errors.Is(err, cluster.ErrBusy):
		return fmt.Errorf("%w: %w", catalog.ErrQueueFull, err)
	case errors.Is(err, cluster.ErrUnavailable), errors.Is(err, cluster.ErrInvalidTransaction):
		return fmt.Errorf("%w: %w", catalog.ErrNotProposed, err)
	}
	return fmt.Errorf("%w: %w", catalog.ErrOutcomeUnknown, err)
}

// View implements catalog.Log.
func (l *catalogLog) View(ctx context.Context, read catalog.Read) (*state.View, error) {
	v, err := l.node.View(ctx, clusterConsistency(read.Consistency), read.MaxStaleness)
	if errors.Is(err, cluster.ErrRemoved) {
		return nil, fmt.Errorf("%w: %w", catalog.ErrNotMember, err)
	}
	return v, err
}

// WaitApplied implements catalog.Log.
func (l *catalogLog) WaitApplied(ctx context.Context, index uint64) error {
	return l.node.WaitApplied(ctx, index)
}

// NowMs implements catalog.Log.
func (l *catalogLog) NowMs() uint64 { return l.node.NowMs() }

// taskLog is the cluster as the background jobs see it.
type taskLog struct {
	*cluster.Node
	machine *fsm.Machine
}

// View implements tasks.Log.
func (l taskLog) View() (*state.View, error) { return l.machine.View() }

// clusterConsistency and catalogConsistency take what they do not know for the
// strictest.
func clusterConsistency(c catalog.Consistency) cluster.Consistency {
	switch c {
	case catalog.Bounded:
		return cluster.Bounded
	case catalog.Stale:
		return cluster.Stale
	case catalog.Linearizable:
	}
	return cluster.Linearizable
}

func catalogConsistency(c config.Consistency) catalog.Consistency {
	switch c {
	case config.Bounded:
		return catalog.Bounded
	case config.Stale:
		return catalog.Stale
	case config.Linearizable:
	}
	return catalog.Linearizable
}
