package storage

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Where tokens are asked for, and what for.
const (
	azureAuthority = "https://login.microsoftonline.com"
	azureResource  = "https://storage.azure.com"
	azureMachine   = "http://169.254.169.254/metadata/identity/oauth2/token"
)

// openAzureStore makes the client for the containers of roots.
func openAzureStore(cfg Config, roots []string) (*webStore, error) {
	endpoint, err := webEndpoint("azure", cfg.Azure.Endpoint)
	if err != nil {
		return nil, err
	}
	client := newWebClient(cfg, cfg.Azure.Transport)
	signer, err := newAzureSigner(cfg, client)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(endpoint, "http://") && cfg.Azure.AccountKey == "" {
		return nil, fmt.Errorf("%w: the azure endpoint is http://, where anybody could read the token: use https://, or an account key", ErrConfig)
	}
	if endpoint != "" || cfg.Azure.AccountKey != "" || cfg.Azure.SASToken != "" {
		if err := oneAccount(roots); err != nil {
			return nil, err
		}
	}
	return newWebStore(cfg, &azureDialect{client: client, endpoint: endpoint, signer: signer}, client), nil
}

// oneAccount refuses roots of several accounts where what is given is one's.
func oneAccount(roots []string) error {
	first := ""
	for _, root := range roots {
		bucket, _ := splitBucket(root)
		_, host, _ := strings.Cut(bucket, "@")
		switch {
		case first == "":
			first = host
		case host != first:
			return fmt.Errorf("%w: an azure endpoint, account key or SAS token is that of one account, but there are locations in %s and in %s", ErrConfig, first, host)
		}
	}
	return nil
}

func newAzureSigner(cfg Config, client *http.Client) (azureSigner, error) {
	switch {
	case cfg.Azure.AccountKey != "" && cfg.Azure.SASToken != "":
		return nil, fmt.Errorf("%w: an azure account key and a SAS token are given: only one can be used", ErrConfig)
	case cfg.Azure.AccountKey != "":
		key, err := base64.StdEncoding.DecodeString(cfg.Azure.AccountKey)
		if err != nil {
			return nil, fmt.Errorf("%w: the azure account key is not base64", ErrConfig)
		}
		return azureKey{key: key}, nil
	case cfg.Azure.SASToken != "":
		query, err := url.ParseQuery(strings.TrimPrefix(cfg.Azure.SASToken, "?"))
		if err != nil || query.Get("sig") == "" {
			return nil, fmt.Errorf("%w: the azure SAS token is not of the form sv=…&sig=…", ErrConfig)
		}
		return azureSAS{query: query}, nil
	}
	source := azureIdentity{client: &http.Client{Timeout: cfg.Timeouts.Attempt, Transport: client.Transport}}
	// Its own client: where a machine has no metadata service, it must not be
	// waited for long.
	source.machine = &http.Client{Timeout: cfg.Timeouts.Attempt, Transport: cfg.Azure.Transport}
	if cfg.Azure.Transport == nil {
		source.machine.Transport = &http.Transport{DisableKeepAlives: true, Proxy: proxyUnlessLocal}
	}
	return azureToken{tokens: &bearer{fetch: source.fetch}}, nil
}

// azureIdentity asks for tokens as Azure's own programs do: for the application in
// the environment, with its secret or with the token file that Kubernetes mounts;
// else for the machine's managed identity.
type azureIdentity struct {
	client  *http.Client // reaches Entra ID
	machine *http.Client // reaches the metadata service
	// resource is what tokens are for; "" is azureResource.
	resource string
}

func (i azureIdentity) fetch(ctx context.Context) (string, time.Time, error) {
	client, secret, file := os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_CLIENT_SECRET"), os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	if secret == "" && file == "" {
		r, err := i.machineRequest(ctx, client)
		if err != nil {
			return "", time.Time{}, err
		}
		return askForToken(i.machine, r)
	}
	tenant := os.Getenv("AZURE_TENANT_ID")
	if client == "" || tenant == "" {
		return "", time.Time{}, &failure{kind: ErrDenied, cause: errors.New("azure credentials: AZURE_CLIENT_ID and AZURE_TENANT_ID are needed")}
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "scope": {cmp.Or(i.resource, azureResource) + "/.default"}}
	if secret != "" {
		form.Set("client_secret", secret)
	} else {
		// Read each time: it is replaced every hour.
		assertion, err := os.ReadFile(file)
		if err != nil {
			return "", time.Time{}, &failure{kind: ErrDenied, cause: fmt.Errorf("azure credentials: AZURE_FEDERATED_TOKEN_FILE: %w", err)}
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", strings.TrimSpace(string(assertion)))
	}
	authority := strings.TrimSuffix(cmp.Or(os.Getenv("AZURE_AUTHORITY_HOST"), azureAuthority), "/")
	if !strings.HasPrefix(authority, "https://") {
		return "", time.Time{}, &failure{kind: ErrDenied, cause: errors.New("azure credentials: AZURE_AUTHORITY_HOST does not start with https://")}
	}
	r, err := newWebRequest(ctx, http.MethodPost, authority+"/"+url.PathEscape(tenant)+"/oauth2/v2.0/token", []byte(form.Encode()))
	if err != nil {
		return "", time.Time{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return askForToken(i.client, r)
}

// machineRequest asks the service that the machine offers, or that of Azure's
// application platforms, which the environment names.
func (i azureIdentity) machineRequest(ctx context.Context, client string) (*http.Request, error) {
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {cmp.Or(i.resource, azureResource)}}
	target, header, value := azureMachine, "Metadata", "true"
	if endpoint := os.Getenv("IDENTITY_ENDPOINT"); endpoint != "" {
		query.Set("api-version", "2019-08-01")
		target, header, value = endpoint, "X-Identity-Header", os.Getenv("IDENTITY_HEADER")
	}
	if client != "" {
		query.Set("client_id", client)
	}
	r, err := newWebRequest(ctx, http.MethodGet, target+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	r.Header.Set(header, value)
	return r, nil
}

// askForToken sends a request for a token. What the answer says besides is not
// repeated where it is none of an error: it holds the token.
func askForToken(client *http.Client, r *http.Request) (string, time.Time, error) {
	asked := time.Now()
	response, err := exchange(client, r)
	if err != nil {
		return "", time.Time{}, &failure{kind: ErrUnavailable, retry: true, cause: fmt.Errorf("no credentials: none were configured, and no token could be fetched: %w", err)}
	}
	body, err := readAnswer(response)
	if err != nil {
		return "", time.Time{}, err
	}
	var answer struct {
		Token       string      `json:"access_token"`
		In          json.Number `json:"expires_in"` // a number, or one in quotes
		Error       string      `json:"error"`
		Description string      `json:"error_description"`
	}
	parsed := json.Unmarshal(body, &answer)
	if status := response.StatusCode; status/100 != 2 {
		kind, retry := ErrDenied, false
		if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusGone || status == http.StatusRequestTimeout {
			kind, retry = ErrUnavailable, true
		}
		return "", time.Time{}, &failure{kind: kind, retry: retry, cause: fmt.Errorf("no token: the issuer answered %s", sayAnswer(status, answer.Error, answer.Description))}
	}
	seconds, err := answer.In.Int64()
	if parsed != nil || answer.Token == "" || err != nil {
		return "", time.Time{}, &failure{kind: ErrUnavailable, retry: true, cause: errors.New("no token: the issuer's answer can't be read")}
	}
	return answer.Token, asked.Add(time.Duration(seconds) * time.Second), nil
}
