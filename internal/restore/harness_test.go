package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/archive"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/restore"
	"github.com/floeberg/floeberg/internal/storage"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// log is a node as restores see it.
type log struct {
	*cluster.Node
	machine *fsm.Machine
}

func (l log) Current(ctx context.Context) (*state.View, error) {
	return l.Node.View(ctx, cluster.Linearizable, 0)
}

func (l log) View() (*state.View, error) { return l.machine.View() }

func write(t *testing.T, n *cluster.Node, writes ...*command.Write) command.Result {
	t.Helper()
	r, err := n.Propose(within(t, 20*time.Second), &command.Transaction{Writes: writes})
	if err != nil || r.Outcome != command.Applied {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

func put(t *testing.T, key []byte, record proto.Message) *command.Write {
	t.Helper()
	data, err := state.Encode(record)
	if err != nil {
		t.Fatal(err)
	}
	return command.PutValue(key, data)
}

// origin is a cluster that was, its backups, and its warehouse.
type origin struct {
	t    *testing.T
	c    *clustertest.Cluster
	root string // of backups
	dir  string // the same, as a folder
	keys *backup.Keys

	store     storage.Store
	warehouse string // folder
	vault     *backup.Vault
	archive   *archive.Archive
	snapshots []*backup.Manifest
}

func newOrigin(t *testing.T, keys *backup.Keys) *origin {
	t.Helper()
	o := &origin{t: t, dir: t.TempDir(), warehouse: t.TempDir(), keys: keys}
	o.root = "file://" + o.dir
	var err error
	if o.store, err = storage.Open(o.root, storage.Config{AllowLocations: []string{"file://" + o.warehouse}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	})
	o.c = single(t)
	id := o.c.Node(0).ClusterID()
	if o.vault, err = backup.Open(backup.Options{Store: o.store, Root: o.root, ClusterID: id, Keys: keys, Hurry: true}); err != nil {
		t.Fatal(err)
	}
	opts := archive.Options{Store: o.store, Folder: backup.ClusterFolder(o.root, id), ClusterID: id}
	if keys != nil {
		opts.Keys = keys
	}
	if o.archive, err = archive.Open(opts); err != nil {
		t.Fatal(err)
	}
	write(t, o.c.Node(0),
		put(t, state.WarehouseKey("default"), &state.Warehouse{Name: "default", Root: "file://" + o.warehouse}),
		put(t, state.NamespaceKey("default", []string{"ns"}), &state.Namespace{Path: []string{"ns"}}),
		put(t, state.DataKeyKey(oldDataKey), &state.DataKey{Id: oldDataKey}), command.PutValue(state.DataKeySealsKey(oldDataKey), nil),
		put(t, state.APIKeyKey([]byte("old key")), &state.APIKey{Id: "old", Groups: []string{"admin"}}))
	return o
}

// oldDataKey is of the cluster that is lost, newDataKey of the one that takes its state on.
var oldDataKey, newDataKey = []byte("old data key 123"), []byte("new data key 123")

// single is a cluster of one node, with an identity.
func single(t *testing.T) *clustertest.Cluster {
	t.Helper()
	c := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) { o.GossipListen = "" }})
	identity(c, 0)
	return c
}

func identity(c *clustertest.Cluster, i int) {
	c.Await("an identity", func() string {
		if c.Node(i).ClusterID() == "" {
			return "there is none"
		}
		return ""
	})
}

// tables makes tables whose metadata files are there.
func (o *origin) tables(from, to int) {
	o.t.Helper()
	for i := from; i < to; i++ {
		file := filepath.Join(o.warehouse, fmt.Sprint("t", i, ".json"))
		if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
			o.t.Fatal(err)
		}
		name := fmt.Sprint("t", i)
		write(o.t, o.c.Node(0), put(o.t, state.TableKey("default", []string{"ns"}, name), &state.Table{
			Id: []byte(fmt.Sprintf("%016d", i)), MetadataLocation: "file://" + file, Location: "file://" + o.warehouse + "/" + name,
		}))
	}
}

func (o *origin) snapshot() *backup.Manifest {
	o.t.Helper()
	m, err := o.vault.Create(o.t.Context(), o.c.Machine(0), backup.About{Node: "n"}, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	o.snapshots = append(o.snapshots, m)
	return m
}

// log archives entries from one to another.
func (o *origin) log(from, to uint64) {
	o.t.Helper()
	entries, err := o.c.Node(0).Committed(from, int(to-from+1), 1<<30)
	if err != nil || len(entries) == 0 {
		o.t.Fatal(entries, err)
	}
	if _, _, err := o.archive.Write(o.t.Context(), 0, entries); err != nil {
		o.t.Fatal(err)
	}
}

// sums are the checksums of the state at each index.
func (o *origin) sums() map[uint64][16]byte {
	o.t.Helper()
	entries, err := o.c.Node(0).Committed(1, 1<<20, 1<<30)
	if err != nil {
		o.t.Fatal(err)
	}
	m, err := fsm.Open(fsm.Options{Dir: o.t.TempDir(), Halt: func(err error) { o.t.Error(err) }})
	if err != nil {
		o.t.Fatal(err)
	}
	out := make(map[uint64][16]byte)
	for _, e := range entries {
		if err := m.Replay([]fsm.Entry{e}); err != nil {
			o.t.Fatal(err)
		}
		out[e.Index], _ = m.Checksum()
	}
	if err := m.Close(); err != nil {
		o.t.Fatal(err)
	}
	return out
}

func (o *origin) place() *restore.Place {
	return &restore.Place{Store: o.store, Root: o.root, Keys: o.keys}
}

func (o *origin) clusterID() string { return o.vault.ClusterID() }

// restorer is one on a node of a new cluster.
func (o *origin) restorer(c *clustertest.Cluster, i int, place *restore.Place) *restore.Restorer {
	o.t.Helper()
	return o.restorerOver(log{c.Node(i), c.Machine(i)}, c, i, place)
}

// files are those of every warehouse.
type files struct{ storage.Store }

func (f files) Exists(ctx context.Context, _, location string) (bool, error) {
	return f.Store.Exists(ctx, location)
}

// restorerOver is one that sees its node as l.
func (o *origin) restorerOver(l restore.Log, c *clustertest.Cluster, i int, place *restore.Place) *restore.Restorer {
	o.t.Helper()
	r, err := restore.New(restore.Options{
		Log: l,
		Open: func(_ context.Context, url string) (*restore.Place, error) {
			if url != "" && url != o.root {
				return nil, backup.ErrNoStore
			}
			return place, nil
		},
		Files: files{o.store}, Restored: func() error { return nil },
		Node: clustertest.ID(i), Scratch: filepath.Join(c.Dir(i), "scratch"), Beat: 20 * time.Millisecond,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			o.t.Error(err)
		}
	})
	return r
}

// ended waits for a restore's end.
func ended(t *testing.T, c *clustertest.Cluster, r *restore.Restorer, id string) *restore.Restore {
	t.Helper()
	var last *restore.Restore
	c.Await("the end of the restore", func() string {
		var err error
		if last, err = r.Get(within(t, 10*time.Second), id); err != nil {
			return err.Error()
		}
		if last.Status != restore.Done && last.Status != restore.Failed {
			return fmt.Sprintf("%+v", last)
		}
		return ""
	})
	return last
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v instead of %v", what, err, want)
	}
}
