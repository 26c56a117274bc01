package storage

import (
	"fmt"
	"net/http"
	"time"
)

// Config says how stores are reached and how long they may take. The zero
// value works: each cloud's usual credentials, and the defaults below.
type Config struct {
	// S3 reaches the s3:// roots.
	S3 S3Config

	// GCS reaches the gs:// roots.
	GCS GCSConfig

	// Azure reaches the abfss:// roots.
	Azure AzureConfig

	// AllowLocations are further roots, beside the one given to Open, whose
	// objects may be read and written.
	AllowLocations []string

	// Private makes files and folders that only this process's user can read, where
	// the umask would let others in too. A warehouse must be open to engines.
	Private bool

	// Timeouts bound the work. See there.
	Timeouts Timeouts

	// MaxConcurrent is how many calls may be under way in one store at a time,
	// calls included that were given up on but have not returned: what bounds
	// the goroutines that a dead store can hold. Default 64.
	MaxConcurrent int

	// MaxQueued is how many more callers may wait for their turn. The next one
	// gets ErrUnavailable at once: waiting longer would only add to the load.
	// Default 1024.
	MaxQueued int

	// Observe, when set, is told of each call to the store: "put", "get",
	// "exists", "delete", "delete_many", "ensure_folder" or "list", each part of an "upload" and each block of
	// a "download"; how long it took with its retries, and how it ended. It must be fast and safe for concurrent use.
	Observe func(operation string, d time.Duration, err error)
}

// Timeouts bound what a call may take: at most Total plus one Attempt, plus
// the time that its bytes need at Throughput; less where the caller's context
// ends earlier.
type Timeouts struct {
	// Attempt bounds one attempt up to the store's answer, without the transfer
	// of the object. Default 5 s: a healthy store answers in milliseconds.
	Attempt time.Duration

	// Total bounds retrying: past it no new attempt is made. Default 20 s.
	Total time.Duration

	// Throughput in bytes per second is the slowest transfer that is waited
	// for; it stretches Attempt by the size of the object. Default 1 MiB/s.
	Throughput int64

	// Attempts is how often a call is tried, the first time included. Default 5.
	Attempts int

	// BackoffBase and BackoffMax bound the pause before another attempt: random,
	// up to BackoffBase doubled for each attempt made, at most BackoffMax.
	// Defaults 100 ms and 2 s.
	BackoffBase, BackoffMax time.Duration
}

// S3Config reaches an S3 endpoint.
type S3Config struct {
	// Endpoint is http://host:port or https://host:port; a bare host:port means
	// https. Empty means AWS.
	Endpoint string

	// Region signs the requests. Empty means AWS_REGION or AWS_DEFAULT_REGION,
	// then, on AWS, the bucket's own region, and us-east-1 elsewhere.
	Region string

	// AccessKeyID, SecretAccessKey and SessionToken are used as they are. When
	// the first two are empty, credentials come from the environment, AWS's
	// shared credentials file, a web identity token, or the machine's role, and
	// are renewed before they expire.
	AccessKeyID, SecretAccessKey, SessionToken string

	// PathStyle puts the bucket into the path and not into the host name.
	// Without it, AWS is addressed by host name and other endpoints by path
	// unless they are known to need the host name.
	PathStyle bool

	// Transport replaces the HTTP transport. For tests.
	Transport http.RoundTripper
}

// GCSConfig reaches Google Cloud Storage.
type GCSConfig struct {
	// Endpoint is http://host:port or https://host:port. Empty means Google's.
	Endpoint string

	// CredentialsFile is a service account's key, or another file of credentials as
	// gcloud writes them. Empty means where Google's programs look: the file that
	// GOOGLE_APPLICATION_CREDENTIALS names, gcloud's own, the machine's service
	// account.
	CredentialsFile string

	// ServiceAccountKey is the content of a service account's key file, in place of a file.
	ServiceAccountKey []byte

	// NoAuth sends no credentials: for emulators, whose endpoint may be http://.
	NoAuth bool

	// Transport replaces the HTTP transport. For tests.
	Transport http.RoundTripper
}

// AzureConfig reaches Azure's storage accounts.
type AzureConfig struct {
	// Endpoint is the URL of the account's Blob Service. Empty means that of the
	// account in the location: https://ACCOUNT.blob.core.windows.net.
	Endpoint string

	// AccountKey, in base64, or SASToken, sv=…&sig=…, are used as they are. When
	// both are empty, tokens come from Entra ID: for the application of
	// AZURE_CLIENT_ID and AZURE_TENANT_ID with AZURE_CLIENT_SECRET or
	// AZURE_FEDERATED_TOKEN_FILE, or else for the machine's managed identity.
	AccountKey, SASToken string

	// Transport replaces the HTTP transport. For tests.
	Transport http.RoundTripper
}

// withDefaults fills in what was left zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	t := &c.Timeouts
	durations := []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Timeouts.Attempt", &t.Attempt, 5 * time.Second},
		{"Timeouts.Total", &t.Total, 20 * time.Second},
		{"Timeouts.BackoffBase", &t.BackoffBase, 100 * time.Millisecond},
		{"Timeouts.BackoffMax", &t.BackoffMax, 2 * time.Second},
	}
	for _, d := range durations {
		if *d.value < 0 {
			return c, fmt.Errorf("%w: %s is negative", ErrConfig, d.name)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	numbers := []struct {
		name  string
		value *int
		def   int
	}{
		{"Timeouts.Attempts", &t.Attempts, 5},
		{"MaxConcurrent", &c.MaxConcurrent, 64},
		{"MaxQueued", &c.MaxQueued, 1024},
	}
	for _, n := range numbers {
		if *n.value < 0 {
			return c, fmt.Errorf("%w: %s is negative", ErrConfig, n.name)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if t.Throughput < 0 {
		return c, fmt.Errorf("%w: Timeouts.Throughput is negative", ErrConfig)
	}
	if t.Throughput == 0 {
		t.Throughput = 1 << 20
	}
	if c.Observe == nil {
		c.Observe = func(string, time.Duration, error) {}
	}
	return c, nil
}
