package secret

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
)

// vaultKeeper is a key of the transit engine of HashiCorp's Vault, or of OpenBao.
type vaultKeeper struct {
	engine, key string
}

// openVault reads hashivault://KEY, with ?engine=NAME where the engine is not at
// transit. Where Vault is and who asks is said by the environment.
func openVault(u *url.URL, _ Cloud) (keeper, error) {
	k := vaultKeeper{engine: "transit", key: strings.Trim(path.Join(u.Host, u.Path), "/")}
	for name, values := range u.Query() {
		if name != "engine" {
			return nil, errors.New("the only parameter is engine")
		}
		k.engine = strings.Trim(values[0], "/")
	}
	if k.key == "" || k.engine == "" {
		return nil, errors.New("the key's name is missing")
	}
	return k, nil
}

func (k vaultKeeper) encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	var out struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}
	err := k.ask(ctx, "encrypt", map[string]string{"plaintext": base64.StdEncoding.EncodeToString(plain)}, &out)
	if err == nil && out.Data.Ciphertext == "" {
		err = errors.New("it answered without a ciphertext")
	}
	return []byte(out.Data.Ciphertext), err
}

func (k vaultKeeper) decrypt(ctx context.Context, wrapped []byte) ([]byte, error) {
	var out struct {
		Data struct {
			Plaintext []byte `json:"plaintext"`
		} `json:"data"`
	}
	err := k.ask(ctx, "decrypt", map[string]string{"ciphertext": string(wrapped)}, &out)
	return out.Data.Plaintext, err
}

func (k vaultKeeper) ask(ctx context.Context, what string, in, out any) error {
	address := cmp.Or(os.Getenv("VAULT_SERVER_URL"), os.Getenv("VAULT_ADDR"))
	if address == "" {
		return errors.New("VAULT_ADDR is not set in this node's environment: it says where Vault is")
	}
	if err := checkEndpoint(address); err != nil {
		return err
	}
	target := strings.TrimRight(address, "/") + "/v1/" + escapePath(k.engine) + "/" + what + "/" + escapePath(k.key)
	return postJSON(ctx, target, in, out, func(req *http.Request, _ []byte) error {
		req.Header.Set("X-Vault-Request", "true")
		if token := cmp.Or(os.Getenv("VAULT_SERVER_TOKEN"), os.Getenv("VAULT_TOKEN")); token != "" {
			req.Header.Set("X-Vault-Token", token)
		}
		if namespace := os.Getenv("VAULT_NAMESPACE"); namespace != "" {
			req.Header.Set("X-Vault-Namespace", namespace)
		}
		return nil
	})
}

// escapePath escapes each part of a path.
func escapePath(text string) string {
	parts := strings.Split(text, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
