package management_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

// fakeKeyring answers what a test gives it, and remembers what it was asked.
type fakeKeyring struct {
	nodes []management.NodeKeys
	err   error
	asked []string
}

func (f *fakeKeyring) note(what string) ([]management.NodeKeys, error) {
	f.asked = append(f.asked, what)
	return f.nodes, f.err
}

func (f *fakeKeyring) ListKeys(context.Context) ([]management.NodeKeys, error) { return f.note("list") }

func (f *fakeKeyring) InstallKey(_ context.Context, key string) ([]management.NodeKeys, error) {
	return f.note("install " + key)
}

func (f *fakeKeyring) UseKey(_ context.Context, key string) ([]management.NodeKeys, error) {
	return f.note("use " + key)
}

func (f *fakeKeyring) RemoveKey(_ context.Context, key string) ([]management.NodeKeys, error) {
	return f.note("remove " + key)
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	f := &fakeKeyring{nodes: []management.NodeKeys{
		{Node: "n1", Primary: number("a"), Keys: []string{"a", "b"}}, {Node: "n2", Keys: []string{}, Error: number("gone")},
	}}
	c := &fakeCluster{Keyring: f}
	const state = `{"nodes":[{"node":"n1","primary":"a","keys":["a","b"],"error":null},{"node":"n2","primary":null,"keys":[],"error":"gone"}]}`
	// A look needs no proof that the key still holds.
	if code, body := operate(t, c, revoked{as(authz.GroupAdmin)}, http.MethodGet, "/cluster/keyring", ""); code != http.StatusOK || body != state {
		t.Errorf("%d %s", code, body)
	}
	for _, what := range []string{"install", "use", "remove"} {
		path := "/cluster/keyring/" + what
		if code, body := operate(t, c, as(authz.GroupAdmin), http.MethodPost, path, `{"key":"k"}`); code != http.StatusOK || body != state {
			t.Errorf("%s: %d %s", what, code, body)
		}
		for _, bad := range []string{``, `{}`, `{"key":""}`, `{"key":1}`, `[]`} {
			if code, body := operate(t, c, as(authz.GroupAdmin), http.MethodPost, path, bad); code != http.StatusBadRequest {
				t.Errorf("%s %s: %d %s", what, bad, code, body)
			}
		}
		if code, body := operate(t, c, revoked{as(authz.GroupAdmin)}, http.MethodPost, path, `{"key":"k"}`); code != http.StatusUnauthorized {
			t.Errorf("%s with a revoked key: %d %s", what, code, body)
		}
		for _, group := range []string{authz.GroupWriter, authz.GroupReader, authz.GroupAuditor} {
			if code, body := operate(t, c, as(group), http.MethodPost, path, `{"key":"k"}`); code != http.StatusForbidden {
				t.Errorf("%s as %s: %d %s", what, group, code, body)
			}
		}
	}
	if diff := cmp.Diff([]string{"list", "install k", "use k", "remove k"}, f.asked); diff != "" {
		t.Error(diff)
	}
	f.err = &catalog.Error{Kind: catalog.KindKeyringRefused, Message: "Refused: n3 does not answer"}
	code, body := operate(t, c, as(authz.GroupAdmin), http.MethodPost, "/cluster/keyring/use", `{"key":"k"}`)
	if code != http.StatusConflict || !strings.Contains(body, "n3 does not answer") || !strings.Contains(body, "KeyringRefusedException") {
		t.Errorf("%d %s", code, body)
	}
}
