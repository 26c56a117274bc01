package cedar

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	cedargo "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/fsm/state"
)

// What is drawn from is small, so that policies and requests meet often.
var (
	drawnUsers  = []string{"u", "v"}
	drawnGroups = []string{"g", "h", "u"}
	drawnNames  = []string{"a", "b", "a/b", "%"}
	drawnHouses = []string{"w", "w2"}
)

func drawnPath(t *rapid.T, label string) []string {
	return rapid.SliceOfN(rapid.SampledFrom(drawnNames), 1, 4).Draw(t, label)
}

func drawnResource(t *rapid.T, label string) authz.Resource {
	house := rapid.SampledFrom(drawnHouses).Draw(t, label+" warehouse")
	path, name := drawnPath(t, label+" path"), rapid.SampledFrom(drawnNames).Draw(t, label+" name")
	switch rapid.IntRange(0, 5).Draw(t, label+" kind") {
	case 0:
		return theCluster
	case 1:
		return authz.Resource{Kind: authz.KindWarehouse, Warehouse: house}
	case 2:
		return authz.Resource{Kind: authz.KindNamespace, Warehouse: house, Namespace: path}
	case 3:
		return authz.Resource{Kind: authz.KindView, Warehouse: house, Namespace: path, Name: name}
	case 4:
		return authz.Resource{Kind: authz.KindPolicySet, Warehouse: house}
	}
	return authz.Resource{Kind: authz.KindTable, Warehouse: house, Namespace: path, Name: name}
}

func drawnPolicy(t *rapid.T) string {
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	user := fmt.Sprintf("Floeberg::User::%q", pick("user", drawnUsers...))
	group := fmt.Sprintf("Floeberg::Group::%q", pick("group", drawnGroups...))
	principal := pick("principal", "principal", "principal == "+user, "principal in "+group, "principal in "+user,
		`principal in Floeberg::Tenant::"u"`, "principal is Floeberg::User", "principal is Floeberg::User in "+group, "principal == "+group)
	action := pick("action", "action", `action == Floeberg::Action::"LoadTable"`, `action in Floeberg::Action::"Read"`,
		`action in [Floeberg::Action::"Write", Floeberg::Action::"LoadTable"]`, `action == Floeberg::Action::"LoadView"`, `action in Floeberg::Action::"Nothing"`)
	uid := resourceUID(drawnResource(t, "of the policy"))
	resource := pick("resource", "resource", "resource == "+uid.String(), "resource in "+uid.String(), "resource is Floeberg::Table",
		"resource is Floeberg::Table in "+uid.String(), "resource is "+string(uid.Type))
	condition := pick("condition", "", "",
		`when { resource has name && resource.name == "a" }`,
		`unless { resource in `+uid.String()+` }`,
		`when { principal in `+group+` }`,
		`when { context.source_ip.isInRange(ip("10.0.0.0/8")) }`,
		`when { resource has top && resource.top like "a*" } unless { context.access == "write" }`,
		`when { resource.namespace == `+uid.String()+` }`,
		`when { principal.type == "service" }`,
		`when { principal has tenant && resource has warehouse && resource.warehouse.name == principal.tenant.name }`,
		`when { context.referenced_by.contains(`+uid.String()+`) }`,
	)
	return fmt.Sprintf("%s (%s, %s, %s) %s;", pick("effect", "permit", "permit", "forbid"), principal, action, resource, condition)
}

func drawnRequest(t *rapid.T) authz.Request {
	r := authz.Request{
		Principal: authz.Principal{
			ID: rapid.SampledFrom(drawnUsers).Draw(t, "who"), Tenant: rapid.SampledFrom([]string{"", "u", "w"}).Draw(t, "tenant"),
			Groups: rapid.SliceOfN(rapid.SampledFrom(drawnGroups), 0, 3).Draw(t, "groups"),
			Type:   rapid.SampledFrom([]authz.PrincipalType{authz.TypeUser, authz.TypeService}).Draw(t, "type"),
		},
		Action:   rapid.SampledFrom([]authz.Action{"LoadTable", "LoadView", "LoadNamespace", "DropTable", "ManagePolicies", "GetConfig"}).Draw(t, "what"),
		Resource: drawnResource(t, "asked"),
		Context: authz.Context{
			Time:   time.UnixMilli(1_700_000_000_000),
			Access: rapid.SampledFrom([]authz.Access{"", authz.AccessRead, authz.AccessWrite}).Draw(t, "access"),
		},
	}
	if addr := rapid.SampledFrom([]string{"", "10.1.2.3", "192.0.2.1"}).Draw(t, "from"); addr != "" {
		r.Context.Source = netip.MustParseAddr(addr)
	}
	if rapid.Bool().Draw(t, "through a view") {
		r.Context.ReferencedBy = []authz.Resource{drawnResource(t, "view")}
	}
	return r
}

// spelledOut are all entities that a request touches, each written out at once,
// as the library's own documentation has it.
func spelledOut(r authz.Request) types.EntityMap {
	out := types.EntityMap{}
	put := func(uid types.EntityUID, attrs types.RecordMap, parents ...types.EntityUID) {
		out[uid] = types.Entity{UID: uid, Attributes: types.NewRecord(attrs), Parents: types.NewEntityUIDSet(parents...)}
	}
	cluster := types.NewEntityUID(typeCluster, clusterID)
	put(cluster, nil)
	for uid, e := range words().entities {
		out[uid] = e
	}
	var parents []types.EntityUID
	attrs := types.RecordMap{"name": types.String(r.Principal.Name), "type": types.String(r.Principal.Type)}
	for _, g := range append(slices.Clone(drawnGroups), r.Principal.Groups...) {
		put(types.NewEntityUID(typeGroup, types.String(g)), types.RecordMap{"name": types.String(g)})
	}
	for _, g := range r.Principal.Groups {
		parents = append(parents, types.NewEntityUID(typeGroup, types.String(g)))
	}
	if t := types.String(r.Principal.Tenant); t != "" {
		tenant := types.NewEntityUID(typeTenant, t)
		put(tenant, types.RecordMap{"name": t})
		parents = append(parents, tenant)
		attrs["tenant"] = tenant
	}
	put(types.NewEntityUID(typeUser, types.String(r.Principal.ID)), attrs, parents...)
	for _, house := range drawnHouses {
		w := types.NewEntityUID(typeWarehouse, types.String(house))
		put(w, types.RecordMap{"name": types.String(house)}, cluster)
		put(types.NewEntityUID(typePolicySet, types.String("warehouse/"+house)), nil, w)
		parent := w
		for i := range r.Resource.Namespace {
			if house != r.Resource.Warehouse {
				break
			}
			levels := r.Resource.Namespace[:i+1]
			ns := resourceUID(authz.Resource{Kind: authz.KindNamespace, Warehouse: house, Namespace: levels})
			put(ns, types.RecordMap{"name": types.String(levels[i]), "top": types.String(levels[0]), "warehouse": w}, parent)
			parent = ns
		}
		if k := r.Resource.Kind; house == r.Resource.Warehouse && (k == authz.KindTable || k == authz.KindView) {
			put(resourceUID(r.Resource), types.RecordMap{
				"name": types.String(r.Resource.Name), "top": types.String(r.Resource.Namespace[0]), "warehouse": w, "namespace": parent,
			}, parent)
		}
	}
	return out
}

// everything asks the library with all policies, and with all entities written out.
func everything(r authz.Request, sets ...*Set) (allowed bool, policies, failures []string) {
	all := some{}
	for _, s := range sets {
		all = append(all, s.policies...)
	}
	ok, why := cedargo.Authorize(all, spelledOut(r), types.Request{
		Principal: types.NewEntityUID(typeUser, types.String(r.Principal.ID)), Action: actionUID(r.Action),
		Resource: resourceUID(r.Resource), Context: contextRecord(&r),
	})
	allowed = bool(ok)
	for _, e := range why.Errors {
		ref := all.named(e.PolicyID).Ref
		failures = append(failures, ref.String())
		if ref.Forbid {
			if allowed {
				allowed, policies = false, nil
			}
			policies = append(policies, ref.String())
		}
	}
	if allowed == bool(ok) {
		for _, reason := range why.Reasons {
			policies = append(policies, all.named(reason.PolicyID).String())
		}
	}
	slices.Sort(policies)
	slices.Sort(failures)
	return allowed, policies, failures
}

func drawnSet(t *rapid.T, scope string) *Set {
	var text strings.Builder
	for range rapid.IntRange(0, 8).Draw(t, "policies of "+scope) {
		text.WriteString(drawnPolicy(t) + "\n")
	}
	s, err := Load(text.String(), scope)
	if err != nil {
		t.Fatalf("%s: %v", &text, err)
	}
	return s
}

// With the index it is decided as the library decides with all policies.
func TestTheIndexLeavesOutWhatDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cluster, house := drawnSet(t, ""), drawnSet(t, "w")
		r := drawnRequest(t)
		asked := []*Set{cluster}
		if r.Resource.Warehouse == "w" && consulted(r.Action, r.Resource) {
			asked = append(asked, house)
		}
		got := Sets{Cluster: cluster, Warehouse: house}.Decide(r)
		var policies, failures []string
		for _, p := range got.Policies {
			policies = append(policies, p.String())
		}
		for _, f := range got.Failures {
			failures = append(failures, f.String())
		}
		slices.Sort(policies)
		slices.Sort(failures)
		allowed, wantPolicies, wantFailures := everything(r, asked...)
		if got.Allowed != allowed || !slices.Equal(policies, wantPolicies) || !slices.Equal(failures, wantFailures) {
			t.Fatalf("%+v: %v %v %v, with all policies %v %v %v", r, got.Allowed, policies, failures, allowed, wantPolicies, wantFailures)
		}
	})
}

// drawnEntryCondition looks at the entries of a place in ways that differ from entry
// to entry, or fail, alone or with each other.
func drawnEntryCondition(t *rapid.T, in authz.Resource, kind authz.Kind, deep int) string {
	name := rapid.SampledFrom(entryNames[1:]).Draw(t, "name")
	one := in
	one.Kind, one.Name = kind, name
	if kind == authz.KindNamespace {
		one.Namespace, one.Name = append(slices.Clone(in.Namespace), name), ""
	}
	uid, other := resourceUID(one).String(), resourceUID(drawnResource(t, "other")).String()
	leaves := []string{
		fmt.Sprintf("resource.name == %q", name), fmt.Sprintf("%q != resource.name", name), `resource.name like "s*"`, `resource.name like "*e"`,
		`resource.name like "sa*e*"`, fmt.Sprintf("resource.name like %q", name), `["sales", "x", "%"].contains(resource.name)`, `["sales", 1].contains(resource.name)`,
		"resource == " + uid, uid + " == resource", "resource in " + uid, "resource in " + other, "resource in [" + uid + ", " + other + "]", "resource != " + other,
		"[" + uid + "].contains(resource)", "resource has name", "resource has namespace", `resource.namespace.name == "a"`, `resource.top == "a"`, `resource.top like "s*"`, `resource.warehouse.name == "w"`,
		"resource is Floeberg::Table", "resource is Floeberg::Namespace in " + other, "resource.name == 1", "resource.name", "resource.nothing == 1",
		"context.referenced_by.contains(resource)", `context.source_ip.isInRange(ip("10.0.0.0/8"))`, `context.access == "write"`,
		`principal has tenant && principal.tenant.name == resource.name`, "principal.tenant in resource.warehouse", "true", "false", "1 == resource.name",
		`{"a": resource.name}.a like "s*"`, "9223372036854775807 + 1 > 0", uid + `.name == resource.name`,
	}
	leaf := rapid.SampledFrom(leaves).Draw(t, "leaf")
	if deep == 0 {
		return leaf
	}
	sub := func() string { return "(" + drawnEntryCondition(t, in, kind, deep-1) + ")" }
	switch rapid.IntRange(0, 5).Draw(t, "form") {
	case 0:
		return sub() + " && " + sub()
	case 1:
		return sub() + " || " + sub()
	case 2:
		return "!" + sub()
	case 3:
		return "if " + sub() + " then " + sub() + " else " + sub()
	}
	return leaf
}

// entryNames are names of entries; the first can't be written into a policy as it is.
var entryNames = []string{"sa\xff", "a", "sales", "sale", "s", "a/b", "%", "?", "\x00", "x"}

func drawnEntryPolicies(t *rapid.T, scope string, in authz.Resource, kind authz.Kind) *Set {
	var text strings.Builder
	for range rapid.IntRange(0, 4).Draw(t, "policies of "+scope) {
		text.WriteString(drawnPolicy(t) + "\n")
	}
	for range rapid.IntRange(0, 4).Draw(t, "policies of entries of "+scope) {
		effect := rapid.SampledFrom([]string{"permit", "permit", "forbid"}).Draw(t, "effect")
		head := rapid.SampledFrom([]string{"resource", "resource is Floeberg::Table", "resource in " + resourceUID(in).String()}).Draw(t, "head")
		fmt.Fprintf(&text, "%s(principal, action, %s)", effect, head)
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			fmt.Fprintf(&text, " %s { %s }", rapid.SampledFrom([]string{"when", "when", "unless"}).Draw(t, "how"), drawnEntryCondition(t, in, kind, 2))
		}
		text.WriteString(";\n")
	}
	s, err := Load(text.String(), scope)
	if err != nil {
		t.Fatalf("%s: %v", &text, err)
	}
	return s
}

func textOf(s *Set) string {
	var b strings.Builder
	for _, p := range s.policies {
		b.Write(p.compiled.MarshalCedar())
		b.WriteString(";\n")
	}
	return b.String()
}

// A filter decides of each entry what would be decided of it alone, whatever fails,
// and all that it allows is where it says.
func TestAFilterDecidesAsOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawnRequest(t)
		r.Resource = authz.Resource{Kind: authz.KindNamespace, Warehouse: rapid.SampledFrom(drawnHouses).Draw(t, "house"), Namespace: drawnPath(t, "place")}
		kind := rapid.SampledFrom([]authz.Kind{authz.KindTable, authz.KindView, authz.KindNamespace}).Draw(t, "of")
		if kind == authz.KindNamespace && rapid.Bool().Draw(t, "top") {
			r.Resource = authz.Resource{Kind: authz.KindWarehouse, Warehouse: r.Resource.Warehouse}
		}
		s := Sets{Cluster: drawnEntryPolicies(t, "", r.Resource, kind), Warehouse: drawnEntryPolicies(t, "w", r.Resource, kind)}
		f := s.Filter(r, kind)
		ranges := f.Ranges()
		for i, in := range ranges {
			if in.To != "" && in.From >= in.To || i > 0 && (ranges[i-1].To == "" || ranges[i-1].To >= in.From) {
				t.Fatalf("%q are not in order and apart", ranges)
			}
		}
		for _, name := range slices.Concat(drawnNames, entryNames, []string{"other", "a"}) {
			one := r
			one.Resource = authz.Resource{Kind: kind, Warehouse: r.Resource.Warehouse, Namespace: r.Resource.Namespace, Name: name}
			if kind == authz.KindNamespace {
				one.Resource.Namespace, one.Resource.Name = append(slices.Clone(r.Resource.Namespace), name), ""
			}
			want := s.Decide(one).Allowed
			if got := f.Allows(name); got != want {
				t.Fatalf("%+v: the filter says %v, alone it is %v, by\n%s\n%s", one, got, want, textOf(s.Cluster), textOf(s.Warehouse))
			}
			within := slices.ContainsFunc(ranges, func(in state.NameRange) bool { return in.From <= name && (in.To == "" || name < in.To) })
			if want && !within {
				t.Fatalf("%+v is allowed, and the ranges are %q", one, ranges)
			}
		}
	})
}

// What a listing looks at is where something can be allowed, as policies of the
// usual kinds say it.
func TestRangesOfAFilter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want []state.NameRange
	}{
		{`permit(principal, action, resource);`, everyName},
		{`permit(principal, action, resource in Floeberg::Namespace::"w/a") when { resource.name like "sales_*" };`, []state.NameRange{state.NamesWith("sales_")}},
		{`permit(principal, action, resource) when { resource.name like "*_public" };`, everyName},
		{`permit(principal, action, resource) when { resource.name == "a" || ["c", "b"].contains(resource.name) };`, []state.NameRange{state.OneName("a"), state.OneName("b"), state.OneName("c")}},
		{`permit(principal, action, resource) when { resource.name like "a*" && resource.name like "ab*" } unless { resource.name == "abc" };`, []state.NameRange{state.NamesWith("ab")}},
		{`permit(principal, action, resource) when { resource == Floeberg::Table::"w/a/x%2Fy" || resource == Floeberg::Table::"w/b/z" };`, []state.NameRange{state.OneName("x/y")}},
		{`permit(principal, action, resource == Floeberg::Table::"w/a/t"); permit(principal, action, resource) when { resource.name like "b*" };`, []state.NameRange{state.NamesWith("b"), state.OneName("t")}},
		{`permit(principal, action, resource) when { principal has tenant && resource.name like "b*" };`, nil},
		{`permit(principal, action, resource) when { resource.top == "a" && resource is Floeberg::Table };`, everyName},
		{`permit(principal, action, resource is Floeberg::View) when { resource.name like "b*" };`, nil},
		{`permit(principal, action, resource) when { context.source_ip.isLoopback() && resource.name like "b*" };`, nil},
		{`permit(principal, action, resource) when { context.access == "none" && resource.name like "b*" };`, []state.NameRange{state.NamesWith("b")}},
		{`permit(principal, action, resource) when { resource.name like "b*" }; forbid(principal, action, resource) when { resource has top };`, nil},
	} {
		set, err := Load(tc.text, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := (Sets{Cluster: set}).Filter(about("u", "LoadTable", namespace("w", "a")), authz.KindTable).Ranges(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.text, got, tc.want)
		}
	}
}
