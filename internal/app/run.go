package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

const (
	// drainGrace bounds a stop: requests under way have 30 s at most, but few take
	// a tenth of it, and supervisors kill what takes longer than this. Those that do
	// are given up before; see endHTTP.
	drainGrace = 25 * time.Second
	// haltGrace bounds the stop of a node that can't go on: others wait for its end.
	haltGrace = 3 * time.Second
)

// ErrInterrupted is returned when a second signal cut a stop short.
var ErrInterrupted = errors.New("interrupted while draining")

// Run makes a node and runs it; see App.Run.
func Run(ctx context.Context, opts Options, signals <-chan os.Signal) error {
	a, err := New(opts)
	if err != nil {
		return err
	}
	return a.Run(ctx, signals)
}

var (
	errStartHangs = errors.New("the start did not end in time")
	errStopHangs  = errors.New("the node did not stop in time")
)

// Run starts the node and runs it until the context or a signal ends it, which
// is no error, or until it can't go on. SIGHUP reads what can change in a running
// node; a second SIGTERM or interrupt ends it at once.
func (a *App) Run(ctx context.Context, signals <-chan os.Signal) error {
	if done, err := a.begin(ctx, signals); done {
		return err
	}
	for {
		select {
		case err := <-a.Halted():
			return a.afterHalt(err)
		case <-ctx.Done():
			return a.drain(signals)
		case s := <-signals:
			if s == syscall.SIGHUP {
				a.reload()
				continue
			}
			a.logger.Info("draining", slog.String("signal", s.String()))
			return a.drain(signals)
		}
	}
}

// begin starts the node; done is set where that was all. Whatever is to end the
// node meanwhile waits for the start, which is cut short: what is still being built
// can't be taken down. A second signal does not wait.
func (a *App) begin(ctx context.Context, signals <-chan os.Signal) (done bool, err error) {
	startCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- a.Start(startCtx) }()
	var (
		halted      = a.Halted()
		late        <-chan time.Time
		reason      error
		interrupted os.Signal
		reload      bool
	)
	for {
		select {
		case err := <-started:
			switch {
			case reason != nil && errors.Is(err, context.Canceled):
				a.logger.Info("the start was cut short", slog.Any("error", err))
				return true, reason
			case err != nil && interrupted != nil:
				err = errors.Join(fmt.Errorf("%w while starting", ErrInterrupted), err)
			case err == nil && reason != nil:
				return true, a.afterHalt(reason)
			case err == nil && (interrupted != nil || ctx.Err() != nil):
				return true, a.drain(signals)
			case err == nil && reload:
				a.reload()
			}
			return err != nil, errors.Join(reason, err)
		case reason = <-halted:
			halted, late = nil, time.After(a.haltGrace)
			cancel()
		case <-late:
			return true, errors.Join(reason, errStartHangs)
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				reload = true
			case interrupted != nil:
				return true, fmt.Errorf("%w while starting", ErrInterrupted)
			default:
				interrupted = s
				cancel()
			}
		}
	}
}

// Stop drains the node and stops it: it is not ready from here on, hands
// leadership over, and lets requests under way finish, in the time that the
// context leaves.
func (a *App) Stop(ctx context.Context) error {
	a.draining.Store(true)
	if a.node != nil {
		// First, while requests are still taken: those under way are carried out by
		// the new leader, and the others hardly see a gap.
		a.node.HandOver(ctx)
	}
	return a.undo.run(ctx)
}

func (a *App) drain(signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainGrace)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(ctx) }()
	var reason error
	late := time.After(drainGrace + a.haltGrace)
	for {
		select {
		case err := <-stopped:
			err = errors.Join(reason, err)
			if err == nil {
				a.logger.Info("the node has stopped")
			}
			return err
		case reason = <-a.Halted():
			// What halted may be what has to be stopped.
			a.logger.Error("this node can't go on, and stops as it is", slog.Any("reason", reason))
			late = time.After(a.haltGrace)
		case <-late:
			return errors.Join(reason, errStopHangs)
		case s := <-signals:
			if s != syscall.SIGHUP {
				return ErrInterrupted
			}
		}
	}
}

// afterHalt says why the node can't go on, in one line, and ends it.
func (a *App) afterHalt(reason error) error {
	a.logger.Error("this node can't go on and stops; the others do", slog.Any("reason", reason))
	ctx, cancel := context.WithTimeout(context.Background(), a.haltGrace)
	defer cancel()
	stopped := make(chan error, 1)
	// What halted may be what has to be stopped: it is not waited for.
	go func() { stopped <- a.Stop(ctx) }()
	select {
	case err := <-stopped:
		return errors.Join(reason, err)
	case <-ctx.Done():
		return reason
	}
}
