package identity

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Log is the replicated log and the state that it leads to, as rooms beside the
// catalog use it.
type Log interface {
	// Transact carries out a change; see catalog.Catalog.
	Transact(ctx context.Context, ch catalog.Change, name []byte, attempt func(context.Context, *state.View) (*catalog.Plan, error)) (*state.Answer, error)
	// View gives the state as current as a read asks for. The caller closes it.
	View(ctx context.Context, read catalog.Read) (*state.View, error)
	// NowMs is the replicated time, milliseconds since the Unix epoch.
	NowMs() uint64
}

// Status is where a key stands.
type Status string

// The statuses.
const (
	// Active is a key that is honoured.
	Active Status = "active"
	// Rotated is a key that is honoured until its end, with another one made in its place.
	Rotated Status = "rotated"
	// Expired is a key whose time is over.
	Expired Status = "expired"
	// Revoked is a key that was taken away.
	Revoked Status = "revoked"
)

// Key is an API key as operators see it: without its secret, which nobody has but
// who was given it.
type Key struct {
	// ID names the key.
	ID   string
	Name string
	// Principal is whose key it is: it stays when the key is rotated.
	Principal string
	Groups    []string
	Tenant    string
	Status    Status
	Created   time.Time
	// Expires is zero where it never does.
	Expires time.Time
	// Revoked is zero where it was not.
	Revoked time.Time
	// LastUsed is coarse, see Uses; zero where no use is known.
	LastUsed time.Time
	// Index is the log index that it reflects.
	Index uint64
}

// List is a page of keys, by id.
type List struct {
	Keys  []Key
	Next  string // "" on the last page
	Index uint64
}

// Minted is a key that was just made. Its secret is nowhere else.
type Minted struct {
	Key
	Secret string
	// Warnings are what its maker should know.
	Warnings []string
	// Replaced is the key in whose place it was made; nil where there is none.
	Replaced *Key
}

// Keys is the API keys of the cluster. It is safe for concurrent use.
type Keys struct {
	log  Log
	mint func() string
}

// NewKeys makes the use cases over a log. Mint makes new secrets.
func NewKeys(log Log, mint func() string) (*Keys, error) {
	if log == nil || mint == nil {
		return nil, errors.New("identity: a log and a mint are required")
	}
	return &Keys{log: log, mint: mint}, nil
}

// found is a key's record and what it was found by.
type found struct {
	rec      *state.APIKey
	hash     []byte
	revision uint64
	entry    uint64 // revision of what its id leads to
}

// find looks for a key by its id. Who belongs to a tenant finds no other tenant's.
func find(v *state.View, by authz.Principal, id string) (*found, error) {
	entry, entryRevision, ok, err := v.KeyEntry(id)
	if err != nil {
		return nil, catalog.Broken(err)
	}
	if !ok {
		return nil, noSuchKey(id)
	}
	rec, revision, ok, err := v.APIKey(entry.Hash)
	if err != nil {
		return nil, catalog.Broken(err)
	}
	if !ok || rec.Id != id || !by.Knows(rec.Tenant) {
		return nil, noSuchKey(id)
	}
	return &found{rec: rec, hash: entry.Hash, revision: revision, entry: entryRevision}, nil
}

func noSuchKey(id string) error {
	return catalog.Refuse(catalog.KindNoSuchKey, "API key does not exist: %s", catalog.Brief(id))
}

// mayGive refuses a key that would give more than who asks for it has. To rotate a
// key is to get it, and to revoke one is to have power over it, so it holds for those too.
func mayGive(by authz.Principal, groups []string, tenant string) error {
	if !by.Knows(tenant) {
		return catalog.Refuse(catalog.KindKeyForbidden, "Forbidden: who belongs to tenant %s gives keys of that tenant only", by.Tenant)
	}
	if slices.Contains(by.Groups, authz.GroupAdmin) {
		return nil
	}
	for _, group := range groups {
		if !slices.Contains(by.Groups, group) {
			return catalog.Refuse(catalog.KindKeyForbidden, "Forbidden: group %s can be given by those who are in it, and by admins", group)
		}
	}
	return nil
}

// put adds to a plan the record of a key and all that leads to it.
func put(v *state.View, p *catalog.Plan, hash []byte, rec *state.APIKey) error {
	writes, err := recordOf(hash, rec)
	if err != nil {
		return err
	}
	p.Writes = append(p.Writes, writes...)
	use, ok, err := v.Get(state.KeyUseKey(rec.Id))
	if err != nil {
		return catalog.Broken(err)
	}
	if ok {
		p.Writes = append(p.Writes, command.PutExpiring(state.KeyUseKey(rec.Id), slices.Clone(use.Data), rec.KeptUntilMs()))
	}
	return nil
}

// recordOf is the writes that put a key's record, what leads to it, and that
// something has changed.
func recordOf(hash []byte, rec *state.APIKey) ([]*command.Write, error) {
	data, err := state.Encode(rec)
	if err != nil {
		return nil, err
	}
	entry, err := state.Encode(&state.KeyEntry{Hash: hash})
	if err != nil {
		return nil, err
	}
	return []*command.Write{
		command.PutExpiring(state.APIKeyKey(hash), data, rec.KeptUntilMs()),
		command.PutExpiring(state.KeyIDKey(rec.Id), entry, rec.KeptUntilMs()),
		command.PutValue(state.KeysChangedKey(), nil),
	}, nil
}

// unchanged requires that a key of the state is as it is now.
func unchanged(v *state.View, p *catalog.Plan, key []byte) error {
	value, ok, err := v.Get(key)
	switch {
	case err != nil:
		return catalog.Broken(err)
	case ok:
		p.Preconditions = append(p.Preconditions, command.KeyUnchanged(key, value.Revision))
	default:
		p.Preconditions = append(p.Preconditions, command.KeyAbsent(key))
	}
	return nil
}

// tell adds to a plan that something was done with a key.
func tell(p *catalog.Plan, what string, rec *state.APIKey) {
	p.Events = append(p.Events, &state.Event{Kind: what, Name: rec.Id})
}

// show is a record as operators see it at a moment.
func show(rec *state.APIKey, usedMs, nowMs, index uint64) Key {
	k := Key{
		ID: rec.Id, Name: rec.Name, Principal: rec.PrincipalID(), Groups: slices.Clone(rec.Groups), Tenant: rec.Tenant,
		Status: Active, Created: moment(rec.CreatedMs), Expires: moment(rec.ExpiresMs), Revoked: moment(rec.RevokedMs),
		LastUsed: moment(usedMs), Index: index,
	}
	switch {
	case rec.RevokedMs != 0:
		k.Status = Revoked
	case !live(rec, nowMs):
		k.Status = Expired
	case rec.RotatedMs != 0:
		k.Status = Rotated
	}
	return k
}

// live tells whether a key is honoured at a moment.
func live(rec *state.APIKey, nowMs uint64) bool {
	return rec.RevokedMs == 0 && (rec.ExpiresMs == 0 || nowMs < rec.ExpiresMs)
}

func moment(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
