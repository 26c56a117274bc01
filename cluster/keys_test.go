package cluster_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/test/output"
)

func gossipKey(i int) []byte { return bytes.Repeat([]byte{byte('A' + i)}, 32) }

func keyID(i int) string { return cluster.GossipKeyID(gossipKey(i)) }

func checkKeyrings(t *testing.T, got []cluster.GossipKeys, nodes int, ids ...string) {
	t.Helper()
	if len(got) != nodes {
		t.Errorf("%d nodes: %+v", len(got), got)
	}
	for _, k := range got {
		if diff := cmp.Diff(ids, k.IDs); diff != "" || k.Error != "" {
			t.Errorf("%s: %s %s", k.Node, k.Error, diff)
		}
	}
}

func wantKeyRefusal(t *testing.T, err error, says ...string) {
	t.Helper()
	if !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestGossipKeysAreChanged(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	seeds := [][]byte{gossipKey(0), gossipKey(0), gossipKey(0)}
	c := clustertest.Start(t, clustertest.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Adjust: func(i int, o *cluster.Options) {
			o.GossipKey, o.KeyringFile = seeds[i], filepath.Join(dirs[i], "gossip.keyring")
		},
	})
	ctx := t.Context()
	follower := c.Node(c.Follower())
	seenByAll := func() {
		t.Helper()
		c.Await("every node to see all", func() string {
			for i := range c.Len() {
				for _, p := range c.Node(i).Status().Peers {
					if !p.Seen {
						return fmt.Sprintf("%s does not see %s", clustertest.ID(i), p.ID)
					}
				}
			}
			return ""
		})
	}
	checkKeyrings(t, follower.Keyring(ctx), 3, keyID(0))

	_, err := follower.UseGossipKey(ctx, keyID(1))
	wantKeyRefusal(t, err, keyID(1), "install it first")
	_, err = follower.RemoveGossipKey(ctx, keyID(0))
	wantKeyRefusal(t, err, keyID(0), "use another one first")

	for range 2 {
		got, err := follower.InstallGossipKey(ctx, gossipKey(1))
		if err != nil {
			t.Fatal(err)
		}
		checkKeyrings(t, got, 3, keyID(0), keyID(1))
	}
	got, err := follower.UseGossipKey(ctx, keyID(1))
	if err != nil {
		t.Fatal(err)
	}
	checkKeyrings(t, got, 3, keyID(1), keyID(0))

	// A node that is down would be left behind.
	down := c.Follower()
	c.StopNode(down)
	asked := c.Node(c.Leader())
	_, err = asked.RemoveGossipKey(ctx, keyID(0))
	wantKeyRefusal(t, err, clustertest.ID(down), "start it")
	for _, k := range asked.Keyring(ctx) {
		if (k.Error != "") != (k.Node == clustertest.ID(down)) {
			t.Errorf("%+v", k)
		}
	}
	// What it has is kept, and counts more than what it is told.
	c.StartNode(down)
	c.WaitReady()
	seenByAll()
	checkKeyrings(t, asked.Keyring(ctx), 3, keyID(1), keyID(0))
	for range 2 {
		got, err := asked.RemoveGossipKey(ctx, keyID(0))
		if err != nil {
			t.Fatal(err)
		}
		checkKeyrings(t, got, 3, keyID(1))
	}
	for i := range c.Len() {
		c.StopNode(i)
		c.StartNode(i)
		c.WaitReady()
	}
	seenByAll()
	mustPropose(t, c.Node(0), put("a", "1"))
	checkKeyrings(t, c.Node(0).Keyring(ctx), 3, keyID(1))

	text := log.String()
	for i := range 2 {
		for _, secret := range []string{string(gossipKey(i)), base64.StdEncoding.EncodeToString(gossipKey(i))} {
			if strings.Contains(text, secret) {
				t.Error("a key is in the log")
			}
		}
		if !strings.Contains(text, keyID(i)) {
			t.Errorf("the change of %s is not in the log", keyID(i))
		}
	}
}

// A node that has other keys than the rest says so, whichever way they differ.
func TestOtherGossipKeys(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		seeds [2][]byte
		says  string
	}{
		"another key":   {[2][]byte{gossipKey(0), gossipKey(1)}, "a key that this node does not have"},
		"none":          {[2][]byte{gossipKey(0), nil}, "the other nodes encrypt gossip"},
		"one too early": {[2][]byte{nil, gossipKey(0)}, "this node encrypts gossip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log output.Buffer
			c := clustertest.Start(t, clustertest.Options{
				Nodes: 2, Stopped: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Adjust: func(i int, o *cluster.Options) { o.GossipKey = tc.seeds[i] },
			})
			c.StartAll()
			c.Await("the second node to say what is wrong", func() string {
				lines := strings.Split(log.String(), "\n")
				if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "node=n2") && strings.Contains(l, tc.says) }) {
					return ""
				}
				return "not yet"
			})
		})
	}
	// Without encryption there is nothing to change.
	c := clustertest.Start(t, clustertest.Options{Nodes: 1})
	_, err := c.Node(0).InstallGossipKey(t.Context(), gossipKey(0))
	wantKeyRefusal(t, err, "--gossip-key")
	checkKeyrings(t, c.Node(0).Keyring(t.Context()), 1)
}
