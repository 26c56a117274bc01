package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/floeberg/floeberg/fsm/fsmtest"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/storage"
)

const clusterID = "7d5c6a1e-0000-4000-8000-000000000001"

// site is a state and a store for its snapshots, a local folder.
type site struct {
	t      testing.TB
	log    *fsmtest.Log
	store  *faultyStore
	root   string
	folder string // of the cluster's snapshots
	rows   int
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	root := "file://" + filepath.Join(dir, "snapshots store")
	store, err := storage.Open(root, storage.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &site{
		t: t, log: fsmtest.NewLog(t), store: &faultyStore{Store: store}, root: root,
		folder: filepath.Join(dir, "snapshots store", clusterID, "snapshots"),
	}
	s.log.Put(t, state.ClusterKey(), &state.Cluster{Id: clusterID, CreatedMs: 1})
	s.grow(100)
	return s
}

// grow adds rows to the state, some of them larger than a block of the stream.
func (s *site) grow(rows int) {
	s.t.Helper()
	for range rows {
		s.rows++
		value := fmt.Appendf(nil, "value %d ", s.rows)
		if s.rows%50 == 0 {
			value = make([]byte, 1<<20+s.rows) // which no compression makes smaller
			_, _ = rand.NewChaCha8([32]byte{byte(s.rows)}).Read(value)
		}
		s.log.PutBytes(s.t, state.NamespaceKey("wh", []string{fmt.Sprintf("ns%06d", s.rows)}), value)
	}
}

// vault is the cluster's; options change what is usual.
func (s *site) vault(change ...func(*backup.Options)) *backup.Vault {
	s.t.Helper()
	opts := backup.Options{Store: s.store, Root: s.root, ClusterID: clusterID, Hurry: true}
	for _, c := range change {
		c(&opts)
	}
	v, err := backup.Open(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

var about = backup.About{Node: "n1", Version: "1.2.3", Members: []backup.Member{{ID: "n1", Address: "127.0.0.1:1", Voter: true}}}

func (s *site) create(v *backup.Vault) *backup.Manifest {
	s.t.Helper()
	m, err := v.Create(s.t.Context(), s.log.Machine(), about, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// files are the names in the cluster's folder of snapshots.
func (s *site) files() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *site) path(name string) string { return filepath.Join(s.folder, name) }

// damage changes an object in the store.
func (s *site) damage(name string, change func([]byte) []byte) {
	s.t.Helper()
	body, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), change(body), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// faultyStore is a store that fails as it is told.
type faultyStore struct {
	storage.Store

	mu sync.Mutex
	// down makes every call fail.
	down bool
	// flip changes a byte of what is uploaded, cut drops its end.
	flip, cut bool
	// noManifest makes writes of manifests fail.
	noManifest bool
	// uploads counts them.
	uploads int
	// during is called in each upload, once some of it was read.
	during func()
}

var errDown = fmt.Errorf("%w: the test says so", storage.ErrUnavailable)

func (s *faultyStore) set(change func(*faultyStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *faultyStore) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	return nil
}

func (s *faultyStore) Put(ctx context.Context, location string, body []byte) error {
	s.mu.Lock()
	fails := s.noManifest
	s.mu.Unlock()
	if fails {
		return errDown
	}
	return errors.Join(s.failing(), s.Store.Put(ctx, location, body))
}

func (s *faultyStore) Get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	if err := s.failing(); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, location, maxBytes)
}

func (s *faultyStore) Upload(ctx context.Context, location string, body io.Reader) (int64, error) {
	s.mu.Lock()
	s.uploads++
	flip, cut, during := s.flip, s.cut, s.during
	s.mu.Unlock()
	return s.Store.Upload(ctx, location, &faultyReader{s: s, r: body, flip: flip, cut: cut, during: during})
}

func (s *faultyStore) Download(ctx context.Context, location string) (io.Reader, int64, error) {
	if err := s.failing(); err != nil {
		return nil, 0, err
	}
	return s.Store.Download(ctx, location)
}

func (s *faultyStore) List(ctx context.Context, location string) iter.Seq2[storage.Object, error] {
	if err := s.failing(); err != nil {
		return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, err) }
	}
	return s.Store.List(ctx, location)
}

// faultyReader is a body on its bad way into a store.
type faultyReader struct {
	s         *faultyStore
	r         io.Reader
	read      int
	flip, cut bool
	during    func()
}

const faultAt = 100_000

func (r *faultyReader) Read(p []byte) (int, error) {
	if err := r.s.failing(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	before := r.read
	r.read += n
	if before <= faultAt && faultAt < r.read {
		if r.during != nil {
			r.during()
		}
		if r.flip {
			p[faultAt-before] ^= 1
		}
		if r.cut {
			_, err = io.Copy(io.Discard, r.r)
			return faultAt - before, errors.Join(err, io.EOF)
		}
	}
	return n, err
}
