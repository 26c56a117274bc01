package warehouse

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Create is a request for a new warehouse.
type Create struct {
	Name string
	// Root is where its tables lie, AllowedRoots where they may be placed on request.
	Root         string
	AllowedRoots []string
	// Endpoint, Region and PathStyle are how its store is reached, where it is not reached
	// as the nodes' settings say.
	Endpoint, Region string
	PathStyle        bool
	// Credentials are its own; nil is that nodes use theirs.
	Credentials *Credentials
}

// Create makes a warehouse, once it is shown that the catalog can work in its store.
func (w *Warehouses) Create(ctx context.Context, ch catalog.Change, q Create) (*Info, error) {
	rec, err := w.draft(q)
	if err != nil {
		return nil, err
	}
	try := w.newTrial()
	var made *Info
	answer, err := w.log.Transact(ctx, ch, state.WarehouseKey(rec.GetName()), func(ctx context.Context, v *state.View) (*catalog.Plan, error) {
		key := state.WarehouseKey(rec.GetName())
		if _, _, taken, err := v.Warehouse(rec.GetName()); err != nil {
			return nil, catalog.Broken(err)
		} else if taken {
			return nil, catalog.Refuse(catalog.KindAlreadyExists, "Warehouse already exists: %s", rec.GetName())
		}
		p := &catalog.Plan{Preconditions: []*command.Precondition{command.KeyAbsent(key)}}
		if err := alone(v, p, rec); err != nil {
			return nil, err
		}
		if err := try.of(ctx, rec, q.Credentials); err != nil {
			return nil, err
		}
		if err := w.seal(ctx, p, rec, q.Credentials); err != nil {
			return nil, err
		}
		rec.CreatedMs = max(w.log.NowMs(), v.TimeMs)
		forget(p, rec.GetName())
		if err := put(p, rec); err != nil {
			return nil, err
		}
		p.Events = append(p.Events, &state.Event{Kind: "warehouse.create", Warehouse: rec.GetName()})
		p.Applied = func(res command.Result) { made = show(rec, res.Revision, res.Index) }
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return w.shownBefore(ctx, answer)
	}
	return made, nil
}

// draft makes the record of a request, or the refusal that says what is wrong with it.
func (w *Warehouses) draft(q Create) (*state.Warehouse, error) {
	if err := w.checkName(q.Name); err != nil {
		return nil, err
	}
	root, err := checkRoot(q.Root)
	if err != nil {
		return nil, err
	}
	id := w.opts.NewID()
	rec := &state.Warehouse{Name: q.Name, Root: root, Id: id[:], Store: &state.WarehouseStore{
		Endpoint: q.Endpoint, Region: q.Region, PathStyle: q.PathStyle,
	}}
	if rec.AllowedRoots, err = checkRoots(q.AllowedRoots); err != nil {
		return nil, err
	}
	if q.Credentials != nil {
		if rec.Store.CredentialsName, err = q.Credentials.check(schemeOf(root)); err != nil {
			return nil, err
		}
	}
	if err := checkStore(rec); err != nil {
		return nil, err
	}
	return rec, w.checkPlaces(rec, rootsOf(rec))
}

// seal puts credentials into a record, as nobody can read them; nil leaves it as it is. It
// is done anew for each attempt: the key that is sealed with may be another one then.
func (w *Warehouses) seal(ctx context.Context, p *catalog.Plan, rec *state.Warehouse, own *Credentials) error {
	if own == nil {
		return nil
	}
	plain, err := json.Marshal(own)
	if err != nil {
		return err
	}
	sealed, err := w.opts.Sealer.Seal(ctx, purpose(rec.GetName()), plain)
	if err != nil {
		return fmt.Errorf("sealing the credentials: %w", err)
	}
	condition, err := w.opts.Sealer.Precondition(sealed)
	if err != nil {
		return fmt.Errorf("sealing the credentials: %w", err)
	}
	rec.Store.Credentials = sealed
	p.Preconditions = append(p.Preconditions, condition)
	return nil
}

// checkStore refuses settings of a store that would have no effect, or would send the
// nodes' own credentials to where a request says.
func checkStore(rec *state.Warehouse) error {
	store, scheme := rec.GetStore(), schemeOf(rec.GetRoot())
	for field, value := range map[string]string{"endpoint": store.GetEndpoint(), "region": store.GetRegion()} {
		if len(value) > maxSettingBytes {
			return invalid("%s has more than %d bytes", field, maxSettingBytes)
		}
	}
	switch {
	case scheme == schemeFile && store.GetEndpoint() != "":
		return invalid("a folder has no endpoint")
	case scheme != "s3" && (store.GetRegion() != "" || store.GetPathStyle()):
		return invalid("region and path_style are settings of s3:// and not of %s://", scheme)
	case store.GetEndpoint() != "" && !hasOwn(rec):
		return invalid("an endpoint needs credentials of its own: the nodes' go to the endpoint of their settings only")
	}
	return nil
}

// maxSettingBytes is longer than any endpoint or region.
const maxSettingBytes = 1024

func (w *Warehouses) newTrial() *trial { return &trial{stores: w.opts.Stores, newID: w.opts.NewID} }

// put adds a record to a plan, and what a repeat of the request is shown of it.
func put(p *catalog.Plan, rec *state.Warehouse) error {
	value, err := state.Encode(rec)
	if err != nil {
		return err
	}
	p.Writes = append(p.Writes, command.PutValue(state.WarehouseKey(rec.GetName()), value))
	outcome(p, rec, 0)
	return nil
}

// outcome has a repeat of the request shown a record. The revision is 0 where the plan
// itself makes it.
func outcome(p *catalog.Plan, rec *state.Warehouse, revision uint64) {
	shown := proto.CloneOf(rec)
	if shown.GetStore() != nil {
		shown.Store.Credentials = nil
	}
	p.Outcome = &state.Answer{Outcome: &state.Answer_Warehouse{Warehouse: &state.WarehouseAnswer{Warehouse: shown, Revision: revision}}}
}

// shownBefore is the answer to a request that was carried out before, as it was shown
// then. Its generation is that of the warehouse now, where it is still the same one.
func (w *Warehouses) shownBefore(ctx context.Context, answer *state.Answer) (*Info, error) {
	then := answer.GetWarehouse().GetWarehouse()
	v, err := w.log.View(ctx, catalog.Read{})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	info := show(then, answer.GetWarehouse().GetRevision(), v.Index)
	if info.Generation != 0 {
		return info, nil
	}
	now, generation, ok, err := v.Warehouse(then.GetName())
	if err != nil {
		return nil, catalog.Broken(err)
	}
	if ok && string(now.GetId()) == string(then.GetId()) && now.GetChangedMs() == then.GetChangedMs() {
		info.Generation = generation
	}
	return info, nil
}

// forget adds to a plan what takes away all that goes by a warehouse's name: another one
// of the name begins with nothing.
func forget(p *catalog.Plan, name string) {
	versions := state.PolicyVersionsOf(name)
	p.Writes = append(p.Writes,
		command.DeleteKey(state.PolicySetKey(name)),
		command.DeleteKeys(versions.Start, versions.End))
}
