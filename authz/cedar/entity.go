package cedar

import (
	"cmp"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/floeberg/floeberg/authz"
)

// entities are what a policy can look at while it is evaluated. They are made as
// they are asked for: of all but the principal, the id says everything.
type entities struct {
	principal *authz.Principal
	user      types.EntityUID
	resource  types.EntityUID
	// made are those that were asked for before. A request asks for few.
	made []types.Entity
	// place is what the resource is directly in, and around all that it is in: alike
	// for all entries of a listing.
	place  types.EntityUID
	around types.EntityUIDSet
}

// Get implements types.EntityGetter.
func (e *entities) Get(uid types.EntityUID) (types.Entity, bool) {
	if uid.Type == typeAction {
		entity, ok := words().entities[uid]
		return entity, ok
	}
	for i := range e.made {
		if e.made[i].UID == uid {
			return e.made[i], true
		}
	}
	entity, ok := e.make(uid)
	if ok {
		e.made = append(e.made, entity)
	}
	return entity, ok
}

// move makes another resource the one that is asked about. What was made of the
// ones around it stays.
func (e *entities) move(resource types.EntityUID) {
	for i := range e.made {
		if e.made[i].UID == e.resource {
			e.made = append(e.made[:i], e.made[i+1:]...)
			break
		}
	}
	e.resource = resource
}

func (e *entities) make(uid types.EntityUID) (types.Entity, bool) {
	switch uid.Type {
	case typeUser:
		if uid != e.user {
			return types.Entity{}, false
		}
		return e.makeUser(), true
	case typeGroup, typeTenant:
		return types.Entity{UID: uid, Attributes: types.NewRecord(withName(string(uid.ID)))}, true
	case typeCluster:
		return types.Entity{UID: uid}, true
	case typePolicySet:
		parent := types.NewEntityUID(typeCluster, clusterID)
		if name, ok := strings.CutPrefix(string(uid.ID), warehousePolicy); ok {
			parent = types.NewEntityUID(typeWarehouse, types.String(name))
		}
		return types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parent)}, true
	case typeWarehouse, typeNamespace, typeTable, typeView:
		return e.makePlace(uid)
	}
	return types.Entity{}, false
}

func (e *entities) makeUser() types.Entity {
	parents := make([]types.EntityUID, 0, len(e.principal.Groups)+1)
	for _, group := range e.principal.Groups {
		parents = append(parents, types.NewEntityUID(typeGroup, types.String(group)))
	}
	attrs := withName(e.principal.Name)
	attrs["type"] = types.String(cmp.Or(e.principal.Type, authz.TypeUser))
	if e.principal.Tenant != "" {
		tenant := types.NewEntityUID(typeTenant, types.String(e.principal.Tenant))
		parents = append(parents, tenant)
		attrs["tenant"] = tenant
	}
	return types.Entity{UID: e.user, Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(attrs)}
}

// makePlace makes a warehouse or what is in one. The resource itself names all
// that it is in, so that the common question is answered by one look; the others
// name what they are directly in.
func (e *entities) makePlace(uid types.EntityUID) (types.Entity, bool) {
	names := strings.Split(string(uid.ID), "/")
	if len(names) < fewest(uid.Type) {
		return types.Entity{}, false
	}
	raw := func(i int) (string, bool) { return unescapeName(names[i]) }
	last, ok := raw(len(names) - 1)
	if !ok {
		return types.Entity{}, false
	}
	attrs := withName(last)
	if uid.Type != typeWarehouse {
		top, ok := raw(1)
		if !ok {
			return types.Entity{}, false
		}
		attrs["top"] = types.String(top)
		attrs["warehouse"] = types.NewEntityUID(typeWarehouse, types.String(names[0]))
	}
	parent := parentOf(uid)
	if uid.Type == typeTable || uid.Type == typeView {
		attrs["namespace"] = parent
	}
	out := types.Entity{UID: uid, Attributes: types.NewRecord(attrs)}
	if uid == e.resource {
		out.Parents = e.allAround(parent)
	} else {
		out.Parents = types.NewEntityUIDSet(parent)
	}
	return out, true
}

// allAround is a place and all that it is in.
func (e *entities) allAround(place types.EntityUID) types.EntityUIDSet {
	if place != e.place {
		all := []types.EntityUID{place}
		for at := place; at.Type != typeCluster; {
			at = parentOf(at)
			all = append(all, at)
		}
		e.place, e.around = place, types.NewEntityUIDSet(all...)
	}
	return e.around
}

// parentOf is what a resource is directly in; the cluster is in itself.
func parentOf(uid types.EntityUID) types.EntityUID {
	switch uid.Type {
	case typeNamespace, typeTable, typeView:
		parent, _ := cutID(string(uid.ID))
		if strings.IndexByte(parent, '/') < 0 {
			return types.NewEntityUID(typeWarehouse, types.String(parent))
		}
		return types.NewEntityUID(typeNamespace, types.String(parent))
	case typePolicySet:
		if name, ok := strings.CutPrefix(string(uid.ID), warehousePolicy); ok {
			return types.NewEntityUID(typeWarehouse, types.String(name))
		}
	}
	return types.NewEntityUID(typeCluster, clusterID)
}

func withName(name string) types.RecordMap { return types.RecordMap{"name": types.String(name)} }
