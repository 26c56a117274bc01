// Package cedar decides by policies in the Cedar language: what they can speak of,
// whether a text is a set of them, and what a set says of a request. It is the
// only place that knows the language's library, it does no I/O and has no clock.
package cedar

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"github.com/floeberg/floeberg/authz"
)

// SchemaText is what policies can speak of, in the form of Cedar schemas.
//
//go:embed floeberg.cedarschema
var SchemaText string

// The groups of actions that policies can name.
const (
	groupRead   types.String = "Read"
	groupWrite  types.String = "Write"
	groupManage types.String = "Manage"
	groupAudit  types.String = "Audit"
)

// vocabulary is the schema, read.
type vocabulary struct {
	schema *resolved.Schema
	// numbers are the actions that can be asked for, in the order of their names.
	numbers map[authz.Action]int
	actions []authz.Action
	// members are the actions that an action or a group of actions stands for.
	members map[types.EntityUID]actionSet
	// entities are the actions with the groups that they are in.
	entities types.EntityMap
}

// actionSet is a set of actions by their numbers.
type actionSet [4]uint64

func (s *actionSet) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *actionSet) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }
func (s *actionSet) addAll(others actionSet) {
	for i := range s {
		s[i] |= others[i]
	}
}

// words reads the schema, once: not every command that links it has use for it.
var words = sync.OnceValue(func() *vocabulary {
	v, err := readSchema(SchemaText)
	if err != nil {
		panic(fmt.Sprintf("the schema of policies: %v", err)) // it is part of the program, and tested
	}
	return v
})

func readSchema(text string) (*vocabulary, error) {
	var parsed schema.Schema
	if err := parsed.UnmarshalCedar([]byte(text)); err != nil {
		return nil, err
	}
	s, err := parsed.Resolve()
	if err != nil {
		return nil, err
	}
	v := &vocabulary{schema: s, numbers: map[authz.Action]int{}, members: map[types.EntityUID]actionSet{}, entities: types.EntityMap{}}
	for uid, action := range s.Actions {
		v.entities[uid] = action.Entity
		if action.AppliesTo != nil {
			v.actions = append(v.actions, authz.Action(uid.ID))
		}
	}
	if len(v.actions) > 64*len(actionSet{}) {
		return nil, fmt.Errorf("%d actions, at most %d are possible", len(v.actions), 64*len(actionSet{}))
	}
	slices.Sort(v.actions)
	for n, action := range v.actions {
		v.numbers[action] = n
		uid := actionUID(action)
		v.join(uid, n)
		for group := range s.Actions[uid].Entity.Parents.All() {
			v.join(group, n)
		}
	}
	return v, nil
}

func (v *vocabulary) join(uid types.EntityUID, n int) {
	set := v.members[uid]
	set.add(n)
	v.members[uid] = set
}

// exactly is the set of one action; a group is none that can be asked for.
func (v *vocabulary) exactly(uid types.EntityUID) actionSet {
	var set actionSet
	if n, ok := v.numbers[authz.Action(uid.ID)]; ok && uid.Type == typeAction {
		set.add(n)
	}
	return set
}

func actionUID(a authz.Action) types.EntityUID {
	return types.NewEntityUID(typeAction, types.String(a))
}

// Actions are all actions that policies can allow, in the order of their names.
func Actions() []authz.Action { return slices.Clone(words().actions) }
