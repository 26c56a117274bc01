package warehouse

import (
	"slices"
	"strings"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/storage"
)

// Limits: far above what people use, and low enough that a look at all warehouses
// costs little.
const (
	maxWarehouses = 1000
	maxRoots      = 32
	maxNameBytes  = 128
)

// Places are where warehouses may lie that are made at run time.
type Places struct {
	// Allowed are the locations below which nodes reach a store with their own rights:
	// folders of the machines, and buckets of theirs. Whoever may make a warehouse would
	// otherwise be lent what the nodes may do.
	Allowed []string
	// Kept are locations of the nodes themselves: no warehouse lies in them, at them or
	// around them.
	Kept []string
}

// open tells whether nodes may use their own rights at a canonical location.
func (p Places) open(root string) bool {
	return slices.ContainsFunc(p.Allowed, func(place string) bool { return storage.Within(place, root) })
}

func invalid(format string, args ...any) error {
	return catalog.Refuse(catalog.KindInvalid, "Invalid warehouse: "+format, args...)
}

// checkName wants names that never look alike and stand in a path as they are.
func (w *Warehouses) checkName(name string) error {
	if name == "" || len(name) > maxNameBytes {
		return invalid("name must have 1 to %d characters, not %d", maxNameBytes, len(name))
	}
	for i := range len(name) {
		c := name[i]
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return invalid("name %q must have ASCII letters, digits and . _ - only, a letter or digit first", name)
		}
	}
	if err := w.opts.CheckName(name); err != nil {
		return invalid("name %q %v", name, err)
	}
	return nil
}

// checkRoots brings further roots into canonical form, each once.
func checkRoots(roots []string) ([]string, error) {
	if len(roots) > maxRoots {
		return nil, invalid("%d allowed roots, at most %d are possible", len(roots), maxRoots)
	}
	var out []string
	for _, root := range roots {
		canonical, err := checkRoot(root)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, canonical) {
			out = append(out, canonical)
		}
	}
	return out, nil
}

func checkRoot(root string) (string, error) {
	canonical, err := storage.Canonical(root)
	if err != nil {
		return "", catalog.Refuse(catalog.KindInvalid, "Invalid warehouse: %v", err)
	}
	return canonical, nil
}

// schemeOf is the scheme of a canonical location.
func schemeOf(root string) string {
	scheme, _, _ := strings.Cut(root, ":")
	return scheme
}

// checkPlaces refuses roots of a warehouse that the nodes' own rights reach and that may not
// be reached with them.
func (w *Warehouses) checkPlaces(rec *state.Warehouse, roots []string) error {
	own := hasOwn(rec)
	for _, root := range roots {
		if !fromSettings(rec) && schemeOf(root) != schemeOf(rec.GetRoot()) {
			return invalid("%s is in another kind of store than the root %s", root, rec.GetRoot())
		}
		switch {
		case slices.ContainsFunc(w.opts.Places.Kept, func(kept string) bool { return meet(kept, root) }):
			return invalid("%s lies in, at or around what the nodes keep for themselves", root)
		case schemeOf(root) == schemeFile && own:
			return invalid("%s is a folder, which is reached without credentials", root)
		case own || w.opts.Places.open(root):
		case schemeOf(root) == schemeFile:
			return invalid("%s is a folder of the nodes that --warehouse-locations does not allow", root)
		default:
			return invalid("%s would be reached with the nodes' own credentials, which --warehouse-locations does not allow: give credentials of its own, or allow the location on all nodes", root)
		}
	}
	return nil
}

const schemeFile = "file"

// meet tells whether one of two canonical locations is the other one or lies in it.
func meet(a, b string) bool { return storage.Within(a, b) || storage.Within(b, a) }

func rootsOf(rec *state.Warehouse) []string {
	return append([]string{rec.GetRoot()}, rec.GetAllowedRoots()...)
}

// alone refuses a warehouse whose roots meet those of another one: tables of both would
// be each other's. It adds to the plan that no warehouse changes until it lands.
func alone(v *state.View, p *catalog.Plan, rec *state.Warehouse) error {
	others, met := 0, ""
	var failed error
	err := v.Scan(state.SpaceRange(state.SpaceWarehouse), func(_ []byte, value state.Value) bool {
		other := &state.Warehouse{}
		if failed = state.Decode(value, other); failed != nil {
			return false
		}
		if other.GetName() == rec.GetName() {
			return true
		}
		others++
		for _, theirs := range rootsOf(other) {
			for _, ours := range rootsOf(rec) {
				if meet(theirs, ours) {
					met = ours
				}
			}
		}
		return met == ""
	})
	if err == nil {
		err = failed
	}
	switch {
	case err != nil:
		return catalog.Broken(err)
	case met != "":
		// Whose, is for those to know who may see it.
		return catalog.Refuse(catalog.KindWarehouseRefused, "Refused: %s lies in, at or around a location of another warehouse", met)
	case others >= maxWarehouses:
		return catalog.Refuse(catalog.KindWarehouseRefused, "Refused: there are %d warehouses, and no more are possible", others)
	}
	return changes(v, p)
}

// changes adds to a plan that it changes the warehouses and that nothing else does
// before it.
func changes(v *state.View, p *catalog.Plan) error {
	key := state.WarehousesChangedKey()
	changed, ok, err := v.Get(key)
	switch {
	case err != nil:
		return catalog.Broken(err)
	case ok:
		p.Preconditions = append(p.Preconditions, command.KeyUnchanged(key, changed.Revision))
	default:
		p.Preconditions = append(p.Preconditions, command.KeyAbsent(key))
	}
	p.Writes = append(p.Writes, command.PutValue(key, nil))
	return nil
}

// unpurged refuses to give up roots below which files of dropped tables are being
// deleted, and requires of the plan that none come to be.
func unpurged(v *state.View, p *catalog.Plan, roots []string) error {
	for _, root := range roots {
		purges := state.PurgesBelow(root)
		empty, err := v.Empty(purges)
		if err != nil {
			return catalog.Broken(err)
		}
		if !empty {
			return catalog.Refuse(catalog.KindWarehouseRefused, "Refused: files of dropped tables are being deleted below %s; wait for the jobs, or cancel them", root)
		}
		p.Preconditions = append(p.Preconditions, command.RangeEmpty(purges.Start, purges.End))
	}
	return nil
}
