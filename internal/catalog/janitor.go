package catalog

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// cleanupTimeout bounds one deletion.
	cleanupTimeout = 30 * time.Second
	// maxOrphans bounds the files that wait to be deleted. Past it they stay:
	// they cost space, and waiting for a slow store would cost clients time.
	maxOrphans = 1024
)

// janitor deletes, behind the requests' backs, metadata files that no table
// points to and, because their proposal certainly did not and will not apply,
// none ever will.
type janitor struct {
	orphans chan string
	waiting atomic.Int64 // queued or under way
	done    sync.WaitGroup
}

func (c *Catalog) startJanitor() {
	c.janitor.orphans = make(chan string, maxOrphans)
	c.janitor.done.Go(func() {
		for location := range c.janitor.orphans {
			c.sweep(location)
			c.janitor.waiting.Add(-1)
		}
	})
}

func (c *Catalog) sweep(location string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := c.store.Delete(ctx, location); err != nil {
		c.keepOrphan(location, err.Error())
	}
}

// deleteOrphan has a file deleted.
func (c *Catalog) deleteOrphan(location string) {
	c.janitor.waiting.Add(1)
	select {
	case c.janitor.orphans <- location:
	default:
		c.janitor.waiting.Add(-1)
		c.keepOrphan(location, "too many files wait to be deleted")
	}
}

func (c *Catalog) keepOrphan(location, why string) {
	c.logger.Warn("the metadata file of a change that did not apply stays", "location", location, "reason", why)
	if call := c.opts.Observer.OrphanKept; call != nil {
		call(location)
	}
}

// Close waits until the files that are to be deleted are. No other method may
// be called any more.
func (c *Catalog) Close() {
	close(c.janitor.orphans)
	c.janitor.done.Wait()
}
