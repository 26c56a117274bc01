package warehouse

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Update is a request to change a warehouse. What is nil stays as it is. Its root is where
// its tables are, and can't be changed.
type Update struct {
	Name string
	// Expect is the generation that it must have; nil takes any.
	Expect *uint64

	// AllowedRoots take the place of those before.
	AllowedRoots     *[]string
	Endpoint, Region *string
	PathStyle        *bool
	// Credentials take the place of those before.
	Credentials *Credentials
	// NodeCredentials gives up its own, and its endpoint: nodes use theirs.
	NodeCredentials bool
}

// ofStore tells whether it changes how the store is reached.
func (q *Update) ofStore() bool {
	return q.Endpoint != nil || q.Region != nil || q.PathStyle != nil || q.Credentials != nil || q.NodeCredentials
}

// Update changes a warehouse, once it is shown that the catalog can work in its store as
// it will be. It is in force from one log index on: no change that was judged by what the
// warehouse was before lands after it.
func (w *Warehouses) Update(ctx context.Context, ch catalog.Change, q Update) (*Info, error) {
	if q.Credentials != nil && q.NodeCredentials {
		return nil, invalid("credentials are given, and that nodes are to use their own")
	}
	var allowed []string
	if q.AllowedRoots != nil {
		var err error
		if allowed, err = checkRoots(*q.AllowedRoots); err != nil {
			return nil, err
		}
	}
	try := w.newTrial()
	var made *Info
	answer, err := w.log.Transact(ctx, ch.In(q.Name), state.WarehouseKey(q.Name), func(ctx context.Context, v *state.View) (*catalog.Plan, error) {
		rec, generation, err := find(v, q.Name)
		if err != nil {
			return nil, err
		}
		if err := expect(q.Name, q.Expect, generation); err != nil {
			return nil, err
		}
		next := proto.CloneOf(rec)
		if q.AllowedRoots != nil {
			next.AllowedRoots = allowed
		}
		if err := updateStore(q, next); err != nil {
			return nil, err
		}
		p := &catalog.Plan{Preconditions: []*command.Precondition{command.KeyUnchanged(state.WarehouseKey(q.Name), generation)}}
		if q.Credentials == nil && proto.Equal(rec, next) {
			p.Nothing = true
			outcome(p, rec, generation)
			p.Applied = func(res command.Result) { made = show(rec, generation, max(v.Index, res.Index)) }
			return p, nil
		}
		if err := w.checkUpdate(v, p, rec, next); err != nil {
			return nil, err
		}
		if err := try.of(ctx, next, q.Credentials); err != nil {
			return nil, err
		}
		if err := w.seal(ctx, p, next, q.Credentials); err != nil {
			return nil, err
		}
		next.ChangedMs = max(w.log.NowMs(), v.TimeMs, rec.GetChangedMs()+1)
		if err := put(p, next); err != nil {
			return nil, err
		}
		p.Events = append(p.Events, &state.Event{Kind: "warehouse.update", Warehouse: q.Name})
		p.Applied = func(res command.Result) { made = show(next, res.Revision, res.Index) }
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

// expect refuses where a warehouse is of another generation than who asks knows of.
func expect(name string, wanted *uint64, generation uint64) error {
	if wanted == nil || *wanted == generation {
		return nil
	}
	return catalog.Refuse(catalog.KindWarehouseChanged, "Warehouse %s is of generation %d and not %d: look at what changed, and ask again with that generation", name, generation, *wanted)
}

// updateStore changes in a record how its store is reached.
func updateStore(q Update, next *state.Warehouse) error {
	if !q.ofStore() {
		return nil
	}
	if fromSettings(next) {
		return catalog.Refuse(catalog.KindWarehouseRefused, "Refused: warehouse %s is reached as the nodes' settings say: change those, on all nodes", q.Name)
	}
	store := next.Store
	if q.NodeCredentials {
		store.Credentials, store.CredentialsName, store.Endpoint = nil, "", ""
	}
	if q.Endpoint != nil {
		if *q.Endpoint != store.GetEndpoint() && q.Credentials == nil {
			// Some kinds show themselves to whom they are sent.
			return invalid("another endpoint needs the credentials again: those that are kept go where they were given for")
		}
		store.Endpoint = *q.Endpoint
	}
	if q.Region != nil {
		store.Region = *q.Region
	}
	if q.PathStyle != nil {
		store.PathStyle = *q.PathStyle
	}
	if q.Credentials != nil {
		name, err := q.Credentials.check(schemeOf(next.GetRoot()))
		if err != nil {
			return err
		}
		store.Credentials, store.CredentialsName = nil, name
	}
	return checkStore(next)
}

// checkUpdate refuses places that a warehouse may not have, and to give up such as are
// still needed.
func (w *Warehouses) checkUpdate(v *state.View, p *catalog.Plan, rec, next *state.Warehouse) error {
	before, after := rootsOf(rec), rootsOf(next)
	added := slices.DeleteFunc(slices.Clone(after), func(root string) bool { return slices.Contains(before, root) })
	checked := added
	if hasOwn(rec) && !hasOwn(next) {
		checked = after // with rights that they were not reached with before
	}
	if err := w.checkPlaces(next, checked); err != nil {
		return err
	}
	var left []string
	for _, root := range before {
		if !slices.Contains(after, root) {
			left = append(left, root)
		}
	}
	if err := unpurged(v, p, left); err != nil {
		return err
	}
	if len(added) == 0 {
		return changes(v, p)
	}
	return alone(v, p, next)
}
