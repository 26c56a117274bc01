package oidc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn/oidc"
	"github.com/floeberg/floeberg/test/oidcserver"
)

// TestARealProvider has tokens of a provider that nobody here wrote: as they are, after
// it has changed its key, and while it is down.
func TestARealProvider(t *testing.T) {
	t.Parallel()
	server := oidcserver.Start(t)
	tokens, err := oidc.New(oidc.Options{
		Issuers: []string{"https://id.invalid", server.Issuer}, Audiences: []string{"another", oidcserver.Client},
		Mapping: oidc.Mapping{Groups: oidcserver.GroupsClaim, Names: map[string][]string{oidcserver.Client: {authz.GroupWriter}}},
		Client:  oidc.NewClient(nil), RefetchEvery: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	first := server.Login(t)
	want := authz.Principal{
		Proof: authz.ProofOIDC, Type: authz.TypeUser, ID: "oidc:" + server.Issuer + "#" + oidcserver.Subject, Name: oidcserver.Username,
		Groups: []string{oidcserver.Client, authz.GroupWriter},
	}
	is := func(token string) {
		t.Helper()
		got, err := ask(tokens, token)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
	is(first)
	server.Stop()
	is(first)
	server.Restart(t)
	second := server.Login(t)
	await(t, "the new key", func() bool { _, err := ask(tokens, second); return err == nil })
	is(second)
	if _, err := ask(tokens, first); word(t, err) != "token_signature" {
		t.Errorf("a token of the old key: %v", err)
	}
	elsewhere, err := oidc.New(oidc.Options{Issuers: []string{server.Issuer}, Audiences: []string{"another"}, Client: oidc.NewClient(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(elsewhere, second); word(t, err) != "token_audience" {
		t.Errorf("a token for others: %v", err)
	}
}
