package storage_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
)

const (
	gcsRoot   = "gs://bucket/wh"
	azureRoot = "abfss://box@acme.dfs.core.windows.net/wh"
)

func TestOpenRefusesBadWebConfiguration(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "credentials.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	google := func(c storage.GCSConfig) storage.Config { return storage.Config{GCS: c} }
	azure := func(c storage.AzureConfig) storage.Config { return storage.Config{Azure: c} }
	for name, tc := range map[string]struct {
		root string
		cfg  storage.Config
		says string
	}{
		"gcs token in the clear":    {gcsRoot, google(storage.GCSConfig{Endpoint: "http://host"}), "https://"},
		"gcs both":                  {gcsRoot, google(storage.GCSConfig{NoAuth: true, CredentialsFile: file("{}")}), "none are sent"},
		"gcs no file":               {gcsRoot, google(storage.GCSConfig{CredentialsFile: "/nowhere/key.json"}), "/nowhere/key.json"},
		"gcs no JSON":               {gcsRoot, google(storage.GCSConfig{CredentialsFile: file("hush-hush")}), "not a JSON file"},
		"gcs unknown kind":          {gcsRoot, google(storage.GCSConfig{CredentialsFile: file(`{"type":"other"}`)}), "other"},
		"gcs endpoint":              {gcsRoot, google(storage.GCSConfig{Endpoint: "ftp://host"}), "gcs endpoint"},
		"gcs endpoint with a key":   {gcsRoot, google(storage.GCSConfig{Endpoint: "https://me:hush-hush@host"}), "credentials"},
		"azure endpoint":            {azureRoot, azure(storage.AzureConfig{Endpoint: "host:1"}), "azure endpoint"},
		"azure token in the clear":  {azureRoot, azure(storage.AzureConfig{Endpoint: "http://host"}), "https://"},
		"azure SAS in the clear":    {azureRoot, azure(storage.AzureConfig{Endpoint: "http://host", SASToken: "sig=hush-hush"}), "https://"},
		"azure both":                {azureRoot, azure(storage.AzureConfig{AccountKey: "a2V5", SASToken: "sig=hush-hush"}), "only one"},
		"azure key":                 {azureRoot, azure(storage.AzureConfig{AccountKey: "hush-hush"}), "base64"},
		"azure SAS":                 {azureRoot, azure(storage.AzureConfig{SASToken: "hush-hush"}), "sig="},
		"azure key of one account":  {azureRoot, storage.Config{AllowLocations: []string{"abfss://box@other.dfs.core.windows.net"}, Azure: storage.AzureConfig{AccountKey: "a2V5"}}, "one account"},
		"azure host of one account": {azureRoot, storage.Config{AllowLocations: []string{"abfss://box@other.dfs.core.windows.net"}, Azure: storage.AzureConfig{Endpoint: "https://host"}}, "one account"},
	} {
		store, err := storage.Open(tc.root, tc.cfg)
		if store != nil || !errors.Is(err, storage.ErrConfig) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Open: %v, want ErrConfig that says %q", name, err, tc.says)
		}
		if err != nil && strings.Contains(err.Error(), "hush-hush") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
	// Several accounts are fine where tokens are good for all.
	open(t, azureRoot, storage.Config{AllowLocations: []string{"abfss://box@other.dfs.core.windows.net"}})
}

// tokenDesk is a world of one issuer of tokens and one store, which takes only the
// newest of them.
type tokenDesk struct {
	t      *testing.T
	issue  func(r *http.Request, form url.Values) (status int, body string)
	issued int
	stale  int // requests that the store refused
}

func (d *tokenDesk) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "storage.googleapis.com" && r.URL.Host != "acme.blob.core.windows.net" {
		form := r.URL.Query()
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				d.t.Error(err)
			}
			if sent, err := url.ParseQuery(string(body)); err == nil && len(body) > 0 {
				form = sent
			}
		}
		d.issued++
		status, body := d.issue(r, form)
		response, err := answer(r, status, body)
		response.Header.Set("Content-Type", "application/json")
		return response, err
	}
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", d.issued) || d.issued == 1 {
		d.stale++
		return answer(r, http.StatusUnauthorized, "")
	}
	return answer(r, http.StatusNotFound, "")
}

// token is an answer that gives the next token; expires_in comes as a number from
// some, and in quotes from others.
func (d *tokenDesk) token(quote string) (int, string) {
	return 200, fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":%s3600%s}`, d.issued, quote, quote)
}

// ask makes two calls: the first token is refused and replaced, and the second one
// is kept.
func (d *tokenDesk) ask(root string, cfg storage.Config) {
	d.t.Helper()
	cfg.GCS.Transport, cfg.Azure.Transport = d, d
	cfg.Timeouts = storage.Timeouts{BackoffBase: time.Millisecond}
	store := open(d.t, root, cfg)
	for range 2 {
		if found, err := store.Exists(context.Background(), root+"/x"); err != nil || found {
			d.t.Errorf("Exists = %v, %v", found, err)
		}
	}
	if d.issued != 2 || d.stale != 1 {
		d.t.Errorf("%d tokens were issued and %d requests refused, want 2 and 1", d.issued, d.stale)
	}
}

func clearClouds(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
}

// serviceAccount writes the key file of one.
func serviceAccount(t *testing.T, path string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "floe@berg", "private_key_id": "1", "token_uri": "https://issuer/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestGoogleCredentials(t *testing.T) {
	signed := func(t *testing.T) *tokenDesk {
		d := &tokenDesk{t: t}
		d.issue = func(r *http.Request, form url.Values) (int, string) {
			if r.URL.String() != "https://issuer/token" || len(strings.Split(form.Get("assertion"), ".")) != 3 {
				t.Errorf("a token is asked for at %s with %v", r.URL, form)
			}
			return d.token("")
		}
		return d
	}
	t.Run("file", func(t *testing.T) {
		clearClouds(t)
		path := filepath.Join(t.TempDir(), "key.json")
		serviceAccount(t, path)
		signed(t).ask(gcsRoot, storage.Config{GCS: storage.GCSConfig{CredentialsFile: path}})
	})
	t.Run("environment", func(t *testing.T) {
		clearClouds(t)
		path := filepath.Join(t.TempDir(), "key.json")
		serviceAccount(t, path)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
		signed(t).ask(gcsRoot, storage.Config{})
	})
	t.Run("gcloud", func(t *testing.T) {
		clearClouds(t)
		serviceAccount(t, filepath.Join(os.Getenv("HOME"), ".config", "gcloud", "application_default_credentials.json"))
		signed(t).ask(gcsRoot, storage.Config{})
	})
	t.Run("machine", func(t *testing.T) {
		clearClouds(t)
		d := &tokenDesk{t: t}
		// The library has a client of its own for the metadata service.
		metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Metadata-Flavor") != "Google" {
				t.Errorf("the metadata service is asked without its header")
			}
			d.issued++
			w.Header().Set("Content-Type", "application/json")
			_, body := d.token("")
			_, _ = io.WriteString(w, body)
		}))
		defer metadata.Close()
		defer metadata.CloseClientConnections()
		t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(metadata.URL, "http://"))
		d.ask(gcsRoot, storage.Config{})
	})
	t.Run("refused", func(t *testing.T) {
		clearClouds(t)
		path := filepath.Join(t.TempDir(), "key.json")
		serviceAccount(t, path)
		d := &tokenDesk{t: t, issue: func(*http.Request, url.Values) (int, string) {
			return 400, `{"error":"invalid_grant","error_description":"account not found"}`
		}}
		err := open(t, gcsRoot, storage.Config{GCS: storage.GCSConfig{CredentialsFile: path, Transport: d}}).Put(context.Background(), gcsRoot+"/x", nil)
		if !errors.Is(err, storage.ErrDenied) || !strings.Contains(err.Error(), "invalid_grant: account not found") || d.issued != 1 {
			t.Errorf("Put: %v after %d attempts, want ErrDenied that says why", err, d.issued)
		}
	})
}

func TestAzureCredentials(t *testing.T) {
	t.Run("workload identity", func(t *testing.T) {
		clearClouds(t)
		file := filepath.Join(t.TempDir(), "token")
		t.Setenv("AZURE_CLIENT_ID", "app")
		t.Setenv("AZURE_TENANT_ID", "tenant")
		t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
		t.Setenv("AZURE_AUTHORITY_HOST", "https://login.other/")
		d := &tokenDesk{t: t}
		d.issue = func(r *http.Request, form url.Values) (int, string) {
			// It is replaced now and then.
			if form.Get("client_assertion") != fmt.Sprintf("assertion-%d", d.issued) || form.Get("client_id") != "app" ||
				r.URL.String() != "https://login.other/tenant/oauth2/v2.0/token" {
				t.Errorf("a token is asked for at %s with %v", r.URL, form)
			}
			if err := os.WriteFile(file, fmt.Appendf(nil, "assertion-%d\n", d.issued+1), 0o600); err != nil {
				t.Error(err)
			}
			return d.token("")
		}
		if err := os.WriteFile(file, []byte("assertion-1"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.ask(azureRoot, storage.Config{})
	})
	t.Run("secret", func(t *testing.T) {
		clearClouds(t)
		t.Setenv("AZURE_CLIENT_ID", "app")
		t.Setenv("AZURE_TENANT_ID", "tenant")
		t.Setenv("AZURE_CLIENT_SECRET", "hush")
		d := &tokenDesk{t: t}
		d.issue = func(r *http.Request, form url.Values) (int, string) {
			if form.Get("client_secret") != "hush" || r.URL.String() != "https://login.microsoftonline.com/tenant/oauth2/v2.0/token" {
				t.Errorf("a token is asked for at %s with %v", r.URL, form)
			}
			return d.token("")
		}
		d.ask(azureRoot, storage.Config{})
	})
	t.Run("managed identity", func(t *testing.T) {
		clearClouds(t)
		t.Setenv("AZURE_CLIENT_ID", "identity")
		d := &tokenDesk{t: t}
		d.issue = func(r *http.Request, form url.Values) (int, string) {
			if r.URL.Host != "169.254.169.254" || r.Header.Get("Metadata") != "true" || form.Get("client_id") != "identity" ||
				form.Get("resource") != "https://storage.azure.com" {
				t.Errorf("a token is asked for at %s", r.URL)
			}
			return d.token(`"`)
		}
		d.ask(azureRoot, storage.Config{})
	})
	t.Run("application platform", func(t *testing.T) {
		clearClouds(t)
		t.Setenv("IDENTITY_ENDPOINT", "http://localhost:42356/msi/token")
		t.Setenv("IDENTITY_HEADER", "header")
		d := &tokenDesk{t: t}
		d.issue = func(r *http.Request, _ url.Values) (int, string) {
			if r.URL.Host != "localhost:42356" || r.Header.Get("X-Identity-Header") != "header" {
				t.Errorf("a token is asked for at %s", r.URL)
			}
			return d.token(`"`)
		}
		d.ask(azureRoot, storage.Config{})
	})
	for name, tc := range map[string]struct {
		env    map[string]string
		status int
		body   string
		want   error
		says   string
	}{
		"no tenant":   {map[string]string{"AZURE_CLIENT_SECRET": "hush"}, 0, "", storage.ErrDenied, "AZURE_TENANT_ID"},
		"no file":     {map[string]string{"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, 0, "", storage.ErrDenied, "/nowhere"},
		"authority":   {map[string]string{"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_SECRET": "hush", "AZURE_AUTHORITY_HOST": "http://x"}, 0, "", storage.ErrDenied, "https://"},
		"no identity": {nil, 400, `{"error":"invalid_request","error_description":"Identity not found"}`, storage.ErrDenied, "Identity not found"},
		"busy":        {nil, 429, "", storage.ErrUnavailable, "429"},
		"rubbish":     {nil, 200, `{"access_token":"hush"}`, storage.ErrUnavailable, "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			clearClouds(t)
			for variable, value := range tc.env {
				t.Setenv(variable, value)
			}
			d := &tokenDesk{t: t, issue: func(*http.Request, url.Values) (int, string) { return tc.status, tc.body }}
			err := open(t, azureRoot, storage.Config{
				Timeouts: storage.Timeouts{BackoffBase: time.Millisecond},
				Azure:    storage.AzureConfig{Transport: d},
			}).Put(context.Background(), azureRoot+"/x", nil)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hush") {
				t.Errorf("Put: %v, want %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}

// A signature in the URL is as good as a password and must not end in a log.
func TestSASIsSentAndNeverTold(t *testing.T) {
	t.Parallel()
	w := &weather{script: func(n int, r *http.Request, _ func() *http.Response) (*http.Response, error) {
		if got := r.URL.Query().Get("sig"); got != "hush+hush" {
			t.Errorf("the signature sent is %q", got)
		}
		if r.Header.Get("Authorization") != "" {
			t.Errorf("it sends %q too", r.Header.Get("Authorization"))
		}
		if n == 1 {
			return answer(r, 201, "")
		}
		return nil, syscall.ECONNREFUSED
	}}
	store := open(t, azureRoot, storage.Config{
		Timeouts: storage.Timeouts{BackoffBase: time.Millisecond},
		Azure:    storage.AzureConfig{SASToken: "?sv=2021-12-02&sp=rw&sig=hush%2Bhush", Transport: w},
	})
	mustPut(t, store, azureRoot+"/x", []byte("x"))
	_, err := store.Get(context.Background(), azureRoot+"/x", 10)
	if !errors.Is(err, storage.ErrUnavailable) || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Get: %v, want ErrUnavailable without the signature", err)
	}
}
