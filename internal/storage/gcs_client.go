package storage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	gcsEndpoint = "https://storage.googleapis.com"

	// gcsScope is what tokens are asked for: to read and write objects.
	gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"

	// userAgent is what stores see in their logs.
	userAgent = "floeberg"
)

// openGCSStore makes the client for all buckets.
func openGCSStore(cfg Config) (*webStore, error) {
	endpoint, err := webEndpoint("gcs", cfg.GCS.Endpoint)
	if err != nil {
		return nil, err
	}
	g := &gcsDialect{client: newWebClient(cfg, cfg.GCS.Transport), endpoint: gcsEndpoint}
	if endpoint != "" {
		g.endpoint = endpoint
	}
	switch {
	case cfg.GCS.NoAuth && (cfg.GCS.CredentialsFile != "" || len(cfg.GCS.ServiceAccountKey) > 0):
		return nil, fmt.Errorf("%w: gcs credentials are given, and that none are sent", ErrConfig)
	case !cfg.GCS.NoAuth && strings.HasPrefix(g.endpoint, "http://"):
		return nil, fmt.Errorf("%w: the gcs endpoint is http://, where anybody could read the token: use https://, or no authentication for an emulator", ErrConfig)
	case !cfg.GCS.NoAuth:
		source := googleCredentials{file: cfg.GCS.CredentialsFile, key: cfg.GCS.ServiceAccountKey, client: &http.Client{
			Timeout:   cfg.Timeouts.Attempt,
			Transport: g.client.Transport,
		}}
		if source.file != "" || len(source.key) > 0 {
			// Without the network: what is wrong with it is known at once.
			if _, err := source.find(context.Background()); err != nil {
				return nil, fmt.Errorf("%w: gcs credentials: %w", ErrConfig, err)
			}
		}
		g.tokens = &bearer{fetch: source.fetch}
	}
	return newWebStore(cfg, g, g.client), nil
}

// googleCredentials finds tokens where Google's own programs do: in the file that
// was given, in the one that GOOGLE_APPLICATION_CREDENTIALS names, in gcloud's, and
// from the machine.
type googleCredentials struct {
	file   string
	key    []byte // of a service account
	client *http.Client
	// scope is what tokens are asked for; "" is gcsScope.
	scope string
}

// fetch asks for a token. Files are read each time: they may have been replaced.
func (c googleCredentials) fetch(ctx context.Context) (string, time.Time, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, c.client)
	source, err := c.find(ctx)
	if err != nil {
		return "", time.Time{}, &failure{kind: ErrDenied, cause: fmt.Errorf("google credentials: %w", err)}
	}
	token, err := source.Token()
	if err != nil {
		return "", time.Time{}, classifyToken(err)
	}
	return token.AccessToken, token.Expiry, nil
}

func (c googleCredentials) find(ctx context.Context) (oauth2.TokenSource, error) {
	if len(c.key) > 0 {
		found, err := google.CredentialsFromJSONWithType(ctx, c.key, google.ServiceAccount, gcsScope)
		if err != nil {
			// The error may repeat some of it.
			return nil, errors.New("the service account's key is not one")
		}
		return found.TokenSource, nil
	}
	if c.file != "" {
		return c.fromFile(ctx, c.file)
	}
	if path := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); path != "" {
		return c.fromFile(ctx, path)
	}
	if home, err := os.UserHomeDir(); err == nil {
		source, err := c.fromFile(ctx, filepath.Join(home, ".config", "gcloud", "application_default_credentials.json"))
		if !errors.Is(err, os.ErrNotExist) {
			return source, err
		}
	}
	// Asked and not looked for first: a machine whose metadata service is late at
	// boot would be taken for one that has none until the process ends.
	return google.ComputeTokenSource("", cmp.Or(c.scope, gcsScope)), nil
}

// fromFile reads a service account's key, a user's credentials or the description
// of another identity, as gcloud writes them.
func (c googleCredentials) fromFile(ctx context.Context, path string) (oauth2.TokenSource, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kind struct {
		Type google.CredentialsType `json:"type"`
	}
	if err := json.Unmarshal(content, &kind); err != nil {
		return nil, fmt.Errorf("%s is not a JSON file of credentials", path)
	}
	found, err := google.CredentialsFromJSONWithType(ctx, content, kind.Type, cmp.Or(c.scope, gcsScope))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return found.TokenSource, nil
}

// classifyToken says what it means that a token was not given.
func classifyToken(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		status := refused.Response.StatusCode
		kind, retry := ErrDenied, false
		if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
			kind, retry = ErrUnavailable, true
		}
		var said struct {
			Code        string `json:"error"`
			Description string `json:"error_description"`
		}
		// What can't be read leaves the status, which is said in any case.
		_ = json.Unmarshal(refused.Body, &said)
		return &failure{kind: kind, retry: retry, cause: fmt.Errorf("no token: the issuer answered %s", sayAnswer(status, said.Code, said.Description))}
	}
	return &failure{kind: ErrUnavailable, cause: fmt.Errorf("no credentials: no token could be fetched: %w", err), retry: true}
}

// webEndpoint checks the URL of a store that is spoken to in plain HTTP; "" stays.
func webEndpoint(name, endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		// It is not repeated: what can't be parsed may hold a password.
		return "", fmt.Errorf("%w: the %s endpoint is not a URL such as https://host:port", ErrConfig, name)
	case u.User != nil:
		return "", fmt.Errorf("%w: the %s endpoint must not hold credentials", ErrConfig, name)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("%w: the %s endpoint is not of the form https://host:port", ErrConfig, name)
	}
	return strings.TrimSuffix(endpoint, "/"), nil
}
