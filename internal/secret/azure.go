package secret

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// azureKeeper is an RSA key of Azure's Key Vault.
type azureKeeper struct {
	endpoint, key string
	cloud         Cloud
}

// azureVaults are where vaults are, in the clouds of Azure.
var azureVaults = []string{".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net", ".managedhsm.azure.net"}

// azureAlgorithm is what wraps; azureVersion is that of the service's protocol.
const (
	azureAlgorithm = "RSA-OAEP-256"
	azureVersion   = "7.4"
)

// openAzure reads azurekeyvault://VAULT.vault.azure.net/keys/KEY, with /VERSION where
// only that one is to be used.
func openAzure(u *url.URL, cloud Cloud) (keeper, error) {
	name, ok := strings.CutPrefix(strings.Trim(u.Path, "/"), "keys/")
	// Tokens go to vaults of Azure and to nobody else, whatever the URL says.
	known := slices.ContainsFunc(azureVaults, func(suffix string) bool { return strings.HasSuffix(u.Host, suffix) })
	if !ok || !known || name == "" || strings.Count(name, "/") > 1 || u.RawQuery != "" {
		return nil, errors.New("it names no key")
	}
	return azureKeeper{endpoint: "https://" + u.Host, key: name, cloud: cloud}, nil
}

type azureOperation struct {
	Algorithm string `json:"alg"`
	Value     string `json:"value"`
}

type azureResult struct {
	// Key names the key with its version.
	Key   string `json:"kid"`
	Value string `json:"value"`
}

// encrypt gives what it takes to unwrap: the version of the key too, since another one
// may be current then.
func (k azureKeeper) encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	out, err := k.ask(ctx, k.key, "encrypt", base64.RawURLEncoding.EncodeToString(plain))
	if err != nil {
		return nil, err
	}
	_, version, ok := strings.Cut(out.Key, "/keys/"+strings.Split(k.key, "/")[0]+"/")
	if !ok || version == "" || out.Value == "" {
		return nil, errors.New("it answered without the key's version or a ciphertext")
	}
	return []byte(version + " " + out.Value), nil
}

func (k azureKeeper) decrypt(ctx context.Context, wrapped []byte) ([]byte, error) {
	version, value, ok := strings.Cut(string(wrapped), " ")
	if !ok {
		return nil, errors.New("it is wrapped in a way that this program does not know")
	}
	out, err := k.ask(ctx, strings.Split(k.key, "/")[0]+"/"+version, "decrypt", value)
	if err != nil {
		return nil, err
	}
	plain, err := base64.RawURLEncoding.DecodeString(out.Value)
	if err != nil {
		// The decoder's error may repeat some of it.
		return nil, errors.New("what it unwrapped can't be read")
	}
	return plain, nil
}

func (k azureKeeper) ask(ctx context.Context, key, what, value string) (out azureResult, err error) {
	if k.cloud.Azure == nil {
		return out, errNoIdentity
	}
	token, err := k.cloud.Azure(ctx)
	if err != nil {
		return out, err
	}
	target := k.endpoint + "/keys/" + escapePath(key) + "/" + what + "?api-version=" + azureVersion
	err = postJSON(ctx, target, azureOperation{Algorithm: azureAlgorithm, Value: value}, &out, bearerToken(token))
	return out, err
}
