package cedar

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/floeberg/floeberg/authz"
)

// index finds the policies whose heads let a request through, so that the others
// need not be evaluated: it is a table with a line for each principal that heads
// name, a column for each resource, and one of each for heads that name none.
type index struct {
	principals map[types.EntityUID]uint32
	resources  map[types.EntityUID]uint32
	cells      map[cell][]*policy
	// children are the resources of a type directly in a place that heads name.
	children map[child][]string
}

// cell is a line and a column of the table. 0 is what names nothing.
type cell struct{ principal, resource uint32 }

// child is a type of resources in a place.
type child struct {
	kind   types.EntityType
	parent string
}

func newIndex(policies []*policy) index {
	x := index{
		principals: map[types.EntityUID]uint32{}, resources: map[types.EntityUID]uint32{},
		cells: map[cell][]*policy{}, children: map[child][]string{},
	}
	for _, p := range policies {
		at := cell{}
		tree := p.tree()
		if uid, ok := headEntity(tree.Principal); ok {
			at.principal = number(x.principals, uid)
		}
		if uid, ok := headEntity(tree.Resource); ok {
			_, known := x.resources[uid]
			at.resource = number(x.resources, uid)
			if !known {
				x.addChild(uid)
			}
		}
		x.cells[at] = append(x.cells[at], p)
	}
	for _, names := range x.children {
		slices.Sort(names)
	}
	return x
}

// headEntity is the entity that a head's scope names: what it lets through is that
// or in that.
func headEntity(scope ast.IsScopeNode) (types.EntityUID, bool) {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity, true
	case ast.ScopeTypeIn:
		return s.Entity, true
	case ast.ScopeTypeIsIn:
		return s.Entity, true
	}
	return types.EntityUID{}, false
}

func number(of map[types.EntityUID]uint32, uid types.EntityUID) uint32 {
	n, ok := of[uid]
	if !ok {
		n = uint32(len(of)) + 1
		of[uid] = n
	}
	return n
}

func (x *index) addChild(uid types.EntityUID) {
	if fewest(uid.Type) < 2 {
		return
	}
	parent, last := cutID(string(uid.ID))
	if name, ok := unescapeName(last); ok {
		in := child{uid.Type, parent}
		x.children[in] = append(x.children[in], name)
	}
}

// lines are the lines of the table for a principal.
func (x *index) lines(dst []uint32, p *authz.Principal) []uint32 {
	dst = append(dst, 0)
	add := func(t types.EntityType, id string) {
		if n, ok := x.principals[types.NewEntityUID(t, types.String(id))]; ok && !slices.Contains(dst, n) {
			dst = append(dst, n)
		}
	}
	add(typeUser, p.ID)
	for _, group := range p.Groups {
		add(typeGroup, group)
	}
	if p.Tenant != "" {
		add(typeTenant, p.Tenant)
	}
	return dst
}

// columns are the columns of the table for a resource and all that it is in.
func (x *index) columns(dst []uint32, resource types.EntityUID) []uint32 {
	dst = append(dst, 0)
	for {
		if n, ok := x.resources[resource]; ok {
			dst = append(dst, n)
		}
		if resource.Type == typeCluster {
			return dst
		}
		resource = parentOf(resource)
	}
}

// candidates adds the policies in the given lines and columns that an action can
// match.
func (x *index) candidates(dst []*policy, lines, columns []uint32, action int) []*policy {
	for _, line := range lines {
		for _, column := range columns {
			for _, p := range x.cells[cell{line, column}] {
				if p.actions.has(action) {
					dst = append(dst, p)
				}
			}
		}
	}
	return dst
}
