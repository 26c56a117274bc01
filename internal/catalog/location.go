package catalog

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/storage"
)

// confine brings a location that a client asked for into canonical form and
// refuses it unless it lies strictly below one of the warehouse's roots.
func confine(wh *WarehouseInfo, location string) (string, error) {
	canonical, err := storage.Canonical(location)
	if err != nil {
		return "", refuseBecause(KindInvalid, err, "Invalid location %q: %s", shorten(location), err)
	}
	if _, ok := rootOf(wh, canonical); !ok {
		return "", refuse(KindForbiddenLocation, "Invalid location %q: it is not below the warehouse's root %s or another allowed location", shorten(location), wh.Root)
	}
	return canonical, nil
}

// confineAll refuses any place that a request names and that lies outside the
// warehouse: clients would be sent there later, with the warehouse's credentials.
func confineAll(wh *WarehouseInfo, named []iceberg.NamedLocation) error {
	for _, n := range named {
		if _, err := confine(wh, n.Location); err != nil {
			return &Error{Kind: KindOf(err), Message: n.Field + ": " + clientText(err), Cause: err}
		}
	}
	return nil
}

// stillInside refuses to show or change what lies where nothing of the warehouse may lie
// any more, since its roots were changed. It can still be dropped.
func stillInside(wh *WarehouseInfo, id Identifier, canonical string) error {
	if _, ok := rootOf(wh, canonical); ok {
		return nil
	}
	return refuse(KindForbiddenLocation, "%s lies at %q, which the locations of the warehouse do not include any more", id, shorten(canonical))
}

// rootOf is the outermost of the warehouse's roots that a canonical location lies
// strictly below: roots may lie in each other, and then so may the tables below them.
func rootOf(wh *WarehouseInfo, canonical string) (outermost string, ok bool) {
	for _, root := range append([]string{wh.Root}, wh.AllowedRoots...) {
		if canonical == root || !storage.Within(root, canonical) {
			continue
		}
		if !ok || len(root) < len(outermost) {
			outermost, ok = root, true
		}
	}
	return outermost, ok
}

func shorten(text string) string {
	const most = 256
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// claim adds to a plan what makes a location the entry's own: nothing of anybody
// else at it, below it or around it, now and when the plan is applied. Its cost
// grows with the depth of the location and not with the number of tables.
func claim(v *state.View, p *plan, wh *WarehouseInfo, canonical string, id []byte) error {
	return takeOver(v, p, wh, canonical, id, id)
}

// takeOver is claim for an entry that comes in place of another: what is the other
// one's is free.
func takeOver(v *state.View, p *plan, wh *WarehouseInfo, canonical string, id, before []byte) error {
	root, _ := rootOf(wh, canonical)
	if err := p.claim(root, canonical); err != nil {
		return err
	}
	if err := claimBelow(v, p, canonical, before); err != nil {
		return err
	}
	for _, around := range storage.Ancestors(root, canonical) {
		if err := claimAround(v, p, canonical, around, before); err != nil {
			return err
		}
	}
	owner, err := state.Encode(&state.LocationOwner{Id: id})
	if err != nil {
		return err
	}
	p.write(command.PutValue(state.LocationKey(canonical), owner))
	return nil
}

// claim notes a place that the plan makes an entry's own. It refuses one that meets
// another of the same plan, of which the state can't know yet.
func (p *plan) claim(root, canonical string) error {
	around := storage.Ancestors(root, canonical)
	_, met := p.claimed[canonical]
	for _, a := range around {
		met = met || p.claimed[a]
	}
	if met {
		return refuse(KindInvalid, "Invalid location %q: another table of the same request lives at it, below it or around it", shorten(canonical))
	}
	if p.claimed == nil {
		p.claimed = make(map[string]bool)
	}
	p.claimed[canonical] = true
	for _, a := range around {
		p.claimed[a] = false
	}
	return nil
}

// claimBelow requires that the location and all below it are free, but for the
// entry's own place, which a move to above it gives up.
func claimBelow(v *state.View, p *plan, canonical string, id []byte) error {
	free := state.LocationsBelow(canonical)
	var taken error
	var own []byte
	err := v.Scan(free, func(key []byte, value state.Value) bool {
		if taken = otherOwner(value, canonical, id); taken != nil {
			return false
		}
		own = bytes.Clone(key)
		return true
	})
	if err != nil {
		return broken(err)
	}
	if taken != nil {
		return taken
	}
	if own == nil {
		p.require(command.RangeEmpty(free.Start, free.End))
		return nil
	}
	if !bytes.Equal(free.Start, own) {
		p.require(command.RangeEmpty(free.Start, own))
	}
	p.require(command.RangeEmpty(append(bytes.Clone(own), 0), free.End))
	return nil
}

func claimAround(v *state.View, p *plan, canonical, around string, id []byte) error {
	key := state.LocationKey(around)
	value, ok, err := v.Get(key)
	switch {
	case err != nil:
		return broken(err)
	case !ok:
		p.require(command.KeyAbsent(key))
		return nil
	}
	if err := otherOwner(value, canonical, id); err != nil {
		return err
	}
	p.require(command.KeyUnchanged(key, value.Revision))
	return nil
}

// clearOfOthers requires that a file, by its canonical location, lies in no place but
// that of the entry that is to be replaced: what lies in another's is another's, whatever
// it says of itself, and whether it is there is nobody else's business.
func clearOfOthers(v *state.View, p *plan, wh *WarehouseInfo, file string, before []byte) error {
	root, _ := rootOf(wh, file)
	for _, around := range storage.Ancestors(root, file) {
		if err := claimAround(v, p, file, around, before); err != nil {
			return err
		}
	}
	return nil
}

func otherOwner(value state.Value, canonical string, id []byte) error {
	owner := &state.LocationOwner{}
	if err := proto.Unmarshal(value.Data, owner); err != nil {
		return broken(err)
	}
	if bytes.Equal(owner.Id, id) {
		return nil
	}
	return refuse(KindAlreadyExists, "Invalid location %q: another table or view lives at it, below it or around it", shorten(canonical))
}

// giveUp removes an entry's place from the location index.
func giveUp(canonical string) *command.Write { return command.DeleteKey(state.LocationKey(canonical)) }
