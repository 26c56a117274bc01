package cluster_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// backup is the stream of a state with rows that no test writes otherwise.
func backup(t *testing.T, rows int) (stream []byte, header fsm.Header) {
	t.Helper()
	m, err := fsm.Open(fsm.Options{Dir: filepath.Join(t.TempDir(), "backup"), Halt: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	tx := put("restored", "yes")
	tx.Id, tx.DeadlineMs = bytes.Repeat([]byte{7}, command.IDBytes), 1<<62
	for i := range rows {
		tx.Writes = append(tx.Writes, command.PutValue(key(fmt.Sprintf("old %06d", i)), []byte("old")))
	}
	data, err := command.Encode(&command.Entry{Commands: []*command.Command{{TimeMs: 1, Kind: &command.Command_Transaction{Transaction: tx}}}}, command.FirstVersion)
	if err != nil {
		t.Fatal(err)
	}
	if err, failed := m.Apply(&raft.Log{Index: 1_000_000, Term: 3, Type: raft.LogCommand, Data: data}).(error); failed {
		t.Fatal(err)
	}
	var out bytes.Buffer
	header, err = m.WriteSnapshot(&out)
	if err := errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), header
}

// A cluster takes on the state of a backup through its log, while others write:
// all nodes end with the same, one too that was away and one that died in the middle.
func TestRestoreThroughTheLog(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	stream, header := backup(t, 20_000)
	identified(c)
	leader := c.Leader()
	away, through := (leader+1)%3, (leader+2)%3
	c.KillNode(away)

	var done sync.WaitGroup
	ended := make(chan struct{})
	for i := range 4 {
		done.Add(1)
		go func() {
			defer done.Done()
			for round := 0; ; round++ {
				select {
				case <-ended:
					return
				default:
				}
				tx := put(fmt.Sprintf("writer %d", i), fmt.Sprint(round))
				if _, err := c.Node(leader).Propose(within(t, 20*time.Second), tx); err != nil {
					t.Errorf("a writer: %v", err)
					return
				}
			}
		}()
	}
	const space = 0x7F // nobody else's
	piece := func(i int) []byte { return fmt.Appendf([]byte{space}, "%03d", i) }
	const size = 64 << 10
	for i := 0; i*size < len(stream); i++ {
		mustPropose(t, c.Node(through), &command.Transaction{
			Writes: []*command.Write{command.PutValue(piece(i), stream[i*size:min((i+1)*size, len(stream))])},
		})
	}
	// A restore keeps what the cluster is: without its id, nodes that start again would
	// take the others for another cluster.
	view, err := c.Machine(through).View()
	if err != nil {
		t.Fatal(err)
	}
	identity, ok, err := view.Get(state.ClusterKey())
	own := bytes.Clone(identity.Data)
	view.Close()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	restored := mustPropose(t, c.Node(through), &command.Transaction{
		Writes: []*command.Write{
			command.PutValue(key("restored"), []byte("by an entry")), command.PutValue(state.ClusterKey(), own),
		},
		Restore: command.RestoreFrom(piece(0), piece(999)),
	})
	if restored.Revision <= header.Revision {
		t.Errorf("revision %d does not go on from %d", restored.Revision, header.Revision)
	}
	c.KillNode(through)
	c.StartNode(away)
	c.StartNode(through)
	close(ended)
	done.Wait()
	c.WaitReady()

	last := mustPropose(t, c.Node(away), put("last", "1"))
	for i := range 3 {
		if got := mustRead(t, c.Node(i), "restored"); got != "by an entry" {
			t.Errorf("%s: %q", clustertest.ID(i), got)
		}
		if got := mustRead(t, c.Node(i), "old 019999"); got != "old" {
			t.Errorf("%s: %q", clustertest.ID(i), got)
		}
		if err := c.Node(i).WaitApplied(within(t, 20*time.Second), last.Index); err != nil {
			t.Fatal(err)
		}
	}
	c.Await("equal checksums", func() string {
		sum, index := c.Machine(0).Checksum()
		for i := 1; i < 3; i++ {
			if s, at := c.Machine(i).Checksum(); s != sum || at != index {
				return fmt.Sprintf("%x at %d and %x at %d", sum, index, s, at)
			}
		}
		return ""
	})
}

// What is committed is the same on all nodes; what was cut off is said to be.
func TestCommitted(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: func(_ int, o *cluster.Options) { o.TrailingLogs = 10 }})
	for i := range 50 {
		mustPropose(t, c.Node(i%3), put("k", fmt.Sprint(i)))
	}
	leader := c.Node(c.Leader())
	last := leader.CommitIndex()
	want, err := leader.Committed(1, 1_000, 1<<20)
	if err != nil || len(want) != int(last) {
		t.Fatalf("%d of %d entries, %v", len(want), last, err)
	}
	for i := range 3 {
		c.Await("everything committed", func() string {
			got, err := c.Node(i).Committed(1, int(last), 1<<20)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				return fmt.Sprintf("%s: %v, %s", clustertest.ID(i), err, diff)
			}
			return ""
		})
	}
	if got, err := leader.Committed(5, 3, 1<<20); err != nil || len(got) != 3 || got[0].Index != 5 {
		t.Errorf("three entries: %v, %v", got, err)
	}
	if got, err := leader.Committed(5, 100, 1); err != nil || len(got) != 1 {
		t.Errorf("one byte: %v, %v", got, err)
	}
	if got, err := leader.Committed(leader.CommitIndex()+1, 100, 1); err != nil || len(got) != 0 {
		t.Errorf("what is not committed: %v, %v", got, err)
	}
	if err := leader.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.Committed(1, 100, 1<<20); !errors.Is(err, cluster.ErrLogCut) {
		t.Errorf("what was cut off: %v", err)
	}
}
