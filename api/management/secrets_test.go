package management_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/secret"
)

type fakeSecrets struct {
	err    error
	forced []bool
}

func (f *fakeSecrets) Status(context.Context) (*secret.Status, error) {
	return &secret.Status{
		DataKeys: []secret.DataKeyStatus{{ID: "k", ClusterKey: "local:1", Created: time.UnixMilli(1000).UTC(), Seals: true, Secrets: 3}},
		Nodes:    []secret.NodeStatus{{Node: "n1", ClusterKey: "local:1", Previous: []string{"local:0"}, Open: 1}, {Node: "n2", Closed: 1, Problem: "no key"}},
		Index:    7,
	}, f.err
}

func (f *fakeSecrets) Rotate(_ context.Context, force bool) (*secret.Rotation, error) {
	f.forced = append(f.forced, force)
	if f.err != nil {
		return nil, f.err
	}
	return &secret.Rotation{DataKey: "k", ClusterKey: "local:1", Secrets: 3, Left: 1, Forgotten: []string{"j"}, Index: 9}, nil
}

// askSecrets asks a node about its secrets; nil keeps none.
func askSecrets(t *testing.T, s management.Secrets, who serve.Authenticator, method, path string) (int, string) {
	t.Helper()
	routes, err := management.Routes(management.Options{Catalog: &spy{}, Cluster: &fakeCluster{}, Keys: noKeys, Policies: noPolicies, Warehouses: noWarehouses, Secrets: s})
	if err != nil {
		t.Fatal(err)
	}
	h, err := serve.New(serve.Options{Authenticator: who, Authorizer: apitest.ReadyMade(t), NodeID: "n1", Logger: slog.New(slog.DiscardHandler)}, routes)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/management/v1/secrets"+path, nil))
	return w.Code, w.Body.String()
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	f := &fakeSecrets{}
	// A look works without proof that the key still holds; a change does not.
	code, body := askSecrets(t, f, revoked{as(authz.GroupAdmin)}, http.MethodGet, "")
	want := `{"data_keys":[{"id":"k","cluster_key":"local:1","created_at":"1970-01-01T00:00:01Z","seals":true,"secrets":3}],` +
		`"nodes":[{"node":"n1","cluster_key":"local:1","previous":["local:0"],"open":1,"closed":0,"problem":null},` +
		`{"node":"n2","cluster_key":null,"previous":[],"open":0,"closed":1,"problem":"no key"}]}`
	if code != http.StatusOK || body != want {
		t.Errorf("%d %s", code, body)
	}
	if code, body := askSecrets(t, f, revoked{as(authz.GroupAdmin)}, http.MethodPost, "/rotate"); code != http.StatusUnauthorized {
		t.Errorf("with a revoked key: %d %s", code, body)
	}
	for query, status := range map[string]int{"?force=1": 400, "?force=false": 200, "?force=true": 200} {
		if code, body := askSecrets(t, f, as(authz.GroupAdmin), http.MethodPost, "/rotate"+query); code != status {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	code, body = askSecrets(t, f, as(authz.GroupAdmin), http.MethodPost, "/rotate")
	if want := `{"data_key":"k","cluster_key":"local:1","secrets":3,"left":1,"forgotten":["j"]}`; code != http.StatusOK || body != want {
		t.Errorf("%d %s", code, body)
	}
	for _, group := range []string{authz.GroupWriter, authz.GroupReader, authz.GroupAuditor} {
		for method, path := range map[string]string{http.MethodGet: "", http.MethodPost: "/rotate"} {
			if code, body := askSecrets(t, f, as(group), method, path); code != http.StatusForbidden {
				t.Errorf("%s as %s: %d %s", method, group, code, body)
			}
		}
	}
	count := map[bool]int{}
	for _, force := range f.forced {
		count[force]++
	}
	if diff := cmp.Diff(map[bool]int{false: 2, true: 1}, count); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with the cluster key is told to who may rotate keys, and to others only
// that something is.
func TestSecretErrors(t *testing.T) {
	t.Parallel()
	f := &fakeSecrets{}
	for _, tc := range []struct {
		err    error
		status int
		says   string
		hides  string
	}{
		{secret.ErrNoKey, 409, "floeberg secret keygen", ""},
		{fmt.Errorf("%w: n3 does not answer", secret.ErrRefused), 409, "n3 does not answer", ""},
		{fmt.Errorf("%w: it is another one: %w", secret.ErrRefused, secret.ErrWrongKey), 409, "it is another one", ""},
		{fmt.Errorf("%w: needed is awskms://alias/x", secret.ErrWrongKey), 503, "its cluster key is another one", "awskms"},
		{fmt.Errorf("%w: awskms://alias/x: connection refused", secret.ErrUnavailable), 503, "can't be sealed or read now", "awskms"},
		{fmt.Errorf("%w: of warehouse prod", secret.ErrDamaged), 500, "Internal error", "prod"},
		{errors.New("disk on fire"), 500, "Internal error", "fire"},
	} {
		f.err = tc.err
		code, body := askSecrets(t, f, as(authz.GroupAdmin), http.MethodPost, "/rotate")
		if code != tc.status || !strings.Contains(body, tc.says) || tc.hides != "" && strings.Contains(body, tc.hides) {
			t.Errorf("%v: %d %s", tc.err, code, body)
		}
	}
	if code, body := askSecrets(t, nil, as(authz.GroupAdmin), http.MethodGet, ""); code != 200 || body != `{"data_keys":[],"nodes":[]}` {
		t.Errorf("%d %s", code, body)
	}
	if code, body := askSecrets(t, nil, as(authz.GroupAdmin), http.MethodPost, "/rotate"); code != 409 {
		t.Errorf("%d %s", code, body)
	}
}
