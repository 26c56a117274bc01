package cedar

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	cedargo "github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/floeberg/floeberg/authz"
)

// head is the policy without its conditions.
func (p *policy) head() *policy {
	bare := *p.tree()
	bare.Conditions = nil
	out := *p
	out.compiled = cedargo.NewPolicyFromAST((*publicast.Policy)(&bare))
	return &out
}

// check tells what is wrong with a policy of a scope's set: first what it names,
// then whether the schema has sense for what it says of it.
func (p *policy) check(scope string) PolicyErrors {
	var out PolicyErrors
	fail := func(format string, args ...any) { out = append(out, p.wrong(fmt.Sprintf(format, args...))) }
	tree := p.tree()
	if p.Policy == "" || len(p.Policy) > maxIDBytes || EscapeName(p.Policy) != p.Policy {
		fail("its @id is no name: write 1 to %d bytes that can be seen, without slashes, quotes and percent signs", maxIDBytes)
	}
	for _, a := range tree.Annotations {
		switch a.Key {
		case annotationID, annotationDescription, annotationRowFilter, annotationColumnMask:
		default:
			fail("there is no annotation @%s, so it would not do what it says; there are @%s, @%s, @%s and @%s",
				a.Key, annotationID, annotationDescription, annotationRowFilter, annotationColumnMask)
		}
	}
	if err := p.checkRestriction(); err != nil {
		fail("%v", err)
	}
	for _, uid := range mentioned(tree) {
		if err := p.checkEntity(uid, scope); err != nil {
			fail("%v", err)
		}
	}
	for _, t := range mentionedTypes(tree) {
		if _, ok := words().schema.Entities[t]; !ok {
			fail("%s", unknownType(t))
		}
	}
	if len(out) == 0 && scope != "" {
		if err := checkReach(tree, scope); err != nil {
			fail("%v", err)
		}
	}
	if len(out) > 0 {
		return out // what the validator would add says the same again
	}
	for _, text := range validatePolicy(tree) {
		fail("%s", explained(text))
	}
	return out
}

func (p *policy) checkEntity(uid types.EntityUID, scope string) error {
	if uid.Type == typeAction || strings.HasSuffix(string(uid.Type), "Action") {
		if _, ok := words().schema.Actions[uid]; !ok {
			return unknownAction(uid)
		}
		return nil
	}
	if _, ok := words().schema.Entities[uid.Type]; !ok {
		return fmt.Errorf("%s", unknownType(uid.Type))
	}
	if err := checkID(uid); err != nil {
		return err
	}
	if in, ok := warehouseOf(uid); ok && scope != "" && in != EscapeName(scope) {
		return fmt.Errorf("%s is not in warehouse %q: the policies of a warehouse speak of that warehouse only; put this one into the cluster's", uid, scope)
	}
	return nil
}

// checkReach refuses a policy of a warehouse's set that could never apply because
// it is about what a warehouse's set has no say in.
func checkReach(tree *ast.Policy, scope string) error {
	if uid, ok := headEntity(tree.Resource); ok && (uid.Type == typeCluster || uid.Type == typePolicySet) {
		return fmt.Errorf("%s is not for the policies of warehouse %q to speak of: put this one into the cluster's", uid, scope)
	}
	switch s := tree.Resource.(type) {
	case ast.ScopeTypeIs:
		if s.Type == typeCluster || s.Type == typePolicySet {
			return fmt.Errorf("%s is not for the policies of warehouse %q to speak of: put this one into the cluster's", s.Type, scope)
		}
	}
	if _, all := tree.Action.(ast.ScopeTypeAll); all {
		return nil
	}
	set := actionsOf(tree.Action)
	for n, a := range words().actions {
		if set.has(n) && reachable(a) {
			return nil
		}
	}
	return fmt.Errorf("none of its actions is for the policies of warehouse %q to speak of: put this one into the cluster's", scope)
}

// reachable tells whether a warehouse's policies can have a say in an action.
func reachable(a authz.Action) bool {
	applies := words().schema.Actions[actionUID(a)].AppliesTo
	for _, t := range applies.Resources {
		switch t {
		case typeNamespace, typeTable, typeView:
			return true
		case typeWarehouse:
			if a.Class() != authz.ClassManage {
				return true
			}
		}
	}
	return false
}

// mentioned are the entities that a policy names, in its head and its conditions.
func mentioned(tree *ast.Policy) []types.EntityUID {
	var out []types.EntityUID
	for _, scope := range []ast.IsScopeNode{tree.Principal, tree.Action, tree.Resource} {
		if uid, ok := headEntity(scope); ok {
			out = append(out, uid)
		}
	}
	if s, ok := tree.Action.(ast.ScopeTypeInSet); ok {
		out = append(out, s.Entities...)
	}
	inspect(tree, func(n ast.IsNode) {
		if v, ok := n.(ast.NodeValue); ok {
			if uid, ok := v.Value.(types.EntityUID); ok {
				out = append(out, uid)
			}
		}
	})
	return out
}

// mentionedTypes are the types that a policy asks whether something is.
func mentionedTypes(tree *ast.Policy) []types.EntityType {
	var out []types.EntityType
	for _, scope := range []ast.IsScopeNode{tree.Principal, tree.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeIs:
			out = append(out, s.Type)
		case ast.ScopeTypeIsIn:
			out = append(out, s.Type)
		}
	}
	inspect(tree, func(n ast.IsNode) {
		switch v := n.(type) {
		case ast.NodeTypeIs:
			out = append(out, v.EntityType)
		case ast.NodeTypeIsIn:
			out = append(out, v.EntityType)
		}
	})
	return out
}

func unknownType(t types.EntityType) string {
	known := slices.Collect(maps.Keys(words().schema.Entities))
	return fmt.Sprintf("there is no type %s%s", t, meant(string(t), known))
}

func unknownAction(uid types.EntityUID) error {
	if uid.Type != typeAction {
		return fmt.Errorf("there is no %s: write %s", uid, types.NewEntityUID(typeAction, uid.ID))
	}
	var known []types.String
	for a := range words().schema.Actions {
		known = append(known, a.ID)
	}
	return fmt.Errorf("there is no action %q%s", string(uid.ID), meant(string(uid.ID), known))
}

// explained adds the mend to what the validator says.
func explained(text string) string {
	switch {
	case strings.Contains(text, noApplicableAction):
		return "it can never apply: none of its actions is done by such a principal to such a resource; see the schema for what each action is done to"
	case strings.Contains(text, "optional attribute"):
		return text + ": ask first whether it is there, with \"has\""
	}
	return text
}

// meant guesses what was to be written: the known word that differs in the fewest
// letters, or all of them.
func meant[T ~string](written string, known []T) string {
	slices.Sort(known)
	best, fewest := "", len(written)/2+1
	for _, k := range known {
		short := func(s string) string { return strings.ToLower(s[strings.LastIndexByte(s, ':')+1:]) }
		if d := distance(short(written), short(string(k))); d < fewest {
			best, fewest = string(k), d
		}
	}
	if best != "" {
		return fmt.Sprintf("; do you mean %s?", best)
	}
	all := make([]string, len(known))
	for i, k := range known {
		all[i] = string(k)
	}
	return ": there are " + strings.Join(all, ", ")
}

// distance is how many letters must be changed, added or left out to make one word
// of the other.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := last
			if a[i-1] != b[j-1] {
				cost++
			}
			last = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
