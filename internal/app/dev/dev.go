// Package dev runs a cluster of several nodes on one machine, each a process of
// its own, for trying floeberg out: for seeing, too, what happens when one is
// killed.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// MaxNodes is the most nodes of a cluster on one machine.
const MaxNodes = 7

// Options are how the cluster is run.
type Options struct {
	// Nodes is how many processes. Default 3.
	Nodes int
	// Dir holds all data and is kept at the end; "" is a temporary folder that
	// goes with the cluster.
	Dir string
	// Program is the file of the program whose serve command runs a node.
	Program string
	// Out is where the user reads.
	Out io.Writer
	// Environ is the environment of the nodes; settings in it are left out, but
	// for those of the log.
	Environ []string
	// FirstPort is where the first node should listen, if it is free. Default 8181.
	FirstPort int
	// ReadyWithin bounds how long the cluster may take to be ready. Default 60 s,
	// which a machine needs that is busy otherwise.
	ReadyWithin time.Duration
	// RestartAfter is how long a node that ended stays away, for others to be
	// seen doing without it. Default 5 s.
	RestartAfter time.Duration
	// StopWithin bounds how long nodes may take to drain. Default 20 s.
	StopWithin time.Duration
}

func (o *Options) setDefaults() {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.FirstPort == 0 {
		o.FirstPort = 8181
	}
	if o.ReadyWithin == 0 {
		o.ReadyWithin = time.Minute
	}
	if o.RestartAfter == 0 {
		o.RestartAfter = 5 * time.Second
	}
	if o.StopWithin == 0 {
		o.StopWithin = 20 * time.Second
	}
}

// Run runs the cluster until a signal asks for its end, which is no error, or
// until it can't be started. A second signal ends the nodes without draining.
func Run(ctx context.Context, opts Options, signals <-chan os.Signal) error {
	opts.setDefaults()
	place, err := openPlace(opts)
	if err != nil {
		return err
	}
	defer place.leave(opts.Out)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &cluster{opts: opts, place: place, out: &lineWriter{w: opts.Out}}
	for i := range place.Nodes {
		c.nodes = append(c.nodes, newNode(opts, place, i))
	}
	// Whatever happens from here on, no process stays behind.
	defer c.stop(signals)

	fmt.Fprintf(opts.Out, "Starting %d nodes in %s …\n", len(c.nodes), place.dir)
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	if stopped, err := c.waitReady(ctx, signals); stopped || err != nil {
		return err
	}
	if err := c.banner(); err != nil {
		return err
	}
	c.supervise(ctx, signals)
	return nil
}

type cluster struct {
	opts  Options
	place *place
	out   *lineWriter
	nodes []*node
}

// waitReady returns when all nodes are ready, or with stopped when a signal came first.
func (c *cluster) waitReady(ctx context.Context, signals <-chan os.Signal) (stopped bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.ReadyWithin)
	defer cancel()
	ready := make(chan error, len(c.nodes))
	for _, n := range c.nodes {
		go func() { ready <- n.waitReady(ctx) }()
	}
	for range c.nodes {
		select {
		case err := <-ready:
			if err != nil {
				return false, err
			}
		case <-signals:
			return true, nil
		}
	}
	return false, nil
}

// supervise says when a node ends and starts it again, until a signal comes.
func (c *cluster) supervise(ctx context.Context, signals <-chan os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	watchers := make(chan struct{}, len(c.nodes))
	for _, n := range c.nodes {
		go func() {
			c.keep(ctx, n)
			watchers <- struct{}{}
		}()
	}
	select {
	case <-signals:
	case <-ctx.Done():
	}
	cancel()
	for range c.nodes {
		<-watchers
	}
}

// keep starts a node again whenever it ends.
func (c *cluster) keep(ctx context.Context, n *node) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.process().done:
		}
		c.out.printf("%s (pid %d) ended: %s. The others go on; it is started again in %s.",
			n.id, n.process().pid, n.process().ending(), c.opts.RestartAfter)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(c.opts.RestartAfter):
			}
			err := n.start()
			if err == nil {
				break
			}
			c.out.printf("%s can't be started (%v); trying again in %s.", n.id, err, c.opts.RestartAfter)
		}
		c.out.printf("%s runs again: kill -9 %d", n.id, n.process().pid)
		readyCtx, cancel := context.WithTimeout(ctx, c.opts.ReadyWithin)
		err := n.waitReady(readyCtx)
		cancel()
		switch {
		case err == nil:
			c.out.printf("%s is ready.", n.id)
		case ctx.Err() != nil:
			return
		default:
			c.out.printf("%v", err)
		}
	}
}

// stop lets all nodes drain and kills those that take too long, or all when
// another signal comes.
func (c *cluster) stop(signals <-chan os.Signal) {
	running := 0
	ended := make(chan struct{}, len(c.nodes))
	for _, n := range c.nodes {
		p := n.process()
		if p == nil || p.hasEnded() {
			continue
		}
		running++
		p.signal(syscall.SIGTERM)
		go func() {
			<-p.done
			ended <- struct{}{}
		}()
	}
	if running == 0 {
		return
	}
	c.out.printf("Stopping %d nodes …", running)
	timer := time.NewTimer(c.opts.StopWithin)
	defer timer.Stop()
	for running > 0 {
		select {
		case <-ended:
			running--
		case <-signals:
			c.killAll()
		case <-timer.C:
			c.out.printf("Not all nodes ended within %s: killing them.", c.opts.StopWithin)
			c.killAll()
		}
	}
}

func (c *cluster) killAll() {
	for _, n := range c.nodes {
		if p := n.process(); p != nil && !p.hasEnded() {
			p.signal(syscall.SIGKILL)
		}
	}
}

var errNoProgram = errors.New("the program's file is not known")
