package config

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/secret"
)

// Setting is one thing that can be set, by whichever of its three spellings.
type Setting struct {
	// Name is the flag without its dashes, such as http-listen.
	Name string
	// Default is the value where nothing sets it, as it would be written.
	Default string
	// Note tells of a default that can't be written down.
	Note string
	// Usage says in a few words what it is.
	Usage string
	// Secret values are never shown.
	Secret bool
	// Switch settings are true when their flag stands alone.
	Switch bool

	// parse checks a value and puts it where it belongs.
	parse func(c *Config, value string) error
}

// Env is the setting's name in the environment.
func (s Setting) Env() string { return EnvPrefix + envName(s.Name) }

// Key is the setting's name in the file: the first word is the section. The
// warehouse's name can't be in a section of the name that its root has.
func (s Setting) Key() string {
	section, rest, found := strings.Cut(s.Name, "-")
	if !found || !sections[section] {
		return s.Name
	}
	return section + "." + rest
}

// sections is the first words that are sections of the file.
var sections = map[string]bool{
	"http": true, "cluster": true, "gossip": true, "s3": true, "gcs": true, "azure": true, "oidc": true, "tls": true, "log": true, "audit": true,
}

// Settings is the list of all settings: the one place of their names, defaults
// and meanings.
func Settings() []Setting {
	return slices.Concat(nodeSettings(), oidcSettings(), clientSettings(), wallSettings(), auditSettings())
}

func nodeSettings() []Setting {
	return []Setting{
		{
			Name: "node-id", Note: "host name", Usage: "unique and stable name of this node",
			parse: text(func(c *Config) *string { return &c.NodeID }, oneWord),
		},
		{
			Name: "data-dir", Default: "/var/lib/floeberg", Usage: "folder of the Raft log, the state and snapshots",
			parse: text(func(c *Config) *string { return &c.DataDir }, notEmpty),
		},
		{
			Name: "http-listen", Default: "127.0.0.1:8181", Usage: "address for clients",
			parse: text(func(c *Config) *string { return &c.HTTP.Listen }, listenAddress),
		},
		{
			Name: "http-advertise", Note: "what is listened on", Usage: "address that clients and other nodes use for it",
			parse: text(func(c *Config) *string { return &c.HTTP.Advertise }, advertiseAddress),
		},
		{
			Name: "cluster-listen", Default: "127.0.0.1:8182", Usage: "address for other nodes",
			parse: text(func(c *Config) *string { return &c.Cluster.Listen }, listenAddress),
		},
		{
			Name: "cluster-advertise", Note: "what is listened on", Usage: "address that other nodes use for it",
			parse: text(func(c *Config) *string { return &c.Cluster.Advertise }, advertiseAddress),
		},
		{
			Name: "gossip-listen", Default: "127.0.0.1:8183", Usage: "address of gossip, UDP and TCP",
			parse: text(func(c *Config) *string { return &c.Gossip.Listen }, listenAddress),
		},
		{
			Name: "gossip-advertise", Note: "what is listened on", Usage: "address that other nodes use for it",
			parse: text(func(c *Config) *string { return &c.Gossip.Advertise }, advertiseAddress),
		},
		{
			Name: "join", Usage: "gossip addresses of other nodes, comma-separated; the own one may be among them",
			parse: list(func(c *Config) *[]string { return &c.Join }, advertiseAddress),
		},
		{
			Name: "bootstrap-expect", Default: "1", Usage: "voters to wait for before the first election; 0 never founds a cluster",
			parse: count(func(c *Config) *int { return &c.BootstrapExpect }, 0, maxVoters),
		},
		{
			Name: "nonvoter", Default: "false", Usage: "stay without a vote until promoted: a read replica", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.Nonvoter }),
		},
		{
			Name: "stabilize-after", Default: "10s", Usage: "how long a new node must be well before it gets a vote by itself",
			parse: duration(func(c *Config) *time.Duration { return &c.StabilizeAfter }, time.Millisecond, 24*time.Hour),
		},
		{
			Name: "remove-dead-after", Default: "0s", Usage: "how long a voter must be dead before it is removed by itself, while three others are left; 0 never",
			parse: duration(func(c *Config) *time.Duration { return &c.RemoveDeadAfter }, 0, 30*24*time.Hour),
		},
		{
			Name: "warehouse", Note: "file://<data-dir>/warehouse", Usage: "root of the default warehouse: file://, s3://, gs:// or abfss://",
			parse: text(func(c *Config) *string { return &c.Warehouse }, storeURL),
		},
		{
			Name: "warehouse-name", Default: "default", Usage: "name of the default warehouse",
			parse: text(func(c *Config) *string { return &c.WarehouseName }, CheckWarehouseName),
		},
		{
			Name: "s3-endpoint", Note: "AWS", Usage: "URL of the S3 store",
			parse: text(func(c *Config) *string { return &c.S3.Endpoint }, httpURL),
		},
		{
			Name: "s3-region", Note: "AWS chain", Usage: "region of the S3 store",
			parse: text(func(c *Config) *string { return &c.S3.Region }, oneWord),
		},
		{
			Name: "s3-access-key-id", Note: "AWS chain", Usage: "key id for the S3 store",
			parse: text(func(c *Config) *string { return &c.S3.AccessKeyID }, oneWord),
		},
		{
			Name: "s3-secret-access-key", Note: "AWS chain", Usage: "secret for the S3 store; better by environment", Secret: true,
			parse: text(func(c *Config) *string { return &c.S3.SecretAccessKey }, oneWord),
		},
		{
			Name: "s3-path-style", Default: "false", Usage: "put the bucket into the path instead of the host name", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.S3.PathStyle }),
		},
		{
			Name: "gcs-endpoint", Note: "Google", Usage: "URL of the Google Cloud Storage API",
			parse: text(func(c *Config) *string { return &c.GCS.Endpoint }, httpURL),
		},
		{
			Name: "gcs-credentials-file", Note: "Google's default credentials", Usage: "service account key or other credentials, as gcloud writes them",
			parse: text(func(c *Config) *string { return &c.GCS.CredentialsFile }, notEmpty),
		},
		{
			Name: "gcs-no-auth", Default: "false", Usage: "send no credentials to it: for emulators", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.GCS.NoAuth }),
		},
		{
			Name: "azure-endpoint", Note: "that of the account", Usage: "URL of the account's Blob Service",
			parse: text(func(c *Config) *string { return &c.Azure.Endpoint }, httpURL),
		},
		{
			Name: "azure-account-key", Note: "a token of Entra ID", Usage: "key of the account; better by environment", Secret: true,
			parse: text(func(c *Config) *string { return &c.Azure.AccountKey }, accountKey),
		},
		{
			Name: "azure-sas-token", Note: "a token of Entra ID", Usage: "shared access signature for it, sv=…&sig=…; better by environment", Secret: true,
			parse: text(func(c *Config) *string { return &c.Azure.SASToken }, sasToken),
		},
		{
			Name: "allow-locations", Usage: "further roots where tables may be placed on request, comma-separated",
			parse: list(func(c *Config) *[]string { return &c.AllowLocations }, storeURL),
		},
		{
			Name: "warehouse-locations", Note: "nowhere", Usage: "places below which warehouses may be made at run time that nodes reach with their own rights, comma-separated",
			parse: list(func(c *Config) *[]string { return &c.WarehouseLocations }, storeURL),
		},
		{
			Name: "verify-metadata", Default: "off", Usage: "a load also checks that the table's metadata file is there", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.VerifyMetadata }),
		},
		{
			Name: "read-restrictions", Default: "off", Usage: "policies may restrict what is read of tables (@row_filter, @column_mask)", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.ReadRestrictions }),
		},
		{
			Name: "snapshot-store", Usage: "object-store URL that snapshots stream to",
			parse: text(func(c *Config) *string { return &c.SnapshotStore }, storeURL),
		},
		{
			Name: "snapshot-key", Usage: "file of age keys that encrypt snapshots, as backup keygen makes it",
			parse: text(func(c *Config) *string { return &c.SnapshotKey }, notEmpty),
		},
		{
			Name: "snapshot-upload-interval", Default: "1h", Usage: "how often the leader writes a snapshot to the snapshot store",
			parse: duration(func(c *Config) *time.Duration { return &c.SnapshotUploadInterval }, time.Second, 30*24*time.Hour),
		},
		{
			Name: "snapshot-keep", Default: "24", Usage: "how many snapshots the snapshot store keeps; 0 keeps all",
			parse: count(func(c *Config) *int { return &c.SnapshotKeep }, 0, maxSnapshots),
		},
		{
			Name: "snapshot-max-age", Default: "0s", Usage: "how old snapshots there get, but for the newest; 0s is as old as they like",
			parse: duration(func(c *Config) *time.Duration { return &c.SnapshotMaxAge }, 0, 100*365*24*time.Hour),
		},
		{
			Name: "log-archive-interval", Default: "5s", Usage: "how often what is new in the log goes to the snapshot store; 0s is never",
			parse: duration(func(c *Config) *time.Duration { return &c.LogArchiveInterval }, 0, time.Hour),
		},
		{
			Name: "raft-snapshot-threshold", Default: "32768", Usage: "how many log entries make a node write a snapshot of its own and cut its log",
			parse: count(func(c *Config) *int { return &c.RaftSnapshotThreshold }, 1, maxEntries),
		},
		{
			Name: "raft-snapshot-interval", Default: "2m", Usage: "how often a node looks whether it has as many",
			parse: duration(func(c *Config) *time.Duration { return &c.RaftSnapshotInterval }, time.Second, 24*time.Hour),
		},
		{
			Name: "raft-trailing-logs", Default: "65536", Usage: "how many log entries a cut leaves: a node that lacks more than those is sent a snapshot",
			parse: count(func(c *Config) *int { return &c.RaftTrailingLogs }, 1, maxEntries),
		},
		{
			Name: "auth", Default: "on", Usage: "whether requests need a key",
			parse: truth(func(c *Config) *bool { return &c.Auth }),
		},
		{
			Name: "insecure-no-auth", Default: "false", Usage: "allow --auth off on listeners that others reach", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.InsecureNoAuth }),
		},
		{
			Name: "bootstrap-key", Note: "minted", Usage: "first admin key of a new cluster; better by environment", Secret: true,
			parse: text(func(c *Config) *string { return &c.BootstrapKey }, authn.CheckKey),
		},
		{
			Name: "secret-key", Usage: "cluster key that secrets in the state are kept under: file:///PATH, env://NAME, hashivault://KEY, awskms://…, gcpkms://… or azurekeyvault://…", Secret: true,
			parse: text(func(c *Config) *string { return &c.SecretKey }, secret.CheckURL),
		},
		{
			Name: "secret-key-previous", Usage: "cluster keys that were in its place before, comma-separated: what they keep can still be read", Secret: true,
			parse: list(func(c *Config) *[]string { return &c.SecretKeysPrevious }, secret.CheckURL),
		},
		{
			Name: "tls-cert", Usage: "certificate file of the HTTP listener",
			parse: text(func(c *Config) *string { return &c.TLS.CertFile }, notEmpty),
		},
		{
			Name: "tls-key", Usage: "key file of the HTTP listener",
			parse: text(func(c *Config) *string { return &c.TLS.KeyFile }, notEmpty),
		},
		{
			Name: "tls-client-ca", Usage: "authorities whose certificates HTTP clients must show",
			parse: text(func(c *Config) *string { return &c.TLS.CAFile }, notEmpty),
		},
		{
			Name: "cluster-ca", Usage: "authority of the nodes' certificates",
			parse: text(func(c *Config) *string { return &c.ClusterTLS.CAFile }, notEmpty),
		},
		{
			Name: "cluster-cert", Usage: "certificate file of this node",
			parse: text(func(c *Config) *string { return &c.ClusterTLS.CertFile }, notEmpty),
		},
		{
			Name: "cluster-key", Usage: "key file of this node",
			parse: text(func(c *Config) *string { return &c.ClusterTLS.KeyFile }, notEmpty),
		},
		{
			Name: "gossip-key", Usage: "first key that encrypts gossip, base64 of 16, 24 or 32 bytes; a keyring in the data folder goes before it", Secret: true,
			parse: gossipKey,
		},
		{
			Name: "insecure-cluster", Default: "false", Usage: "allow node-to-node traffic in the clear on listeners that others reach", Switch: true,
			parse: truth(func(c *Config) *bool { return &c.InsecureCluster }),
		},
		{
			Name: "read-consistency", Default: string(Linearizable), Usage: "linearizable, bounded or stale",
			parse: func(c *Config, value string) error {
				return oneOf(&c.ReadConsistency, value, Linearizable, Bounded, Stale)
			},
		},
		{
			Name: "token-lifetime", Default: "1h", Usage: "how long a token of /v1/oauth/tokens is good, if its key is",
			parse: duration(func(c *Config) *time.Duration { return &c.TokenLifetime }, 2*time.Second, 24*time.Hour),
		},
		{
			Name: "max-staleness", Default: "5s", Usage: "how old a bounded read may be",
			parse: duration(func(c *Config) *time.Duration { return &c.MaxStaleness }, time.Millisecond, time.Hour),
		},
		{
			Name: "verify-interval", Default: "10m", Usage: "how often the leader compares the states of all nodes; 0 never",
			parse: duration(func(c *Config) *time.Duration { return &c.VerifyInterval }, 0, 30*24*time.Hour),
		},
		{
			Name: "log-level", Default: "info", Usage: "debug, info, warn or error",
			parse: func(c *Config, value string) error { return level(func() *slog.Level { return &c.LogLevel }, value) },
		},
		{
			Name: "log-format", Default: string(LogText), Usage: "text, or json for machines",
			parse: func(c *Config, value string) error { return oneOf(&c.LogFormat, value, LogText, LogJSON) },
		},
	}
}

// StoreSettings are those by which an object store is reached, and what is in the
// snapshot store is opened: for commands that read one without a node.
func StoreSettings() []Setting {
	var out []Setting
	for _, s := range Settings() {
		section, _, _ := strings.Cut(s.Name, "-")
		switch section {
		case "s3", "gcs", "azure":
			out = append(out, s)
		}
		if s.Name == "snapshot-key" {
			out = append(out, s)
		}
	}
	return out
}

// maxVoters is more than any cluster should have: every write waits for a
// majority of them.
const maxVoters = 9

// maxEntries is more of the log than any disk should keep.
const maxEntries = 100_000_000

// maxSnapshots keeps a listing of them short.
const maxSnapshots = 10_000
