package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/identity"
)

func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	made := v.create(identity.NewKey{Name: "etl", Groups: []string{"writer", "reader", "writer"}, Tenant: "acme"})
	p, err := v.as(made.Secret)
	if err != nil || p.ID != made.ID || p.KeyID != made.ID || p.Tenant != "acme" || !slices.Equal(p.Groups, []string{"writer", "reader"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	if strings.Contains(v.stored(), made.Secret) {
		t.Error("the secret is in the state")
	}
	next, err := v.Rotate(t.Context(), change(), admin, made.ID, identity.Rotation{Overlap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	q, err := v.as(next.Secret)
	if err != nil || q.ID != p.ID || q.KeyID != next.ID || next.ID == made.ID || q.Tenant != p.Tenant || !slices.Equal(q.Groups, p.Groups) {
		t.Fatalf("%+v, %v", q, err)
	}
	if err := v.authn.Recheck(t.Context(), p); err == nil {
		t.Error("the record changed, and what rested on it holds still")
	}
	if _, err := v.as(made.Secret); err != nil {
		t.Errorf("in the overlap: %v", err)
	}
	if got := v.one(made.ID); got.Status != identity.Rotated || got.Expires.IsZero() || got.Principal != made.ID {
		t.Errorf("%+v", got)
	}
	v.clock.by = time.Hour + time.Minute
	_, err = v.as(made.Secret)
	is(t, "after the overlap", err, authn.ErrExpiredKey)
	if _, err := v.as(next.Secret); err != nil {
		t.Errorf("the new key: %v", err)
	}
	before, err := v.as(next.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is no error
		gone, err := v.Revoke(t.Context(), change(), admin, next.ID, false)
		if err != nil || gone.Status != identity.Revoked || gone.Revoked.IsZero() {
			t.Fatalf("%+v, %v", gone, err)
		}
	}
	_, err = v.as(next.Secret)
	is(t, "revoked", err, authn.ErrRevokedKey)
	is(t, "what rested on it", v.authn.Recheck(t.Context(), before), authn.ErrChanged)
	if authn.Reason(err) != "revoked" {
		t.Errorf("the reason is %q", authn.Reason(err))
	}
	// Ended keys are kept for a while, and then forgotten.
	if got := v.one(next.ID); got.Status != identity.Revoked {
		t.Errorf("%+v", got)
	}
}

// What a change rests on is the record: once the key is revoked it can't land.
func TestNoChangeLandsOnARevokedKey(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	made := v.create(identity.NewKey{Name: "etl", Groups: []string{"admin"}})
	p, err := v.as(made.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Revoke(t.Context(), change(), admin, made.ID, false); err != nil {
		t.Fatal(err)
	}
	ch := catalog.Change{Principal: p.ID}
	for _, e := range p.Evidence {
		ch.Guards = append(ch.Guards, catalog.Guard{Key: e.Key, Revision: e.Revision})
	}
	_, err = v.Create(t.Context(), ch, p, identity.NewKey{Name: "more", Groups: []string{"admin"}})
	refused(t, err, catalog.KindRevoked, "")
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	made := v.create(identity.NewKey{Name: "short", Groups: []string{"reader"}, Lifetime: time.Hour})
	if made.Expires.Sub(made.Created) != time.Hour {
		t.Errorf("%+v", made)
	}
	// A rotated key lives as long as the first was made for, or as is said.
	v.clock.by = 30 * time.Minute
	next, err := v.Rotate(t.Context(), change(), admin, made.ID, identity.Rotation{Overlap: 2 * time.Hour})
	if err != nil || next.Expires.Sub(next.Created) != time.Hour {
		t.Fatalf("%+v, %v", next, err)
	}
	if !next.Replaced.Expires.Equal(made.Expires) {
		t.Errorf("an overlap made the old key live until %s, not %s", next.Replaced.Expires, made.Expires)
	}
	week := 7 * 24 * time.Hour
	third, err := v.Rotate(t.Context(), change(), admin, next.ID, identity.Rotation{Lifetime: &week})
	if err != nil || third.Expires.Sub(third.Created) != week || third.Principal != made.ID {
		t.Fatalf("%+v, %v", third, err)
	}
	// Without an overlap it ends with the answer.
	_, err = v.as(next.Secret)
	is(t, "no overlap", err, authn.ErrRevokedKey)
	_, err = v.Rotate(t.Context(), change(), admin, made.ID, identity.Rotation{})
	refused(t, err, catalog.KindKeyRefused, "was rotated")
	v.clock.by = 3 * time.Hour
	if got := v.one(made.ID); got.Status != identity.Expired {
		t.Errorf("%+v", got)
	}
	_, err = v.Rotate(t.Context(), change(), admin, made.ID, identity.Rotation{})
	refused(t, err, catalog.KindKeyRefused, "has ended")
}

func TestAdminsAreNotLockedOut(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	const first = "id-admin" // of the site
	refusedRevoke := func(id, says string) {
		t.Helper()
		_, err := v.Revoke(t.Context(), change(), admin, id, false)
		refused(t, err, catalog.KindKeyRefused, says)
	}
	refusedRevoke(first, "the last key of group admin")
	short := v.create(identity.NewKey{Name: "short", Groups: []string{"admin"}, Lifetime: time.Hour})
	refusedRevoke(first, "the last of them until")
	hour := time.Hour
	_, err := v.Rotate(t.Context(), change(), admin, first, identity.Rotation{Lifetime: &hour})
	refused(t, err, catalog.KindKeyRefused, "no other key")
	next, err := v.Rotate(t.Context(), change(), admin, first, identity.Rotation{})
	if err != nil {
		t.Fatalf("a rotation leaves an admin: %v", err)
	}
	if _, err := v.Revoke(t.Context(), change(), admin, short.ID, false); err != nil {
		t.Errorf("another one lives longer: %v", err)
	}
	refusedRevoke(next.ID, "the last key of group admin")
	if _, err := v.Revoke(t.Context(), change(), admin, next.ID, true); err != nil {
		t.Errorf("forced: %v", err)
	}
}

// Two that take away each other's last but one: the log decides, and one is left.
func TestTwoCantTakeAwayTheLastTwo(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	for round := range 20 {
		other := v.create(identity.NewKey{Name: "other", Groups: []string{"admin"}})
		last := v.create(identity.NewKey{Name: "last", Groups: []string{"admin"}})
		for _, k := range v.all(admin) {
			if k.Status == identity.Active && slices.Contains(k.Groups, "admin") && k.ID != other.ID && k.ID != last.ID {
				if _, err := v.Revoke(t.Context(), change(), admin, k.ID, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		// Two nodes, so that neither waits for the other.
		a, err := identity.NewKeys(v.site.Catalog(), authn.MintKey)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := a.Revoke(t.Context(), change(), admin, other.ID, false)
			done <- err
		}()
		_, err = v.Revoke(t.Context(), change(), admin, last.ID, false)
		if other := <-done; (err == nil) == (other == nil) {
			t.Fatalf("round %d: %v and %v", round, err, other)
		}
	}
}

// A repeat names the key, and no secret is kept for it.
func TestRepeats(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	ch := keyed(newKey())
	q := identity.NewKey{Name: "etl", Groups: []string{"reader"}}
	made, err := v.Create(t.Context(), ch, admin, q)
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Create(t.Context(), ch, admin, q)
	refused(t, err, catalog.KindAlreadyExists, made.ID)
	if again != nil {
		t.Errorf("a repeat got %+v", again)
	}
	ch = keyed(newKey())
	next, err := v.Rotate(t.Context(), ch, admin, made.ID, identity.Rotation{Overlap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Rotate(t.Context(), ch, admin, made.ID, identity.Rotation{Overlap: time.Hour})
	refused(t, err, catalog.KindAlreadyExists, next.ID)
	ch = keyed(newKey())
	for range 2 {
		if got, err := v.Revoke(t.Context(), ch, admin, made.ID, false); err != nil || got.Status != identity.Revoked {
			t.Errorf("%+v, %v", got, err)
		}
	}
	stored := v.stored()
	for _, secret := range []string{made.Secret, next.Secret} {
		if strings.Contains(stored, secret) {
			t.Error("a secret is in the state")
		}
	}
	if n := len(v.all(admin)); n != 4+2 {
		t.Errorf("%d keys", n)
	}
}

// Nobody gives, gets or takes away more than it has.
func TestNobodyGivesMoreThanItHas(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	reader := v.create(identity.NewKey{Name: "r", Groups: []string{"reader"}})
	writer := v.create(identity.NewKey{Name: "w", Groups: []string{"reader", "writer"}})
	theirs := v.create(identity.NewKey{Name: "a", Groups: []string{"reader"}, Tenant: "acme"})
	for _, groups := range [][]string{{"admin"}, {"writer"}, {"reader", "writer"}} {
		_, err := v.Create(t.Context(), change(), manager, identity.NewKey{Name: "x", Groups: groups})
		refused(t, err, catalog.KindKeyForbidden, "")
	}
	_, err := v.Rotate(t.Context(), change(), manager, writer.ID, identity.Rotation{})
	refused(t, err, catalog.KindKeyForbidden, "writer")
	_, err = v.Revoke(t.Context(), change(), manager, "id-admin", true)
	refused(t, err, catalog.KindKeyForbidden, "admin")
	if _, err := v.Create(t.Context(), change(), manager, identity.NewKey{Name: "x", Groups: []string{"reader"}}); err != nil {
		t.Error(err)
	}
	if _, err := v.Rotate(t.Context(), change(), manager, reader.ID, identity.Rotation{}); err != nil {
		t.Error(err)
	}

	// Who belongs to a tenant knows of no other, and gives nothing of another.
	for _, tenant := range []string{"", "other"} {
		_, err := v.Create(t.Context(), change(), ofAcme, identity.NewKey{Name: "x", Groups: []string{"reader"}, Tenant: tenant})
		refused(t, err, catalog.KindKeyForbidden, "acme")
	}
	for _, id := range []string{writer.ID, "id-admin", "nothing"} {
		_, err := v.Revoke(t.Context(), change(), ofAcme, id, true)
		refused(t, err, catalog.KindNoSuchKey, id)
		_, err = v.Rotate(t.Context(), change(), ofAcme, id, identity.Rotation{})
		refused(t, err, catalog.KindNoSuchKey, id)
	}
	if got := v.all(ofAcme); len(got) != 1 || got[0].ID != theirs.ID {
		t.Errorf("got %+v", got)
	}
	if _, err := v.Rotate(t.Context(), change(), ofAcme, theirs.ID, identity.Rotation{}); err != nil {
		t.Error(err)
	}
}

func TestWhatAKeyCanHave(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	reader := []string{"reader"}
	long := strings.Repeat("x", 129)
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprint("team-", i)
	}
	for name, q := range map[string]identity.NewKey{
		"no name":              {Groups: reader},
		"a long name":          {Name: long, Groups: reader},
		"a name of two lines":  {Name: "a\nb", Groups: reader},
		"a name that is bent":  {Name: "a\u202Eb", Groups: reader},
		"an invisible name":    {Name: "a\u200Bb", Groups: reader},
		"a name with a border": {Name: " a", Groups: reader},
		"no group":             {Name: "k"},
		"an empty group":       {Name: "k", Groups: []string{""}},
		"a long group":         {Name: "k", Groups: []string{long}},
		"too many groups":      {Name: "k", Groups: many},
		"a group with a comma": {Name: "k", Groups: []string{"a,b"}},
		"a group to look at":   {Name: "k", Groups: []string{"аdmin"}}, // begins with a Cyrillic letter
		"a tenant to cut":      {Name: "k", Groups: reader, Tenant: "a\x1fb"},
		"a short life":         {Name: "k", Groups: reader, Lifetime: time.Millisecond},
		"a negative life":      {Name: "k", Groups: reader, Lifetime: -time.Hour},
		"an endless life":      {Name: "k", Groups: reader, Lifetime: 101 * 365 * 24 * time.Hour},
	} {
		if made, err := v.Create(t.Context(), change(), admin, q); catalog.KindOf(err) != catalog.KindInvalid {
			t.Errorf("%s: %+v, %v", name, made, err)
		}
	}
	for _, overlap := range []time.Duration{-1, 91 * 24 * time.Hour} {
		_, err := v.Rotate(t.Context(), change(), admin, "id-reader", identity.Rotation{Overlap: overlap})
		refused(t, err, catalog.KindInvalid, "overlap")
	}
	for slip, meant := range map[string]string{
		"Admin": "admin", "ADMIN": "admin", "admins": "admin", "amdin": "admin", "admn": "admin", "write": "writer",
		"readers": "reader", "raeder": "reader", "auditer": "auditor",
	} {
		_, err := v.Create(t.Context(), change(), admin, identity.NewKey{Name: "k", Groups: []string{slip}})
		refused(t, err, catalog.KindInvalid, `"`+meant+`"`)
		made, err := v.Create(t.Context(), change(), admin, identity.NewKey{Name: "k", Groups: []string{slip}, Force: true})
		if err != nil || len(made.Warnings) != 1 {
			t.Errorf("%s, forced: %+v, %v", slip, made, err)
		}
	}
	for _, group := range []string{"finance", "red", "administration", "Data Engineers", "role:ops/eu"} {
		made, err := v.Create(t.Context(), change(), admin, identity.NewKey{Name: "k", Groups: []string{group, "reader"}})
		if err != nil || len(made.Warnings) != 1 || !strings.Contains(made.Warnings[0], group) {
			t.Errorf("%s: %+v, %v", group, made, err)
		}
	}
}

func TestPagesOfKeys(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	want := map[string]bool{}
	for i := range 7 {
		want[v.create(identity.NewKey{Name: fmt.Sprint("k", i), Groups: []string{"reader"}, Tenant: "acme"}).ID] = true
	}
	token, pages := "", 0
	for seen := map[string]bool{}; ; pages++ {
		list, err := v.List(t.Context(), catalog.Read{}, ofAcme, catalog.Page{Paged: true, Token: token, Size: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range list.Keys {
			if !want[k.ID] || seen[k.ID] {
				t.Errorf("%s is seen twice, or is none of the tenant's", k.ID)
			}
			seen[k.ID] = true
		}
		if token = list.Next; token == "" {
			if len(seen) != len(want) || pages != 2 {
				t.Errorf("%d keys on %d pages", len(seen), pages+1)
			}
			break
		}
		if len(list.Keys) != 3 {
			t.Errorf("a page of %d", len(list.Keys))
		}
	}
	_, err := v.List(t.Context(), catalog.Read{}, admin, catalog.Page{Paged: true, Token: "x"})
	refused(t, err, catalog.KindInvalid, "page token")
}
