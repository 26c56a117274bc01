package secret

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// awsKeeper is a key of AWS's Key Management Service.
type awsKeeper struct {
	key, region, endpoint string
	now                   func() time.Time
	cloud                 Cloud
}

// awsContext is bound to what is wrapped, and told to whoever reads CloudTrail.
var awsContext = map[string]string{"purpose": "floeberg data key"}

// openAWS reads awskms://KEY, by id, alias or ARN, with ?region=REGION and, for what
// only speaks like AWS, &endpoint=URL.
func openAWS(u *url.URL, cloud Cloud) (keeper, error) {
	k := awsKeeper{key: strings.Trim(path.Join(u.Host, u.Path), "/"), now: time.Now, cloud: cloud}
	for name, values := range u.Query() {
		switch name {
		case "region":
			k.region = values[0]
		case "endpoint":
			k.endpoint = values[0]
			if err := checkEndpoint(k.endpoint); err != nil {
				return nil, err
			}
		default:
			return nil, errors.New("the only parameters are region and endpoint")
		}
	}
	if k.key == "" {
		return nil, errors.New("the key's name is missing")
	}
	if parts := strings.Split(k.key, ":"); k.region == "" && len(parts) > 3 && parts[0] == "arn" {
		k.region = parts[3]
	}
	k.region = cmp.Or(k.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if k.region == "" || strings.ContainsAny(k.region, "/:?#@. ") {
		return nil, errors.New("the region is missing: ?region=REGION")
	}
	if k.endpoint == "" {
		k.endpoint = "https://kms." + k.region + ".amazonaws.com"
		if strings.HasPrefix(k.region, "cn-") {
			k.endpoint += ".cn"
		}
	}
	return k, nil
}

func (k awsKeeper) encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	var out struct {
		CiphertextBlob []byte
	}
	err := k.ask(ctx, "Encrypt", map[string]any{"KeyId": k.key, "Plaintext": plain, "EncryptionContext": awsContext}, &out)
	if err == nil && len(out.CiphertextBlob) == 0 {
		err = errors.New("it answered without a ciphertext")
	}
	return out.CiphertextBlob, err
}

func (k awsKeeper) decrypt(ctx context.Context, wrapped []byte) ([]byte, error) {
	var out struct {
		Plaintext []byte
	}
	err := k.ask(ctx, "Decrypt", map[string]any{"KeyId": k.key, "CiphertextBlob": wrapped, "EncryptionContext": awsContext}, &out)
	return out.Plaintext, err
}

func (k awsKeeper) ask(ctx context.Context, what string, in, out any) error {
	if k.cloud.AWS == nil {
		return errNoIdentity
	}
	keys, err := k.cloud.AWS(ctx)
	if err != nil {
		return err
	}
	return postJSON(ctx, strings.TrimRight(k.endpoint, "/")+"/", in, out, func(req *http.Request, body []byte) error {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "TrentService."+what)
		signAWS(req, body, keys, k.region, "kms", k.now())
		return nil
	})
}

// signAWS signs a request to a service of AWS, in the fourth version of AWS's way: all of
// its headers, and its body.
func signAWS(req *http.Request, body []byte, keys AWSKeys, region, service string, now time.Time) {
	const algorithm = "AWS4-HMAC-SHA256"
	stamp := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	if keys.Session != "" {
		req.Header.Set("X-Amz-Security-Token", keys.Session)
	}
	headers := map[string]string{"host": req.URL.Host}
	for name := range req.Header {
		headers[strings.ToLower(name)] = strings.TrimSpace(req.Header.Get(name))
	}
	names := slices.Sorted(maps.Keys(headers))
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", req.Method, cmp.Or(req.URL.EscapedPath(), "/"), req.URL.RawQuery)
	for _, name := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", name, headers[name])
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, hashOf(body))

	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	text := strings.Join([]string{algorithm, stamp, scope, hashOf([]byte(canonical.String()))}, "\n")
	key := []byte("AWS4" + keys.Secret)
	for _, part := range strings.Split(scope, "/") {
		key = macOf(key, part)
	}
	req.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, keys.ID, scope, signed, hex.EncodeToString(macOf(key, text))))
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func macOf(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
