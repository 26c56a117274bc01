// Package catalog is the use cases: what a client may ask of namespaces, tables
// and views, made of reads of the replicated state and transactions that change it.
package catalog

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// Namespace is a path, outermost first.
type Namespace []string

// String is the path as messages show it.
func (n Namespace) String() string { return strings.Join(n, ".") }

// Identifier names a table or a view in a warehouse.
type Identifier struct {
	Namespace Namespace
	Name      string
}

// String is the identifier as messages show it.
func (i Identifier) String() string { return i.Namespace.String() + "." + i.Name }

// Consistency is how current a read must be.
type Consistency uint8

// The consistencies.
const (
	// Linearizable never shows less than what was acknowledged before the read began.
	Linearizable Consistency = iota
	// Bounded may be as old as the caller's bound.
	Bounded
	// Stale is whatever this node has.
	Stale
)

// Read is how a read is to be done.
type Read struct {
	Consistency  Consistency
	MaxStaleness time.Duration
}

// Change is what every mutation carries beside its own arguments.
type Change struct {
	// Principal is who asks: Idempotency-Keys of different principals never meet.
	Principal string
	// Key is the Idempotency-Key; "" is none.
	Key string
	// Guards are the records that the caller's right rests on: the change lands
	// only while each is at the revision that was judged.
	Guards []Guard
	// Fingerprint is the hash of method, path and body that the key is bound to.
	Fingerprint []byte

	// warehouse is the name of the one that it is in, and warehouseID tells that one
	// from others that had the name; both are set by the catalog.
	warehouse   string
	warehouseID []byte
}

// In is the change as one of what belongs to a warehouse: its Idempotency-Key is not
// answered with what belonged to another one of the name.
func (ch Change) In(warehouse string) Change {
	ch.warehouse = warehouse
	return ch
}

// Guard is a key of the replicated state and the revision that it must still have;
// revision 0 is that there must still be none.
type Guard struct {
	Key      []byte
	Revision uint64
}

// holds tells whether the guard holds in a state.
func (g Guard) holds(v *state.View) (bool, error) {
	got, ok, err := v.Get(g.Key)
	return err == nil && ok == (g.Revision != 0) && (!ok || got.Revision == g.Revision), err
}

// precondition is the guard as transactions carry it.
func (g Guard) precondition() *command.Precondition {
	if g.Revision == 0 {
		return command.KeyAbsent(g.Key)
	}
	return command.KeyUnchanged(g.Key, g.Revision)
}

// Page is which part of a listing is asked for.
type Page struct {
	// Paged tells that the client sent a page token, if only an empty one;
	// without it the whole listing is the answer.
	Paged bool
	// Token is where the last page ended; "" is the start.
	Token string
	// Size is the most entries of a page; 0 leaves it to the catalog.
	Size int
	// Filter is what of it the one who asks may see; nil is all. Pages are cut of what
	// is seen, and no token tells of what is not.
	Filter Filter
}

// Filter decides which entries of a listing are seen.
type Filter interface {
	// Allows decides about the entry of a name, which is the last of its path.
	Allows(name string) bool
	// Ranges are where all names are that can be allowed, in byte order and apart from
	// each other: what is elsewhere is not looked at.
	Ranges() []state.NameRange
}

// FilterFunc is a filter that decides about each entry alone.
type FilterFunc func(name string) bool

// Allows implements Filter.
func (f FilterFunc) Allows(name string) bool { return f(name) }

// Ranges implements Filter: they are everywhere.
func (FilterFunc) Ranges() []state.NameRange { return []state.NameRange{{}} }

// NamespaceInfo is a namespace as clients see it.
type NamespaceInfo struct {
	Path       Namespace
	Properties map[string]string // with "location"
	Index      uint64            // log index that the answer reflects
	Revision   uint64
}

// PropertiesChange is what an update of properties did.
type PropertiesChange struct {
	Updated, Removed, Missing []string
	Index                     uint64
}

// Table is one generation of a table as clients see it.
type Table struct {
	// MetadataLocation is "" for a staged create.
	MetadataLocation string
	// Metadata is the document; nil where the caller's Unless held.
	Metadata []byte
	// ID and Revision name the generation: equal on all nodes.
	ID       []byte
	Revision uint64
	// WarehouseRevision changes with the warehouse's settings.
	WarehouseRevision uint64
	Index             uint64
}

// LoadOptions is how a table is to be loaded.
type LoadOptions struct {
	Read
	// RefsOnly leaves out snapshots that no branch or tag refers to.
	RefsOnly bool
	// Unless, where it holds of the generation found, saves making the document:
	// the caller has it already.
	Unless func(*Table) bool
}

// CreateTable is a request for a new table.
type CreateTable struct {
	Identifier
	Location      string // "" leaves it to the catalog
	Schema        json.RawMessage
	PartitionSpec json.RawMessage // nil is unpartitioned
	SortOrder     json.RawMessage // nil is unsorted
	Properties    map[string]string
	Stage         bool
}

// CommitTable is a request to change a table, or to create one that was staged.
type CommitTable struct {
	Identifier
	Requirements []iceberg.Requirement
	Updates      []iceberg.Update
}

// RegisterTable is a request to make a table of a metadata file that is there.
type RegisterTable struct {
	Identifier
	MetadataLocation string
	// Overwrite puts it in the place of a table that has the name.
	Overwrite bool
}

// View is one generation of a view as clients see it.
type View struct {
	MetadataLocation string
	Metadata         []byte
	// ID and Revision name the generation: equal on all nodes.
	ID       []byte
	Revision uint64
	// WarehouseRevision changes with the warehouse's settings.
	WarehouseRevision uint64
	Index             uint64
}

// CreateView is a request for a new view.
type CreateView struct {
	Identifier
	Location   string // "" leaves it to the catalog
	Schema     json.RawMessage
	Version    json.RawMessage
	Properties map[string]string
}

// ReplaceView is a request to change a view.
type ReplaceView struct {
	Identifier
	Requirements []iceberg.Requirement
	Updates      []iceberg.Update
}

// RegisterView is a request to make a view of a metadata file that is there.
type RegisterView struct {
	Identifier
	MetadataLocation string
}
