package identity_test

import (
	"testing"

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
