package authz_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/floeberg/floeberg/authz"
)

// actions reads the actions from the source, so that a new one can't be forgotten here.
func actions(t *testing.T) []authz.Action {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "action.go", nil, 0)
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
	if len(out) == 0 {
		t.Fatal("no actions found")
	}
	return out
}

func TestEveryActionHasAClass(t *testing.T) {
	t.Parallel()
	for _, a := range actions(t) {
		if a.Class() == authz.ClassNone {
			t.Errorf("%s has no class: nobody could be allowed to do it", a)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	allowed := map[string][]authz.Class{
		authz.GroupAdmin:   {authz.ClassRead, authz.ClassWrite, authz.ClassManage, authz.ClassAudit},
		authz.GroupWriter:  {authz.ClassRead, authz.ClassWrite},
		authz.GroupReader:  {authz.ClassRead},
		authz.GroupAuditor: {authz.ClassAudit},
		"Admin":            {},
		"":                 {},
	}
	for group, classes := range allowed {
		may := map[authz.Class]bool{}
		for _, c := range classes {
			may[c] = true
		}
		p := authz.Principal{ID: "p", Groups: []string{"strangers", group}}
		for _, a := range append(actions(t), "NoSuchAction", "") {
			err := authz.Groups{}.Authorize(t.Context(), p, a, authz.Resource{Kind: authz.KindCluster})
			looks := group == authz.GroupAuditor && a == authz.ActionListKeys
			if (may[a.Class()] || looks) != (err == nil) {
				t.Errorf("group %q, %s: %v", group, a, err)
			}
			if err != nil && !errors.Is(err, authz.ErrDenied) {
				t.Errorf("group %q, %s: %v is not ErrDenied", group, a, err)
			}
		}
	}
}

func TestNobodyIsDenied(t *testing.T) {
	t.Parallel()
	err := authz.Groups{}.Authorize(t.Context(), authz.Principal{}, authz.ActionGetConfig, authz.Resource{})
	if !errors.Is(err, authz.ErrDenied) {
		t.Errorf("got %v", err)
	}
}

func TestResourceText(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]authz.Resource{
		"the cluster":     {Kind: authz.KindCluster},
		"warehouse w":     {Kind: authz.KindWarehouse, Warehouse: "w"},
		"namespace a.b":   {Kind: authz.KindNamespace, Warehouse: "w", Namespace: []string{"a", "b"}},
		"table a.b.t":     {Kind: authz.KindTable, Namespace: []string{"a", "b"}, Name: "t"},
		"table a.b.c.t.u": {Kind: authz.KindTable, Namespace: []string{"a.b", "c"}, Name: "t.u"},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
