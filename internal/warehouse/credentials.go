package warehouse

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/storage"
)

// Credentials are those of a warehouse's own, for the kind of store that it is in.
type Credentials struct {
	// AccessKeyID and SecretAccessKey are for s3://.
	AccessKeyID     string `json:"access_key_id,omitempty"`
	SecretAccessKey string `json:"secret_access_key,omitempty"`
	// ServiceAccountKey is for gs://: the key file of a service account.
	ServiceAccountKey string `json:"service_account_key,omitempty"`
	// AccountKey or SASToken is for abfss://.
	AccountKey string `json:"account_key,omitempty"`
	SASToken   string `json:"sas_token,omitempty"`
}

const hidden = "(credentials)"

// String shows nothing of them, whoever formats them.
func (Credentials) String() string { return hidden }

// GoString does the same for %#v.
func (Credentials) GoString() string { return hidden }

// LogValue does the same for logs.
func (Credentials) LogValue() slog.Value { return slog.StringValue(hidden) }

// maxCredentialBytes bounds each of them: a service account's key has some 2,400 bytes.
const maxCredentialBytes = 16 << 10

// check refuses credentials that are not those of a store of a scheme. It returns what
// may be known of them.
func (c *Credentials) check(scheme string) (name string, err error) {
	given := map[string]string{
		"access_key_id": c.AccessKeyID, "secret_access_key": c.SecretAccessKey, "service_account_key": c.ServiceAccountKey,
		"account_key": c.AccountKey, "sas_token": c.SASToken,
	}
	want := map[string][]string{
		"s3": {"access_key_id", "secret_access_key"}, "gs": {"service_account_key"}, "abfss": {"account_key", "sas_token"},
	}[scheme]
	if want == nil {
		return "", invalid("a store of kind %s is reached without credentials", scheme)
	}
	count := 0
	for _, field := range want {
		if given[field] != "" {
			count++
		}
		if len(given[field]) > maxCredentialBytes {
			return "", invalid("credentials: %s has more than %d bytes", field, maxCredentialBytes)
		}
		delete(given, field)
	}
	for field, value := range given {
		if value != "" {
			return "", invalid("credentials: %s is none for %s://", field, scheme)
		}
	}
	switch {
	case scheme == "s3" && count != 2:
		return "", invalid("credentials: access_key_id and secret_access_key are both needed")
	case scheme == "s3":
		if strings.ContainsFunc(c.AccessKeyID+c.SecretAccessKey, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
			return "", invalid("credentials: an access key has no spaces and no characters but ASCII's")
		}
		return "access key " + c.AccessKeyID, nil
	case scheme == "gs" && count == 1:
		return c.serviceAccount()
	case scheme == "gs":
		return "", invalid("credentials: service_account_key is needed")
	case count != 1:
		return "", invalid("credentials: one of account_key and sas_token is needed")
	case c.SASToken != "":
		return "shared access signature", nil
	}
	return "account key", nil
}

// serviceAccount reads whose key it is. What else Google's programs take for
// credentials may name commands, files and addresses, which a request must not.
func (c *Credentials) serviceAccount() (name string, err error) {
	var key struct {
		Type  string `json:"type"`
		Email string `json:"client_email"`
		Token string `json:"token_uri"`
	}
	if err := json.Unmarshal([]byte(c.ServiceAccountKey), &key); err != nil {
		// The parser's error repeats some of it.
		return "", invalid("credentials: service_account_key is not JSON")
	}
	if key.Type != "service_account" || key.Email == "" {
		return "", invalid("credentials: service_account_key is not the key file of a service account")
	}
	if issuer, err := url.Parse(key.Token); key.Token != "" && (err != nil || issuer.Scheme != "https" || !strings.HasSuffix(issuer.Host, ".googleapis.com")) {
		return "", invalid("credentials: service_account_key gets its tokens from %q, which is not Google", catalog.Brief(key.Token))
	}
	return "service account " + key.Email, nil
}

// kind is what the purposes begin with that credentials are sealed for.
const kind = "warehouse"

// purpose is what a warehouse's credentials are sealed for.
func purpose(name string) string { return kind + "/" + name + "/credentials" }

// apply puts the credentials and the settings of a warehouse in the place of the nodes'.
func (c *Credentials) apply(cfg *storage.Config, scheme string, store *state.WarehouseStore) {
	switch scheme {
	case "s3":
		cfg.S3 = storage.S3Config{
			Endpoint: store.GetEndpoint(), Region: store.GetRegion(), PathStyle: store.GetPathStyle(),
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey,
		}
	case "gs":
		cfg.GCS = storage.GCSConfig{Endpoint: store.GetEndpoint(), ServiceAccountKey: []byte(c.ServiceAccountKey)}
	case "abfss":
		cfg.Azure = storage.AzureConfig{Endpoint: store.GetEndpoint(), AccountKey: c.AccountKey, SASToken: c.SASToken}
	}
}
