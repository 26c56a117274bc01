package secret

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// fakeService is a service that wraps by turning bytes over. It tells what it was asked.
type fakeService struct {
	*httptest.Server
	asked []*http.Request
	// refuse is answered instead, where it is not "".
	refuse string
	status int
}

func newFakeService(t *testing.T, answer func(r *http.Request, in map[string]any) map[string]any) *fakeService {
	t.Helper()
	f := &fakeService{status: http.StatusForbidden}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked = append(f.asked, r)
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if f.refuse != "" {
			w.WriteHeader(f.status)
			_, _ = w.Write([]byte(f.refuse))
			return
		}
		if err := json.NewEncoder(w).Encode(answer(r, in)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeService) last() *http.Request { return f.asked[len(f.asked)-1] }

func turned(text any, form *base64.Encoding) string {
	raw, err := form.DecodeString(text.(string))
	if err != nil {
		return "not base64: " + err.Error()
	}
	out := bytes.Clone(raw)
	for i := range out {
		out[i] ^= 0xFF
	}
	return form.EncodeToString(out)
}

func keeperAt(t *testing.T, address string, cloud Cloud) keeper {
	t.Helper()
	k, err := parseURL(address, cloud)
	if err != nil {
		t.Fatal(err)
	}
	return k.keeper
}

// wraps tries that what is wrapped comes back, and what a refusal says.
func wraps(t *testing.T, k keeper, f *fakeService, refusal, says string) {
	t.Helper()
	key := bytes.Repeat([]byte{7}, keyBytes)
	wrapped, err := k.encrypt(t.Context(), key)
	if err != nil || bytes.Contains(wrapped, key) {
		t.Fatalf("wrapped: %x, %v", wrapped, err)
	}
	if back, err := k.decrypt(t.Context(), wrapped); err != nil || !bytes.Equal(back, key) {
		t.Errorf("unwrapped: %x, %v", back, err)
	}
	f.refuse = refusal
	if _, err := k.decrypt(t.Context(), wrapped); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("refused: %v, want %q", err, says)
	}
	f.refuse, f.status = `["not", "what", "was", "expected"]`, http.StatusOK
	if _, err := k.encrypt(t.Context(), key); err == nil {
		t.Error("an answer of another form is taken")
	}
	f.refuse = `{}`
	if _, err := k.encrypt(t.Context(), key); err == nil {
		t.Error("an answer without anything is taken")
	}
	f.refuse, f.status = "elsewhere", http.StatusFound
	if _, err := k.encrypt(t.Context(), key); err == nil || !strings.Contains(err.Error(), "status 302") {
		t.Errorf("a redirect: %v", err)
	}
}

func TestVault(t *testing.T) {
	f := newFakeService(t, func(r *http.Request, in map[string]any) map[string]any {
		if strings.Contains(r.URL.Path, "/encrypt/") {
			return map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + turned(in["plaintext"], base64.StdEncoding)}}
		}
		return map[string]any{"data": map[string]any{"plaintext": turned(strings.TrimPrefix(in["ciphertext"].(string), "vault:v1:"), base64.StdEncoding)}}
	})
	t.Setenv("VAULT_ADDR", f.URL+"/")
	t.Setenv("VAULT_TOKEN", "the-token")
	t.Setenv("VAULT_NAMESPACE", "team")
	k := keeperAt(t, "hashivault://floe/b%20erg?engine=keys/transit", Cloud{})
	wraps(t, k, f, `{"errors":["permission denied"]}`, "status 403: permission denied")
	r := f.asked[0]
	if r.URL.EscapedPath() != "/v1/keys/transit/encrypt/floe/b%20erg" || r.Header.Get("X-Vault-Token") != "the-token" || r.Header.Get("X-Vault-Namespace") != "team" {
		t.Errorf("asked for %s with %v", r.URL.EscapedPath(), r.Header)
	}
	t.Setenv("VAULT_ADDR", "http://vault.example:8200")
	if _, err := k.encrypt(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "must be https://") {
		t.Errorf("a token in the clear: %v", err)
	}
	t.Setenv("VAULT_ADDR", "")
	if _, err := k.encrypt(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "VAULT_ADDR is not set") {
		t.Errorf("without an address: %v", err)
	}
}

func TestAWS(t *testing.T) {
	t.Parallel()
	f := newFakeService(t, func(r *http.Request, in map[string]any) map[string]any {
		if in["KeyId"] != "alias/floeberg" || in["EncryptionContext"].(map[string]any)["purpose"] != "floeberg data key" {
			t.Errorf("asked %v", in)
		}
		if r.Header.Get("X-Amz-Target") == "TrentService.Encrypt" {
			return map[string]any{"CiphertextBlob": turned(in["Plaintext"], base64.StdEncoding)}
		}
		return map[string]any{"Plaintext": turned(in["CiphertextBlob"], base64.StdEncoding)}
	})
	var failed error
	cloud := Cloud{AWS: func(context.Context) (AWSKeys, error) {
		return AWSKeys{ID: "AKID", Secret: "the-secret", Session: "the-session"}, failed
	}}
	k := keeperAt(t, "awskms://alias/floeberg?region=eu-central-1&endpoint="+url.QueryEscape(f.URL), cloud)
	wraps(t, k, f, `{"__type":"AccessDeniedException","message":"not yours"}`, "status 403: AccessDeniedException: not yours")
	if auth := f.last().Header.Get("Authorization"); !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential=AKID/") || strings.Contains(auth, "the-secret") ||
		f.last().Header.Get("X-Amz-Security-Token") != "the-session" {
		t.Errorf("signed %v", f.last().Header)
	}
	failed = errors.New("no role")
	if _, err := k.encrypt(t.Context(), nil); !errors.Is(err, failed) {
		t.Errorf("without keys: %v", err)
	}
	k = keeperAt(t, "awskms://alias/floeberg?region=eu-central-1", Cloud{})
	if _, err := k.encrypt(t.Context(), nil); !errors.Is(err, errNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
	for address, want := range map[string]string{
		"awskms://alias/x?region=cn-north-1":      "https://kms.cn-north-1.amazonaws.com.cn",
		"awskms:///arn:aws:kms:eu-west-1:1:key/2": "https://kms.eu-west-1.amazonaws.com",
		"awskms://alias/x?region=us-east-1":       "https://kms.us-east-1.amazonaws.com",
	} {
		if got := keeperAt(t, address, Cloud{}).(awsKeeper).endpoint; got != want {
			t.Errorf("%s is asked at %s", address, got)
		}
	}
}

// The signature of a request that AWS's own description of the method has as an example
// (post-vanilla of its test suite).
func TestAWSSignature(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequest(http.MethodPost, "https://example.amazonaws.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	signAWS(req, nil, AWSKeys{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, "us-east-1", "service", at)
	const want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, " +
		"Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
}

func TestGoogle(t *testing.T) {
	t.Parallel()
	f := newFakeService(t, func(r *http.Request, in map[string]any) map[string]any {
		if strings.HasSuffix(r.URL.Path, ":encrypt") {
			return map[string]any{"ciphertext": turned(in["plaintext"], base64.StdEncoding)}
		}
		return map[string]any{"plaintext": turned(in["ciphertext"], base64.StdEncoding)}
	})
	const name = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"
	k := keeperAt(t, "gcpkms://"+name, Cloud{Google: func(context.Context) (string, error) { return "the-token", nil }}).(gcpKeeper)
	if k.endpoint != "https://cloudkms.googleapis.com" {
		t.Errorf("tokens go to %s", k.endpoint)
	}
	k.endpoint = f.URL
	wraps(t, k, f, `{"error":{"code":403,"message":"not yours","status":"PERMISSION_DENIED"}}`, "status 403: not yours")
	if r := f.asked[0]; r.URL.Path != "/v1/"+name+":encrypt" || r.Header.Get("Authorization") != "Bearer the-token" {
		t.Errorf("asked for %s with %v", r.URL.Path, r.Header)
	}
	if _, err := keeperAt(t, "gcpkms://"+name, Cloud{}).encrypt(t.Context(), nil); !errors.Is(err, errNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
}

func TestAzure(t *testing.T) {
	t.Parallel()
	f := newFakeService(t, func(r *http.Request, in map[string]any) map[string]any {
		if in["alg"] != "RSA-OAEP-256" || r.URL.Query().Get("api-version") != "7.4" {
			t.Errorf("asked %v with %s", in, r.URL.RawQuery)
		}
		return map[string]any{"kid": "https://v.vault.azure.net/keys/k/0123", "value": turned(in["value"], base64.RawURLEncoding)}
	})
	k := keeperAt(t, "azurekeyvault://v.vault.azure.net/keys/k", Cloud{Azure: func(context.Context) (string, error) { return "the-token", nil }}).(azureKeeper)
	if k.endpoint != "https://v.vault.azure.net" {
		t.Errorf("tokens go to %s", k.endpoint)
	}
	k.endpoint = f.URL
	wraps(t, k, f, `{"error":{"code":"Forbidden","message":"not yours"}}`, "status 403: not yours")
	if r := f.asked[0]; r.URL.Path != "/keys/k/encrypt" || r.Header.Get("Authorization") != "Bearer the-token" {
		t.Errorf("asked for %s with %v", r.URL.Path, r.Header)
	}
	// What was wrapped names the version that unwraps it.
	if r := f.asked[1]; r.URL.Path != "/keys/k/0123/decrypt" {
		t.Errorf("asked for %s", r.URL.Path)
	}
	if _, err := keeperAt(t, "azurekeyvault://v.vault.azure.net/keys/k", Cloud{}).encrypt(t.Context(), nil); !errors.Is(err, errNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
}
