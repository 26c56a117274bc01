package policy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/policy"
)

// Before anything is put there is a version 0: the ready-made policies, and none of
// a warehouse.
func TestBeforeTheFirst(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for scope, text := range map[string]string{"": cedar.DefaultText, "default": ""} {
		v := o.inForce(scope)
		if v.Number != 0 || v.Text != text || !v.InForce || !v.Created.IsZero() || v.AuthorID != "" || v.RolledBackTo != nil {
			t.Errorf("%q: %+v", scope, v)
		}
		if len(o.history(scope)) != 0 {
			t.Errorf("%q has a history", scope)
		}
	}
	_, err := o.Get(t.Context(), catalog.Read{}, "nowhere", nil)
	refused(t, err, catalog.KindNoSuchWarehouse, "nowhere")
	_, err = o.Get(t.Context(), catalog.Read{}, "", number(1))
	refused(t, err, catalog.KindNoSuchPolicyVersion, "are at version 0")
}

func TestPutAndRollBack(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first := o.put(policy.Put{Text: readersToo, Terms: policy.Terms{Expect: number(0), Comment: "readers"}})
	if first.Number != 1 || first.Text != readersToo || !first.InForce || first.AuthorID != "key-ann" || first.AuthorName != "ann" ||
		first.Comment != "readers" || first.Forced || first.RolledBackTo != nil || time.Since(first.Created).Abs() > time.Minute || first.Index == 0 {
		t.Errorf("got %+v", first)
	}
	same(t, "as it was answered", first, o.inForce(""))

	// What was looked at must be what is replaced.
	_, err := o.Put(t.Context(), change(ann), ann, policy.Put{Text: adminsMay, Terms: policy.Terms{Expect: number(0)}})
	refused(t, err, catalog.KindPoliciesChanged, "at version 1 and not 0 (put by key-ann (ann)")
	second := o.put(policy.Put{Text: adminsMay, Terms: policy.Terms{Expect: number(1)}})
	if second.Number != 2 {
		t.Errorf("got %+v", second)
	}
	// The text that is in force already makes no version.
	if again := o.put(policy.Put{Text: adminsMay}); again.Number != 2 {
		t.Errorf("got %+v", again)
	}

	back, err := o.Rollback(t.Context(), change(ann), ann, "", 1, policy.Terms{Expect: number(2), Comment: "they complained"})
	if err != nil || back.Number != 3 || back.Text != readersToo || back.RolledBackTo == nil || *back.RolledBackTo != 1 || back.Comment != "they complained" {
		t.Fatalf("got %+v, %v", back, err)
	}
	origin, err := o.Rollback(t.Context(), change(ann), ann, "", 0, policy.Terms{})
	if err != nil || origin.Number != 4 || origin.Text != cedar.DefaultText || *origin.RolledBackTo != 0 {
		t.Fatalf("got %+v, %v", origin, err)
	}
	_, err = o.Rollback(t.Context(), change(ann), ann, "", 9, policy.Terms{})
	refused(t, err, catalog.KindNoSuchPolicyVersion, "are at version 4")
	_, err = o.Rollback(t.Context(), change(ann), ann, "", 1, policy.Terms{Expect: number(3)})
	refused(t, err, catalog.KindPoliciesChanged, "at version 4")

	same(t, "history", []uint64{4, 3, 2, 1}, numbers(o.history("")))
	for _, v := range o.history("") {
		if v.Text != "" || v.InForce != (v.Number == 4) {
			t.Errorf("listed %+v", v)
		}
	}
	// A version stays what it was.
	old, err := o.Get(t.Context(), catalog.Read{}, "", number(1))
	first.InForce = false
	if err != nil {
		t.Fatal(err)
	}
	first.Index = old.Index
	same(t, "the first", first, old)

	d, err := o.Diff(t.Context(), catalog.Read{}, "", 1, number(2))
	if err != nil || !strings.HasPrefix(d.Diff, "--- cluster version 1\n+++ cluster version 2\n") || strings.Count(d.Diff, "\n-") != 2 {
		t.Errorf("%v\n%s", err, d.Diff)
	}
	if d, err = o.Diff(t.Context(), catalog.Read{}, "", 0, nil); err != nil || d.Diff != "" || d.To.Number != 4 {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = o.Diff(t.Context(), catalog.Read{}, "", 7, nil)
	refused(t, err, catalog.KindNoSuchPolicyVersion, "7")
}

// The sets of the cluster and of warehouses have nothing to do with each other.
func TestScopes(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	text := `permit (principal in Floeberg::Group::"sales", action in Floeberg::Action::"Read", resource);`
	o.put(policy.Put{Scope: "other", Text: text})
	if got := o.inForce("other"); got.Number != 1 || got.Text != text || got.Scope != "other" {
		t.Errorf("got %+v", got)
	}
	for _, scope := range []string{"", "default"} {
		if got := o.inForce(scope); got.Number != 0 {
			t.Errorf("%q: %+v", scope, got)
		}
	}
	_, err := o.Put(t.Context(), change(ann), ann, policy.Put{Scope: "nowhere", Text: text})
	refused(t, err, catalog.KindNoSuchWarehouse, "nowhere")

	sets := func(page catalog.Page) (*policy.Sets, []string) {
		list, err := o.Sets(t.Context(), catalog.Read{}, page)
		if err != nil {
			t.Fatal(err)
		}
		scopes := []string{}
		for _, v := range list.Sets {
			if v.Text != "" || !v.InForce {
				t.Errorf("listed %+v", v)
			}
			scopes = append(scopes, fmt.Sprintf("%s %d", v.Scope, v.Number))
		}
		return list, scopes
	}
	_, got := sets(catalog.Page{Paged: true})
	same(t, "sets", []string{" 0", "other 1"}, got)
	o.put(policy.Put{Text: readersToo})
	o.put(policy.Put{Scope: "default", Text: text})
	list, got := sets(catalog.Page{Paged: true, Size: 2})
	same(t, "first page", []string{" 1", "default 1"}, got)
	list, got = sets(catalog.Page{Paged: true, Size: 2, Token: list.Next})
	same(t, "second page", []string{"other 1"}, got)
	if list.Next != "" {
		t.Errorf("the last page is followed by %q", list.Next)
	}
}

func TestWhatIsInvalidIsNotPut(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for says, q := range map[string]policy.Put{
		"LoadTable":    {Text: `permit (principal, action == Floeberg::Action::"LoadTabel", resource);`},
		"can't be rea": {Text: `permit (principal, action, resource)`},
		"warehouse":    {Scope: "other", Text: `permit (principal, action, resource in Floeberg::Warehouse::"default");`},
		"comment":      {Text: adminsMay, Terms: policy.Terms{Comment: strings.Repeat("x", 1025)}},
	} {
		_, err := o.Put(t.Context(), change(ann), ann, q)
		refused(t, err, catalog.KindInvalid, says)
	}
	for _, scope := range []string{"", "other"} {
		if v := o.inForce(scope); v.Number != 0 {
			t.Errorf("%q is at %+v", scope, v)
		}
	}
	verdict, err := o.Validate(t.Context(), catalog.Read{}, "", readersToo)
	if err != nil || verdict.Policies != 2 || len(verdict.Problems) != 0 {
		t.Errorf("%+v, %v", verdict, err)
	}
	wrong := adminsMay + strings.Repeat("permit (principal, action, resource == Floeberg::Tabel::\"w/n/t\");\n", 150)
	verdict, err = o.Validate(t.Context(), catalog.Read{}, "", wrong)
	if err != nil || len(verdict.Problems) != 100 || verdict.More != 50 || verdict.Policies != 0 {
		t.Fatalf("%+v, %v", verdict, err)
	}
	if p := verdict.Problems[0]; p.Policy != "policy-2" || p.Line != 3 || !strings.Contains(p.Message, "Floeberg::Table") {
		t.Errorf("got %+v", p)
	}
}

// Nobody takes the right to mend it from himself by accident.
func TestLockout(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.Put(t.Context(), change(ann), ann, policy.Put{Text: nobodyMay})
	refused(t, err, catalog.KindPolicyLockout, "key-ann (ann) could not change them any more")
	_, err = o.Put(t.Context(), change(ann), ann, policy.Put{Text: ""})
	refused(t, err, catalog.KindPolicyLockout, "permits ManagePolicies on the policies of the cluster")
	if v := o.inForce(""); v.Number != 0 {
		t.Errorf("%+v is in force", v)
	}
	// What depends on how one asks is judged by how this one asked.
	fromHome := `permit (principal in Floeberg::Group::"admin", action, resource) when { context.authentication == "key" };`
	o.put(policy.Put{Text: fromHome})
	_, err = o.Put(t.Context(), change(ann), ann, policy.Put{Text: strings.Replace(fromHome, `"key"`, `"none"`, 1)})
	refused(t, err, catalog.KindPolicyLockout, "could not")

	forced := o.put(policy.Put{Text: nobodyMay, Terms: policy.Terms{Force: true}})
	if forced.Number != 2 || !forced.Forced {
		t.Errorf("got %+v", forced)
	}
	// Force where it is not needed is no insisting.
	if back := o.put(policy.Put{Text: adminsMay, Terms: policy.Terms{Force: true}}); back.Forced {
		t.Errorf("got %+v", back)
	}
	_, err = o.Rollback(t.Context(), change(ann), ann, "", 2, policy.Terms{})
	refused(t, err, catalog.KindPolicyLockout, "could not")

	// Who may always mend them locks nobody out for good.
	v, err := o.Put(t.Context(), change(breaking), breaking, policy.Put{Text: nobodyMay})
	if err != nil || v.Forced {
		t.Errorf("%+v, %v", v, err)
	}
	// The policies of a warehouse have no say in who may change them.
	if v := o.put(policy.Put{Scope: "other", Text: nobodyMay}); v.Forced {
		t.Errorf("got %+v", v)
	}
}

// A repeat under the same key gets the same version, whatever was put meanwhile.
func TestRepeats(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first, other := uuid.NewString(), uuid.NewString()
	put := func(key, text string, terms policy.Terms) *policy.Version {
		v, err := o.Put(t.Context(), keyed(ann, key), ann, policy.Put{Text: text, Terms: terms})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	put(first, readersToo, policy.Terms{Expect: number(0)})
	o.put(policy.Put{Text: adminsMay})
	again := put(first, readersToo, policy.Terms{Expect: number(0)})
	if again.Number != 1 || again.Text != readersToo || again.InForce {
		t.Errorf("got %+v", again)
	}
	for range 2 { // nothing to change is remembered too
		if v := put(other, adminsMay, policy.Terms{}); v.Number != 2 {
			t.Errorf("got %+v", v)
		}
	}
	same(t, "history", []uint64{2, 1}, numbers(o.history("")))
}

// Of those that change the version that they all know, one does.
func TestOneOfManyPuts(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	second, err := policy.New(o.site.Catalog(), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			by := []*policy.Policies{o.Policies, second}[i%2]
			text := adminsMay + fmt.Sprintf("@id(%q) forbid (principal, action, resource is Floeberg::View);\n", fmt.Sprint("p", i))
			_, errs[i] = by.Put(t.Context(), change(ann), ann, policy.Put{Text: text, Terms: policy.Terms{Expect: number(0)}})
		}()
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		refused(t, err, catalog.KindPoliciesChanged, "version 1")
	}
	if won != 1 {
		t.Errorf("%d of them were taken", won)
	}
}

// The history is bounded by versions and by bytes, and what is not kept is not there.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	text := func(i int) string { return fmt.Sprintf("// change %d\n%s", i, adminsMay) }
	const all = 1005
	for i := 1; i <= all; i++ {
		o.put(policy.Put{Text: text(i)})
	}
	kept := func(scope string) (oldest, bytes uint64, rows int) {
		o.state(func(v *state.View) {
			head, _, _, err := v.PolicySet(scope)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0
			err = v.Scan(state.PolicyVersionsOf(scope), func(_ []byte, value state.Value) bool {
				rec := &state.PolicyVersion{}
				if err := state.Decode(value, rec); err != nil {
					t.Error(err)
				}
				sum += len(rec.Text)
				rows++
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if uint64(sum) != head.KeptBytes {
				t.Errorf("%d bytes are kept, and %d told", sum, head.KeptBytes)
			}
			oldest, bytes = head.Oldest, head.KeptBytes
		})
		return oldest, bytes, rows
	}
	if oldest, _, rows := kept(""); oldest != all-999 || rows != 1000 {
		t.Errorf("the oldest is %d of %d", oldest, rows)
	}
	_, err := o.Get(t.Context(), catalog.Read{}, "", number(all-1000))
	refused(t, err, catalog.KindNoSuchPolicyVersion, "not kept any more; the oldest is 6")
	// Pages: each version once, also while more are put.
	var seen []uint64
	for page := (catalog.Page{Paged: true, Size: 300}); ; {
		list, err := o.History(t.Context(), catalog.Read{}, "", page)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, numbers(list.Versions)...)
		if page.Token = list.Next; page.Token == "" {
			break
		}
	}
	if len(seen) != 1000 || seen[0] != all || seen[999] != all-999 {
		t.Errorf("%d versions from %d to %d", len(seen), seen[0], seen[len(seen)-1])
	}
	for _, token := range []string{"x", "0", "-1", "99999"} {
		_, err := o.History(t.Context(), catalog.Read{}, "", catalog.Page{Paged: true, Token: token})
		refused(t, err, catalog.KindInvalid, "page token")
	}

	large := strings.Repeat("// "+strings.Repeat("x", 1021)+"\n", 4000) // 4 MB
	for i := range 12 {
		o.put(policy.Put{Scope: "other", Text: fmt.Sprintf("// change %d\n%s", i, large)})
	}
	if oldest, bytes, rows := kept("other"); bytes > 32<<20 || rows != 8 || oldest != 5 {
		t.Errorf("%d bytes in %d versions from %d on", bytes, rows, oldest)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	p, err := policy.New(unavailable{}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() error{
		"get":      func() error { _, err := p.Get(t.Context(), catalog.Read{}, "", nil); return err },
		"history":  func() error { _, err := p.History(t.Context(), catalog.Read{}, "", catalog.Page{}); return err },
		"sets":     func() error { _, err := p.Sets(t.Context(), catalog.Read{}, catalog.Page{}); return err },
		"validate": func() error { _, err := p.Validate(t.Context(), catalog.Read{}, "", ""); return err },
	} {
		if err := ask(); catalog.KindOf(err) != catalog.KindUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := policy.New(nil, policy.Options{}); err == nil {
		t.Error("no log is taken")
	}
}
