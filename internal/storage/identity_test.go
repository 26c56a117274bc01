package storage_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/storage"
)

// issuer answers whatever is asked for a token.
type issuer func(r *http.Request, form url.Values)

func (f issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	form := r.URL.Query()
	if r.Body != nil {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if posted, err := url.ParseQuery(string(raw)); err == nil && len(posted) > 0 {
			form = posted
		}
	}
	f(r, form)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"access_token":"the-token","token_type":"Bearer","expires_in":3600}`)),
	}, nil
}

func identityOf(t *testing.T, cfg storage.Config) *storage.Identity {
	t.Helper()
	i, err := storage.NewIdentity(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// Tokens are asked for services that hold keys and not for stores, once for many uses.
func TestIdentity(t *testing.T) {
	clearClouds(t)
	file := filepath.Join(t.TempDir(), "key.json")
	serviceAccount(t, file)
	t.Setenv("AZURE_CLIENT_ID", "identity")
	asked := map[string]int{}
	i := identityOf(t, storage.Config{
		GCS: storage.GCSConfig{CredentialsFile: file, Transport: issuer(func(_ *http.Request, form url.Values) {
			asked["google"]++
			parts := strings.Split(form.Get("assertion"), ".")
			claims, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
			if err != nil || !strings.Contains(string(claims), `"scope":"https://www.googleapis.com/auth/cloudkms"`) {
				t.Errorf("Google is asked for %s, %v", claims, err)
			}
		})},
		Azure: storage.AzureConfig{Transport: issuer(func(r *http.Request, form url.Values) {
			asked["azure"]++
			if form.Get("resource") != "https://vault.azure.net" {
				t.Errorf("Azure is asked at %s for %v", r.URL, form)
			}
		})},
	})
	for range 2 {
		if token, err := i.GoogleToken(t.Context()); err != nil || token != "the-token" {
			t.Errorf("Google: %q, %v", token, err)
		}
		if token, err := i.AzureToken(t.Context()); err != nil || token != "the-token" {
			t.Errorf("Azure: %q, %v", token, err)
		}
	}
	if asked["google"] != 1 || asked["azure"] != 1 {
		t.Errorf("asked %v", asked)
	}
}

// Keys of the settings may be those of a store that is not AWS's.
func TestAWSIdentity(t *testing.T) {
	clearClouds(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRON")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
	t.Setenv("AWS_SESSION_TOKEN", "the-session")
	i := identityOf(t, storage.Config{S3: storage.S3Config{AccessKeyID: "minio", SecretAccessKey: "minio-secret"}})
	id, secret, session, err := i.AWSKeys(t.Context())
	if err != nil || id != "AKIDENVIRON" || secret != "the-secret" || session != "the-session" {
		t.Errorf("%s %s %s %v", id, secret, session, err)
	}
}
