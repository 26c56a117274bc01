package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// lossyWay is a node's way to the others, on which an answer can be lost: what
// comes is dropped, and the connection breaks.
type lossyWay struct {
	dial cluster.Dial

	mu   sync.Mutex
	from string
	due  func() bool // nil while nothing is to be lost
	lost bool
	came int // reads that got something after the loss
}

// loseAnswer has the first answer be lost that comes from an address once it is due.
func (w *lossyWay) loseAnswer(from string, due func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from, w.due = from, due
}

func (w *lossyWay) seen() (lost bool, came int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost, w.came
}

func (w *lossyWay) loses(from string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case from != w.from:
	case w.lost:
		w.came++
	case w.due != nil && w.due():
		w.lost = true
		return true
	}
	return false
}

// Dial is a cluster.Dial.
func (w *lossyWay) Dial(ctx context.Context, to string) (net.Conn, error) {
	conn, err := w.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, way: w, to: to}, nil
}

type lossyConn struct {
	net.Conn
	way *lossyWay
	to  string
}

var errAnswerLost = errors.New("the answer was lost")

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.way.loses(c.to) {
		return 0, errors.Join(errAnswerLost, c.Close())
	}
	return n, err
}

// Leadership that is to go to anybody moves once, also where the leader did it and
// nobody heard so. The node that asks has no vote: there is one way to move, and
// one back.
func TestLeadershipMovesOnceWhereTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, cutOff := range map[string]bool{"the next leader is heard of": false, "the next leader is not heard of at first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const asker = 2
			var way lossyWay
			c := clustertest.Start(t, clustertest.Options{Adjust: quick(2, func(i int, o *cluster.Options) {
				o.HeartbeatTimeout = 2 * time.Second // no election but the one that is asked for
				if i == asker {
					o.Nonvoter, o.HeartbeatTimeout = true, time.Minute // it clings to the leader that it knows
					way.dial, o.Dial = o.Dial, way.Dial
				}
			})})
			leader := c.Leader()
			next := 1 - leader
			was := c.Node(leader)
			term := was.Status().Term
			if cutOff {
				c.Network.Cut(c.Address(asker), c.Address(next))
			}
			way.loseAnswer(c.Address(leader), func() bool { return was.Status().State != "Leader" })
			ctx, done := within(t, 20*time.Second), make(chan error, 1)
			go func() { done <- c.Node(asker).Transfer(ctx, "") }()
			if cutOff {
				c.Await("the answer to be lost and the question to be repeated", func() string {
					lost, came := way.seen()
					// Ten are more than a new connection has before its first answer.
					if len(done) == 0 && (!lost || came < 10) {
						return fmt.Sprintf("lost: %t, then came %d times something", lost, came)
					}
					return ""
				})
				c.Network.Heal(c.Address(asker))
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			c.Await("the other node to lead", func() string {
				if s := c.Node(next).Status(); s.State != "Leader" {
					return s.State
				}
				return ""
			})
			if now := c.Node(next).Status().Term; now != term+1 {
				t.Errorf("the term went from %d to %d: leadership moved %d times", term, now, now-term)
			}
		})
	}
}
