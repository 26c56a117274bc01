package identity_test

import (
	"testing"
	"time"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/identity"
)

// Keys that were made before ids led to them can be managed once they do.
func TestKeysWithoutANameGetOne(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	const secret = "fb_made_by_an_older_program"
	v.site.Log.Put(t, state.APIKeyKey(authn.HashKey(secret)), &state.APIKey{Id: "key-old", Name: "old", Groups: []string{"reader"}})
	_, err := v.Revoke(t.Context(), change(), admin, "key-old", false)
	refused(t, err, catalog.KindNoSuchKey, "key-old")
	for want := 1; want >= 0; want-- {
		view, err := v.site.Log.State()
		if err != nil {
			t.Fatal(err)
		}
		missing, err := identity.MissingNames(view)
		view.Close()
		if err != nil || len(missing) != want {
			t.Fatalf("%d are missing, %v", len(missing), err)
		}
		for _, tx := range missing {
			if res, err := v.site.Log.Propose(t.Context(), tx); err != nil || res.Outcome != command.Applied {
				t.Fatal(res, err)
			}
		}
	}
	if _, err := v.Revoke(t.Context(), change(), admin, "key-old", false); err != nil {
		t.Error(err)
	}
	_, err = v.as(secret)
	is(t, "after it", err, authn.ErrRevokedKey)
}

// Who holds the first key may always mend policies, also with the key in its place;
// nobody else may.
func TestTheFirstKeyBreaksTheGlass(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	writes, err := identity.BootstrapKey("fb_first_0123456789abcdef", v.clock.NowMs())
	if err != nil {
		t.Fatal(err)
	}
	if res, err := v.site.Log.Propose(t.Context(), &command.Transaction{Writes: writes}); err != nil || res.Outcome != command.Applied {
		t.Fatal(res, err)
	}
	first, err := v.as("fb_first_0123456789abcdef")
	if err != nil || !first.BreakGlass {
		t.Fatalf("%+v, %v", first, err)
	}
	next, err := v.Rotate(t.Context(), change(), admin, first.KeyID, identity.Rotation{Overlap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := v.as(next.Secret); err != nil || !p.BreakGlass || p.ID != first.ID {
		t.Errorf("%+v, %v", p, err)
	}
	other := v.create(identity.NewKey{Name: "other", Groups: []string{"admin"}})
	if p, err := v.as(other.Secret); err != nil || p.BreakGlass {
		t.Errorf("%+v, %v", p, err)
	}
}
