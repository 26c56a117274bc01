package storage

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// fallbackRegion is what stores other than AWS expect in a signature unless
// they were told otherwise.
const fallbackRegion = "us-east-1"

// errNoCredentials is the cause when the whole chain had none to offer.
var errNoCredentials = errors.New("no credentials: none were configured, and there are none in the environment, " +
	"in AWS's credentials file or from the machine's role")

// openS3Store makes the client for all buckets of one endpoint.
func openS3Store(cfg Config) (*s3Store, error) {
	endpoint, secure, err := parseEndpoint(cfg.S3.Endpoint)
	if err != nil {
		return nil, err
	}
	creds, err := newCredentials(cfg.S3, cfg.Timeouts)
	if err != nil {
		return nil, err
	}
	region := cmp.Or(cfg.S3.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if region == "" && cfg.S3.Endpoint != "" {
		region = fallbackRegion
	}
	lookup := minio.BucketLookupAuto
	if cfg.S3.PathStyle {
		lookup = minio.BucketLookupPath
	}
	transport := cfg.S3.Transport
	if transport == nil {
		transport = newTransport(cfg)
	}
	core, err := minio.NewCore(endpoint, &minio.Options{
		Creds:        creds,
		Secure:       secure,
		Region:       region,
		BucketLookup: lookup,
		Transport:    transport,
		// Retries are ours: classified, and bounded in time. The library's single
		// attempt still ends with its own short pause when it fails.
		MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: s3 endpoint: %w", ErrConfig, err)
	}
	core.SetAppInfo("floeberg", "1")
	return &s3Store{
		core:      core,
		creds:     creds,
		transport: transport,
		lane:      &lane{gate: newGate(cfg.MaxConcurrent, cfg.MaxQueued), timeouts: cfg.Timeouts},
	}, nil
}

// parseEndpoint splits an endpoint into host[:port] and whether it speaks TLS.
func parseEndpoint(endpoint string) (host string, secure bool, err error) {
	if endpoint == "" {
		return "s3.amazonaws.com", true, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		// A bare host:port, whose port a URL parser takes for something else.
		u, err = url.Parse("https://" + endpoint)
	}
	switch {
	case err != nil:
		// The endpoint is not repeated, nor is the parser's error, which repeats
		// it: what can't be parsed may hold a password.
		return "", false, fmt.Errorf("%w: the s3 endpoint is not a URL such as https://host:port", ErrConfig)
	case u.User != nil:
		return "", false, fmt.Errorf("%w: the s3 endpoint must not hold credentials", ErrConfig)
	case u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", false, fmt.Errorf("%w: the s3 endpoint is not of the form https://host:port", ErrConfig)
	}
	return u.Host, u.Scheme == "https", nil
}

func newCredentials(cfg S3Config, t Timeouts) (*credentials.Credentials, error) {
	switch {
	case cfg.AccessKeyID != "" && cfg.SecretAccessKey != "":
		return credentials.NewStaticV4(cfg.AccessKeyID, cfg.SecretAccessKey, cfg.SessionToken), nil
	case cfg.AccessKeyID != "" || cfg.SecretAccessKey != "":
		return nil, fmt.Errorf("%w: of the s3 access key id and secret access key, only one is given", ErrConfig)
	case cfg.SessionToken != "":
		return nil, fmt.Errorf("%w: an s3 session token is given without an access key", ErrConfig)
	}
	chain := &credentials.Chain{Providers: []credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		// Its own client: where a machine has no metadata service, it must not be
		// waited for long.
		&credentials.IAM{Client: &http.Client{
			Timeout:   t.Attempt,
			Transport: &http.Transport{DisableKeepAlives: true, Proxy: proxyUnlessLocal},
		}},
	}}
	return credentials.New(&required{Chain: chain}), nil
}

// proxyUnlessLocal is the environment's proxy, but not for the machine's own
// metadata service: a proxy would answer with the credentials of its machine.
func proxyUnlessLocal(r *http.Request) (*url.URL, error) {
	if ip := net.ParseIP(r.URL.Hostname()); ip != nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// required is a chain that fails when it finds nothing, where the library's own
// would go on without signing, and the store would answer "access denied".
type required struct{ *credentials.Chain }

// Retrieve implements credentials.Provider.
func (r *required) Retrieve() (credentials.Value, error) { return r.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider.
func (r *required) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	value, err := r.Chain.RetrieveWithCredContext(cc)
	if err != nil {
		return value, err
	}
	if value.AccessKeyID == "" {
		return value, errNoCredentials
	}
	return value, nil
}

// newTransport is Go's own with our bounds. Trust comes from the system's
// certificates and SSL_CERT_FILE. HTTP/2 is off: over one shared connection a
// stalled transfer would stall all others.
func newTransport(cfg Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: cfg.Timeouts.Attempt, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		Protocols:             protocols,
		MaxIdleConns:          cfg.MaxConcurrent,
		MaxIdleConnsPerHost:   cfg.MaxConcurrent,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   cfg.Timeouts.Attempt,
		ExpectContinueTimeout: cfg.Timeouts.Attempt,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		// An object that is gzip is returned as it is stored.
		DisableCompression: true,
	}
}
