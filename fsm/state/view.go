// Package state names the keys of the replicated state, encodes their values
// and reads them back, typed.
package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Value is what is stored under a key.
type Value struct {
	// Data is the proposer's bytes. It is valid until the view is closed.
	Data []byte
	// Revision is the transaction that wrote it: 1 is the first of the cluster's life.
	Revision uint64
}

// Reader reads one unchanging state. Expired values are not seen.
type Reader interface {
	// Get returns the value under key; ok is false where there is none.
	Get(key []byte) (v Value, ok bool, err error)
	// Scan calls fn for each key of the range in order until it returns false.
	// Key and value are valid only during the call.
	Scan(r KeyRange, fn func(key []byte, v Value) bool) error
}

// View is one unchanging state and where in the log it stands.
type View struct {
	Reader
	// Index is the last log entry whose effects are in it.
	Index uint64
	// TimeMs is the replicated time at that entry, milliseconds since the Unix epoch.
	TimeMs uint64

	release func()
}

// NewView makes a view over a reader; release is called once, by Close.
func NewView(r Reader, index, timeMs uint64, release func()) *View {
	return &View{Reader: r, Index: index, TimeMs: timeMs, release: release}
}

// Close gives the view's resources back. It must be called exactly once.
func (v *View) Close() {
	if v.release != nil {
		v.release()
		v.release = nil
	}
}

func load(r Reader, key []byte, into proto.Message) (revision uint64, ok bool, err error) {
	v, ok, err := r.Get(key)
	if err != nil || !ok {
		return 0, false, err
	}
	if err := Decode(v, into); err != nil {
		return 0, false, fmt.Errorf("key %x: %w", key, err)
	}
	return v.Revision, true, nil
}

// Decode reads a record from a stored value.
func Decode(v Value, into proto.Message) error {
	if err := proto.Unmarshal(v.Data, into); err != nil {
		return fmt.Errorf("state: unreadable record: %w", err)
	}
	return nil
}

// Encode writes a record as a value to store.
func Encode(record proto.Message) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("state: record can't be encoded: %w", err)
	}
	return data, nil
}

// Cluster returns the cluster's identity.
func (v *View) Cluster() (*Cluster, bool, error) {
	rec := &Cluster{}
	_, ok, err := load(v, ClusterKey(), rec)
	return rec, ok, err
}

// Member returns what was decided about a node; there is nothing about most.
func (v *View) Member(id string) (*Member, bool, error) {
	rec := &Member{}
	_, ok, err := load(v, MemberKey(id), rec)
	return rec, ok, err
}

// Warehouse returns a warehouse by name and its revision.
func (v *View) Warehouse(name string) (*Warehouse, uint64, bool, error) {
	rec := &Warehouse{}
	rev, ok, err := load(v, WarehouseKey(name), rec)
	return rec, rev, ok, err
}

// Namespace returns a namespace and its revision.
func (v *View) Namespace(warehouse string, path []string) (*Namespace, uint64, bool, error) {
	rec := &Namespace{}
	rev, ok, err := load(v, NamespaceKey(warehouse, path), rec)
	return rec, rev, ok, err
}

// Table returns what a table's name leads to and its revision, which changes
// with every commit: it is the table's generation.
func (v *View) Table(warehouse string, namespace []string, name string) (*Table, uint64, bool, error) {
	rec := &Table{}
	rev, ok, err := load(v, TableKey(warehouse, namespace, name), rec)
	return rec, rev, ok, err
}

// View returns what a view's name leads to and its revision.
func (v *View) View(warehouse string, namespace []string, name string) (*ViewEntry, uint64, bool, error) {
	rec := &ViewEntry{}
	rev, ok, err := load(v, ViewKey(warehouse, namespace, name), rec)
	return rec, rev, ok, err
}

// APIKey returns the API key with this secret's hash and its revision.
func (v *View) APIKey(hash []byte) (*APIKey, uint64, bool, error) {
	rec := &APIKey{}
	rev, ok, err := load(v, APIKeyKey(hash), rec)
	return rec, rev, ok, err
}

// Task returns a background job and its revision.
func (v *View) Task(id []byte) (*Task, uint64, bool, error) {
	rec := &Task{}
	rev, ok, err := load(v, TaskKey(id), rec)
	return rec, rev, ok, err
}

// Answer returns the remembered answer to a principal's Idempotency-Key.
func (v *View) Answer(principal, key string) (*Answer, bool, error) {
	rec := &Answer{}
	_, ok, err := load(v, AnswerKey(principal, key), rec)
	return rec, ok, err
}

// Empty tells whether a range holds no value.
func (v *View) Empty(r KeyRange) (bool, error) {
	empty := true
	err := v.Scan(r, func([]byte, Value) bool {
		empty = false
		return false
	})
	return empty, err
}
