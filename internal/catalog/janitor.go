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
	// closeTimeout bounds what Close waits for deletions: a dead store must not
	// hold up the end of a node.
	closeTimeout = 2 * time.Second
	// maxOrphans bounds the files that wait to be deleted. Past it they stay:
	// they cost space, and waiting for a slow store would cost clients time.
	maxOrphans = 1024
	// sweepers is how many files are deleted at one time, so that a store far away
	// keeps up with the commits of tables that keep few old files.
	sweepers = 8
)

// janitor deletes, behind the requests' backs, metadata files that no table
// points to and none ever will: because their proposal certainly did not and
// will not apply, or because they are off their table's metadata log.
type janitor struct {
	orphans chan orphan
	waiting atomic.Int64 // queued or under way
	closing chan struct{}
	done    sync.WaitGroup
	// ctx ends the deletions under way.
	ctx    context.Context
	giveUp context.CancelFunc
}

// orphan is a file that no table points to, in a warehouse's store.
type orphan struct{ warehouse, location string }

func (c *Catalog) startJanitor() {
	j := &c.janitor
	j.orphans = make(chan orphan, maxOrphans)
	j.closing = make(chan struct{})
	j.ctx, j.giveUp = context.WithCancel(context.Background())
	for range sweepers {
		j.done.Go(c.sweepAll)
	}
}

// sweepAll deletes what comes until the catalog is closed, and then what is left.
func (c *Catalog) sweepAll() {
	for {
		select {
		case o := <-c.janitor.orphans:
			c.sweep(o)
			continue
		case <-c.janitor.closing:
		}
		select {
		case o := <-c.janitor.orphans:
			c.sweep(o)
		default:
			return
		}
	}
}

func (c *Catalog) sweep(o orphan) {
	defer c.janitor.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(c.janitor.ctx, cleanupTimeout)
	defer cancel()
	store, err := c.storeOf(ctx, o.warehouse)
	if err == nil {
		err = store.Delete(ctx, o.location)
	}
	if err != nil {
		c.keepOrphan(o.location, err.Error())
	}
}

// deleteOrphans has files of a warehouse deleted. A failure costs space and nothing else.
func (c *Catalog) deleteOrphans(warehouse string, locations ...string) {
	for _, location := range locations {
		select {
		case <-c.janitor.closing:
			c.keepOrphan(location, "the node is stopping")
			continue
		default:
		}
		c.janitor.waiting.Add(1)
		select {
		case c.janitor.orphans <- orphan{warehouse, location}:
		default:
			c.janitor.waiting.Add(-1)
			c.keepOrphan(location, "too many files wait to be deleted")
		}
	}
}

func (c *Catalog) keepOrphan(location, why string) {
	c.logger.Warn("a metadata file that no table points to stays", "location", location, "reason", why)
	if call := c.opts.Observer.OrphanKept; call != nil {
		call(location)
	}
}

// Close waits until the files that are to be deleted are, but not for long. It is
// called once. Requests that are still under way lose nothing by it: the files
// that they leave behind stay.
func (c *Catalog) Close() {
	close(c.janitor.closing)
	timer := time.AfterFunc(closeTimeout, c.janitor.giveUp)
	defer timer.Stop()
	c.janitor.done.Wait()
	c.janitor.giveUp()
}
