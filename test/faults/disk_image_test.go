package faults

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

// TestOldDisk starts a follower again from a copy of its disk that is older than
// what it acknowledged since. It has forgotten entries and votes, which Raft does
// not allow for, so no other node may be missing: then the two others have all
// that was acknowledged, the node catches up, and it can't lead before it has.
func TestOldDisk(t *testing.T) {
	c, l := start(t, cluster.Options{}, load.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), workers)
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))

	victim := c.Nodes[c.Follower(t)]
	must(t, victim.Kill9())
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.CopyFS(image, os.DirFS(victim.Dir)))
	must(t, victim.Start())
	must(t, c.AwaitReady(within(t, time.Minute)))
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))

	must(t, victim.Kill9())
	// What is acknowledged now is on both others.
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
	must(t, os.RemoveAll(victim.Dir))
	must(t, os.CopyFS(victim.Dir, os.DirFS(image)))
	must(t, os.Chmod(victim.Dir, 0o700))
	must(t, victim.Start())
	must(t, c.AwaitReady(within(t, time.Minute)))

	leader := c.Nodes[c.MustLeader(t)]
	must(t, leader.Kill9())
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
	must(t, leader.Start())
	must(t, c.AwaitReady(within(t, time.Minute)))
	cancel()
	l.Wait()
	judge(t, c, l, noFailure)
}
