package cedar

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/floeberg/floeberg/authz"
)

// programActions reads the actions from the source, so that a new one can't be
// forgotten here.
func programActions(t testing.TB) []authz.Action {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []authz.Action
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Action" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, authz.Action(text))
		}
		return true
	})
	slices.Sort(out)
	return out
}

func TestTheSchemaHasEveryActionInTheGroupOfItsClass(t *testing.T) {
	t.Parallel()
	if known := Actions(); !slices.Equal(known, programActions(t)) {
		t.Errorf("floeberg.cedarschema has the actions %v, the program has %v", known, programActions(t))
	}
	groups := map[authz.Class]types.String{authz.ClassRead: groupRead, authz.ClassWrite: groupWrite, authz.ClassManage: groupManage, authz.ClassAudit: groupAudit}
	for _, a := range Actions() {
		in := types.NewEntityUID(typeAction, groups[a.Class()])
		parents := words().schema.Actions[actionUID(a)].Entity.Parents
		if parents.Len() != 1 || !parents.Contains(in) {
			t.Errorf("%s is of class %d, which is %s, and in floeberg.cedarschema in %v", a, a.Class(), in, parents.Slice())
		}
	}
}

func TestAGroupOfActionsIsNoActionThatCanBeAskedFor(t *testing.T) {
	t.Parallel()
	s := Sets{Cluster: compile(t, `permit(principal, action, resource);`, "")}
	for _, a := range []authz.Action{"Read", "Write", "Manage", "Audit", "", "NoSuchAction"} {
		if s.Decide(authz.Request{Action: a, Resource: authz.Resource{Kind: authz.KindCluster}}).Allowed {
			t.Errorf("%q is allowed", a)
		}
	}
}
