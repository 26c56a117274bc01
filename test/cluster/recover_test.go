package cluster_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestRecover takes two of three nodes away for good, with their disks, while
// clients write. The cluster is founded anew of the third: everything that was
// acknowledged is there, two nodes with empty disks join, and writes go on.
func TestRecover(t *testing.T) {
	s := start(t, cluster.Options{Args: []string{"--stabilize-after", "200ms"}})
	c := s.Client()
	survivor := s.MustLeader(t) // it has whatever was acknowledged
	left := s.Nodes[survivor]

	var mu sync.Mutex
	var acknowledged []string
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				name := fresh("acknowledged")
				res, err := c.Do(ctx, client.NamespaceRequest(c, nil, name))
				if err == nil && res.Status == http.StatusOK {
					mu.Lock()
					acknowledged = append(acknowledged, name)
					mu.Unlock()
				}
			}
		})
	}
	err := cluster.Await(within(t, 60*time.Second), "some writes", func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if len(acknowledged) < 100 {
			return context.DeadlineExceeded
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	var killed sync.WaitGroup
	for _, n := range s.Nodes {
		folders = append(folders, "--data-dir", n.Dir)
		if n != left {
			killed.Go(func() {
				if err := n.Kill9(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	killed.Wait()
	stop()
	writers.Wait()
	mine := []string{"cluster", "recover", "--data-dir", left.Dir, "--yes", "--output", "json"}
	if code, _, stderr := floeberg(t, "", mine...); code != 1 || !strings.Contains(stderr, "in use by another process") {
		t.Errorf("of a node that runs: %d %s", code, stderr)
	}
	if err := left.Kill9(); err != nil {
		t.Fatal(err)
	}

	var survey struct {
		Best    string `json:"best"`
		Folders []struct {
			ClusterID string `json:"cluster_id"`
			LastIndex uint64 `json:"last_index"`
			LastTerm  uint64 `json:"last_term"`
		} `json:"folders"`
	}
	code, stdout, stderr := floeberg(t, "", append([]string{"cluster", "recover", "--survey", "--output", "json"}, folders...)...)
	if err := json.Unmarshal([]byte(stdout), &survey); err != nil || code != 0 || len(survey.Folders) != 3 {
		t.Fatalf("surveying: %d %v %s %s", code, err, stdout, stderr)
	}
	for _, f := range survey.Folders {
		if f.ClusterID == "" || f.ClusterID != survey.Folders[0].ClusterID {
			t.Errorf("of which cluster it is: %+v", survey.Folders)
		}
		if last := survey.Folders[survivor]; f.LastTerm > last.LastTerm || f.LastTerm == last.LastTerm && f.LastIndex > last.LastIndex {
			t.Errorf("the one that led has %+v, another %+v", last, f)
		}
	}
	code, stdout, stderr = floeberg(t, "", mine...)
	if code != 0 || !strings.Contains(stderr, "the last change that this folder knows is from ") {
		t.Fatalf("recovering: %d %s %s", code, stdout, stderr)
	}
	t.Logf("%s%s", stderr, stdout)

	for _, n := range s.Nodes {
		if n != left {
			if err := os.RemoveAll(n.Dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	err = cluster.Await(within(t, 60*time.Second), "the node to be ready alone", left.Ready)
	if err != nil {
		t.Fatal(err)
	}
	alone := s.At(survivor)
	for _, name := range acknowledged {
		do(t, alone, http.StatusOK, get(alone.NamespacePath(name)))
	}
	ns := namespace(t, alone)
	name, _ := table(t, alone, ns)
	want := commitAppend(t, alone, ns, name)

	var ids []string
	for _, n := range s.Nodes {
		ids = append(ids, n.ID)
		if n != left {
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitVoters(t, left, ids...)
	if err := s.AwaitReady(within(t, 60*time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range s.Nodes {
		if got := load(t, s.At(i), ns, name); got.MetadataLocation != want.MetadataLocation {
			t.Errorf("%s has %s, want %s", s.Nodes[i].ID, got.MetadataLocation, want.MetadataLocation)
		}
	}
	// Three again: one may go.
	if err := left.Kill9(); err != nil {
		t.Fatal(err)
	}
	commitAppend(t, s.But(survivor), ns, name)
	t.Logf("%d acknowledged writes, all there", len(acknowledged))
}
