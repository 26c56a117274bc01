package storage

import (
	"context"
	"net/http"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// What tokens for services that hold keys are asked for.
const (
	googleKMSScope = "https://www.googleapis.com/auth/cloudkms"
	azureKeyVault  = "https://vault.azure.net"
)

// Identity is who this node is at the clouds, for services other than stores: by what
// Open finds where it is given no credentials of a store.
type Identity struct {
	aws           *credentials.Credentials
	clients       []*http.Client
	google, azure *bearer
}

// NewIdentity makes it. Nobody is asked for anything yet.
func NewIdentity(cfg Config) (*Identity, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	// Keys in the settings may be those of a store that is not AWS's.
	aws, err := newCredentials(S3Config{}, cfg.Timeouts)
	if err != nil {
		return nil, err
	}
	client := func(transport http.RoundTripper) *http.Client {
		if transport == nil {
			transport = newTransport(cfg)
		}
		return &http.Client{Timeout: cfg.Timeouts.Attempt, Transport: transport}
	}
	google, azure := client(cfg.GCS.Transport), client(cfg.Azure.Transport)
	machine := &http.Client{Timeout: cfg.Timeouts.Attempt, Transport: cfg.Azure.Transport}
	if cfg.Azure.Transport == nil {
		machine.Transport = &http.Transport{DisableKeepAlives: true, Proxy: proxyUnlessLocal}
	}
	return &Identity{
		aws: aws, clients: []*http.Client{google, azure},
		google: &bearer{fetch: googleCredentials{file: cfg.GCS.CredentialsFile, client: google, scope: googleKMSScope}.fetch},
		azure:  &bearer{fetch: azureIdentity{client: azure, machine: machine, resource: azureKeyVault}.fetch},
	}, nil
}

// AWSKeys are what requests to AWS are signed with; the session is "" for keys that do
// not expire.
func (i *Identity) AWSKeys(context.Context) (id, secret, session string, err error) {
	v, err := i.aws.GetWithContext(&credentials.CredContext{Client: i.clients[0]})
	return v.AccessKeyID, v.SecretAccessKey, v.SessionToken, err
}

// GoogleToken is a token for Google's Cloud KMS.
func (i *Identity) GoogleToken(ctx context.Context) (string, error) { return i.google.get(ctx) }

// AzureToken is a token of Entra ID for Key Vault.
func (i *Identity) AzureToken(ctx context.Context) (string, error) { return i.azure.get(ctx) }

// Close gives connections back.
func (i *Identity) Close() {
	for _, c := range i.clients {
		c.CloseIdleConnections()
	}
}
