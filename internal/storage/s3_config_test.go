package storage_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
)

func TestOpenRefusesBadConfiguration(t *testing.T) {
	t.Parallel()
	keys := func(endpoint string) storage.Config {
		return storage.Config{S3: storage.S3Config{Endpoint: endpoint, AccessKeyID: "a", SecretAccessKey: "hush-hush"}}
	}
	for name, tc := range map[string]struct {
		root string
		cfg  storage.Config
		want error
	}{
		"scheme":             {"hdfs://bucket", storage.Config{}, storage.ErrInvalidLocation},
		"no scheme":          {"/var/lib", storage.Config{}, storage.ErrInvalidLocation},
		"second root":        {"s3://bucket", storage.Config{AllowLocations: []string{"x"}}, storage.ErrInvalidLocation},
		"endpoint path":      {"s3://bucket", keys("http://host/path"), storage.ErrConfig},
		"endpoint query":     {"s3://bucket", keys("http://host?x"), storage.ErrConfig},
		"endpoint user":      {"s3://bucket", keys("http://me:hush-hush@host"), storage.ErrConfig},
		"endpoint rubbish":   {"s3://bucket", keys("http://hush-hush@[::1"), storage.ErrConfig},
		"endpoint empty":     {"s3://bucket", keys("http://"), storage.ErrConfig},
		"endpoint scheme":    {"s3://bucket", keys("ftp://host"), storage.ErrConfig},
		"only one key":       {"s3://bucket", storage.Config{S3: storage.S3Config{AccessKeyID: "a"}}, storage.ErrConfig},
		"only the secret":    {"s3://bucket", storage.Config{S3: storage.S3Config{SecretAccessKey: "hush-hush"}}, storage.ErrConfig},
		"only a token":       {"s3://bucket", storage.Config{S3: storage.S3Config{SessionToken: "hush-hush"}}, storage.ErrConfig},
		"negative timeout":   {"s3://bucket", storage.Config{Timeouts: storage.Timeouts{Attempt: -1}}, storage.ErrConfig},
		"negative attempts":  {"s3://bucket", storage.Config{Timeouts: storage.Timeouts{Attempts: -1}}, storage.ErrConfig},
		"negative slots":     {"s3://bucket", storage.Config{MaxConcurrent: -1}, storage.ErrConfig},
		"negative transfers": {"s3://bucket", storage.Config{Timeouts: storage.Timeouts{Throughput: -1}}, storage.ErrConfig},
	} {
		store, err := storage.Open(tc.root, tc.cfg)
		if store != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: Open: %v, want %v", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush-hush") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
	for _, endpoint := range []string{"", "http://host", "https://host:9000", "https://host:9000/", "host:9000", "127.0.0.1:9000", "[::1]:9000", "localhost"} {
		store, err := storage.Open("s3://bucket", keys(endpoint))
		if err != nil {
			t.Errorf("Open with endpoint %q: %v", endpoint, err)
			continue
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// clearAWS makes sure that no credentials of the machine are found.
func clearAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_REGION", "AWS_DEFAULT_REGION",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
}

func TestCredentialsFromTheEnvironment(t *testing.T) {
	clearAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "key-of-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	t.Setenv("AWS_REGION", "eu-somewhere-1")
	fake := newFakeS3(t, nil)
	cfg := fake.config()
	cfg.S3.AccessKeyID, cfg.S3.SecretAccessKey = "", ""
	mustPut(t, open(t, bucketRoot, cfg), place, nil)
	if got := fake.requests[0].Header.Get("Authorization"); !strings.Contains(got, "Credential=key-of-environment/") || !strings.Contains(got, "/eu-somewhere-1/") {
		t.Errorf("Authorization is %q", got)
	}
	if got := fake.requests[0].Header.Get("X-Amz-Security-Token"); got != "token" {
		t.Errorf("the session token is %q", got)
	}
}

// An expired token is fetched anew and not used until the process ends.
func TestExpiredCredentialsAreFetchedAgain(t *testing.T) {
	clearAWS(t)
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(key string) {
		content := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = s\naws_session_token = t\n", key)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("old")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	fake := newFakeS3(t, func(_ *fakeS3, _ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.Header.Get("Authorization"), "Credential=old/") {
			write("new")
			return refuse(w, 400, "ExpiredToken")
		}
		return false
	})
	cfg := fake.config()
	cfg.S3.AccessKeyID, cfg.S3.SecretAccessKey = "", ""
	mustPut(t, open(t, bucketRoot, cfg), place, nil)
	if seen := fake.seen(); len(seen) != 2 {
		t.Errorf("requests %q, want one refused and one with new credentials", seen)
	}
}

func TestNoCredentials(t *testing.T) {
	clearAWS(t)
	// Where a machine's role would be asked for, nobody answers.
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
	fake := newFakeS3(t, nil)
	cfg := fake.config()
	cfg.S3.AccessKeyID, cfg.S3.SecretAccessKey = "", ""
	err := open(t, bucketRoot, cfg).Put(context.Background(), place, nil)
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("Put: %v, want ErrUnavailable that says so", err)
	}
	if seen := fake.seen(); len(seen) != 0 {
		t.Errorf("it asked without credentials: %q", seen)
	}
}

// getOverTLS is a child process that reads one object and says how it went.
func getOverTLS(endpoint string) {
	store, err := storage.Open(bucketRoot, storage.Config{
		S3:       storage.S3Config{Endpoint: endpoint, AccessKeyID: "a", SecretAccessKey: "b", PathStyle: true},
		Timeouts: storage.Timeouts{BackoffBase: time.Millisecond},
	})
	var body []byte
	if err == nil {
		body, err = store.Get(context.Background(), place, 100)
	}
	fmt.Printf("%s|%v|%v", body, err, errors.Is(err, storage.ErrUnavailable))
}

// A store behind a private certificate authority is trusted when SSL_CERT_FILE
// names it. Go reads that once per process, so processes are what it takes.
func TestPrivateCertificateAuthority(t *testing.T) {
	t.Parallel()
	fake := newUnstartedFakeS3(nil)
	fake.set("x", "over TLS")
	fake.StartTLS()
	t.Cleanup(fake.stop)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: fake.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	get := func(extra ...string) string {
		child := exec.Command(os.Args[0])
		child.Env = append(append(os.Environ(), childVariable+"=tls "+fake.URL), extra...)
		output, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		return string(output)
	}
	if got, want := get("SSL_CERT_FILE="+ca), "over TLS|<nil>|false"; got != want {
		t.Errorf("with the authority: %s, want %s", got, want)
	}
	if got := get(); !strings.Contains(got, "certificate") || !strings.HasSuffix(got, "|true") {
		t.Errorf("without the authority: %s, want ErrUnavailable over its certificate", got)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	type call struct {
		operation string
		failed    bool
	}
	var calls []call
	fake := newFakeS3(t, nil)
	cfg := fake.config()
	cfg.Observe = func(operation string, d time.Duration, err error) {
		if d <= 0 {
			t.Errorf("%s took %v", operation, d)
		}
		calls = append(calls, call{operation, err != nil})
	}
	store := open(t, bucketRoot, cfg)
	ctx := context.Background()
	mustPut(t, store, place, nil)
	if err := store.Put(ctx, place, nil); err == nil {
		t.Error("a second Put succeeded")
	}
	_, _ = store.Get(ctx, place, 1)
	_, _ = store.Exists(ctx, place)
	_ = store.Delete(ctx, place)
	_ = store.EnsureFolder(ctx, bucketRoot+"/t")
	list(t, store, bucketRoot)
	want := fmt.Sprint([]call{{"put", false}, {"put", true}, {"get", false}, {"exists", false}, {"delete", false}, {"ensure_folder", false}, {"list", false}})
	if got := fmt.Sprint(calls); got != want {
		t.Errorf("observed %v, want %v", got, want)
	}
}
