package secret

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"regexp"
)

// gcpEndpoint is where Google's Cloud KMS is.
const gcpEndpoint = "https://cloudkms.googleapis.com"

// gcpKeeper is a key of Google's Cloud KMS.
type gcpKeeper struct {
	key, endpoint string
	cloud         Cloud
}

var gcpKey = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)

// openGCP reads gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K.
func openGCP(u *url.URL, cloud Cloud) (keeper, error) {
	k := gcpKeeper{key: path.Join(u.Host, u.Path), endpoint: gcpEndpoint, cloud: cloud}
	if !gcpKey.MatchString(k.key) || u.RawQuery != "" {
		return nil, errors.New("it names no key")
	}
	return k, nil
}

func (k gcpKeeper) encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	var out struct {
		Ciphertext []byte `json:"ciphertext"`
	}
	err := k.ask(ctx, "encrypt", map[string][]byte{"plaintext": plain}, &out)
	if err == nil && len(out.Ciphertext) == 0 {
		err = errors.New("it answered without a ciphertext")
	}
	return out.Ciphertext, err
}

func (k gcpKeeper) decrypt(ctx context.Context, wrapped []byte) ([]byte, error) {
	var out struct {
		Plaintext []byte `json:"plaintext"`
	}
	err := k.ask(ctx, "decrypt", map[string][]byte{"ciphertext": wrapped}, &out)
	return out.Plaintext, err
}

func (k gcpKeeper) ask(ctx context.Context, what string, in, out any) error {
	if k.cloud.Google == nil {
		return errNoIdentity
	}
	token, err := k.cloud.Google(ctx)
	if err != nil {
		return err
	}
	return postJSON(ctx, k.endpoint+"/v1/"+escapePath(k.key)+":"+what, in, out, bearerToken(token))
}

// bearerToken has a request carry a token.
func bearerToken(token string) func(*http.Request, []byte) error {
	return func(req *http.Request, _ []byte) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}
