package identity_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/identity"
)

// A use is written once an hour, whatever the number of requests and of nodes.
func TestLastUseIsWrittenOnceAnHour(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	made := v.create(identity.NewKey{Name: "etl", Groups: []string{"reader"}})
	if !made.LastUsed.IsZero() {
		t.Errorf("used before it was shown: %+v", made)
	}
	one, two := identity.NewUses(v.clock, slog.New(slog.DiscardHandler)), identity.NewUses(v.clock, slog.New(slog.DiscardHandler))
	use := func(by ...*identity.Uses) {
		t.Helper()
		for _, u := range by {
			keys := v.authenticator(u.Note)
			for range 10 {
				if _, err := keys.Authenticate(t.Context(), authn.Credentials{Key: made.Secret}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := u.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	before := v.site.Log.Index()
	use(one, two)
	first := v.one(made.ID).LastUsed
	if first.IsZero() || v.site.Log.Index() != before+1 {
		t.Errorf("last used %v, written in %d entries", first, v.site.Log.Index()-before)
	}
	v.clock.by = 59 * time.Minute
	use(one, two)
	if got := v.one(made.ID).LastUsed; !got.Equal(first) || v.site.Log.Index() != before+1 {
		t.Errorf("last used %v, written in %d entries", got, v.site.Log.Index()-before)
	}
	v.clock.by = 2 * time.Hour
	use(two, one)
	second := v.one(made.ID).LastUsed
	if second.Sub(first) < time.Hour || v.site.Log.Index() != before+2 {
		t.Errorf("last used %v, written in %d entries", second, v.site.Log.Index()-before)
	}
	// It stays when the key ends, and what a node has not written yet does not come after it.
	v.clock.by = 4 * time.Hour
	late := identity.NewUses(v.clock, slog.New(slog.DiscardHandler))
	late.Note(made.ID, v.clock.NowMs())
	late.Note("key-that-never-was", v.clock.NowMs())
	if got, err := v.Revoke(t.Context(), change(), admin, made.ID, false); err != nil || !got.LastUsed.Equal(second) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := late.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := v.one(made.ID).LastUsed; got.Before(second) {
		t.Errorf("last used %v", got)
	}
}
