package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// A node that comes back to its cluster lets nobody in before it can serve: a client
// whose connection is refused asks the next node at once, one that got in would wait
// for this one. How far it is, its leader knows, and every other node tells.
const (
	// doorPatience is how long the door stays shut while the node comes no nearer to
	// that: without a leader, operators and readers who need no current state are
	// served, and who asks is told what is wrong.
	doorPatience = 3 * time.Second
	// doorShutFor bounds it all, however near the node may be: whoever restarts what
	// does not answer must not do so for ever.
	doorShutFor = 2 * time.Minute
	// doorPoll is how often a node that starts looks whether it is ready, doorNews
	// how often it says in its log why it is not.
	doorPoll, doorNews = 5 * time.Millisecond, 5 * time.Second
)

// door is a listener that lets nobody in until it is opened. Its port is taken
// from the beginning.
type door struct {
	*net.TCPListener
	once   sync.Once
	opened chan struct{}
	err    error // of opening; set before opened is closed
}

// newDoor listens, and shuts the door again where it is to be shut. A port that the
// system chose would be lost by that, so it stays open.
func newDoor(ctx context.Context, address string, shut bool) (*door, error) {
	var config net.ListenConfig
	// Multipath TCP, which Go listens for by default, has had kernels fail where such
	// a listener was shut.
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	d := &door{TCPListener: listener.(*net.TCPListener), opened: make(chan struct{})}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "0" {
		shut = false
	}
	if shut && canPause {
		err = pauseListening(d.TCPListener)
	} else {
		d.once.Do(func() { close(d.opened) })
	}
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	return d, nil
}

// open lets everybody in. Opening again does nothing, nor does opening a door that
// was closed.
func (d *door) open() error {
	d.once.Do(func() {
		if err := resumeListening(d.TCPListener); err != nil && !errors.Is(err, net.ErrClosed) {
			d.err = fmt.Errorf("listen %s: %w", d.Addr(), err)
		}
		close(d.opened)
	})
	return d.err
}

// Close implements net.Listener. Whoever waits for the door waits no longer. Closing
// again does nothing.
func (d *door) Close() error {
	err := d.TCPListener.Close()
	d.once.Do(func() { close(d.opened) })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// returning tells whether the node was in a cluster before. One that is new has to
// be looked at while it finds one.
func (a *App) returning() bool {
	_, err := os.Stat(a.folder.in(raftFolder))
	return err == nil
}

// openDoor waits until the node is ready, or does not come nearer to that any more,
// and lets clients in. The node is complete by then: where the context ends, as it
// does when the node is to stop, it is stopped like any other, and not as a start
// that failed.
func (a *App) openDoor(ctx context.Context) error {
	a.patience.Stop()
	begun := time.Now()
	news := begun.Add(doorNews)
	ticker := time.NewTicker(doorPoll)
	defer ticker.Stop()
	for {
		why, now := a.Ready(), time.Now()
		if why == nil || now.Sub(begun) > doorShutFor || now.Sub(begun) > doorPatience && now.Sub(a.node.Nearer()) > doorPatience {
			break
		}
		if now.After(news) {
			news = now.Add(doorNews)
			a.logger.InfoContext(ctx, "no client is let in yet", slog.Any("because", why))
		}
		select {
		case <-ticker.C:
			continue
		case <-a.door.opened:
		case <-ctx.Done():
			return nil
		}
		break
	}
	if err := a.door.open(); err != nil {
		return fmt.Errorf("http-listen: %w", err)
	}
	return nil
}
