// Package config is the settings of a node: their one list of names, defaults
// and meanings, how they are read from flags, environment and file, and which
// combinations make sense.
package config

import (
	"log/slog"
	"net"
	"path/filepath"
	"time"
)

// Config is the settings of one node, complete and checked.
type Config struct {
	// NodeID is unique in the cluster and stable over restarts.
	NodeID string
	// DataDir holds the Raft log, the state and snapshots of this node.
	DataDir string

	// HTTP is where clients come in.
	HTTP Endpoint
	// Cluster is where other nodes come in.
	Cluster Endpoint
	// Gossip is where nodes find each other.
	Gossip Endpoint

	// Join is the gossip addresses of other nodes.
	Join []string
	// BootstrapExpect is how many voters the first election waits for; 0 is a node
	// that never founds a cluster.
	BootstrapExpect int
	// Nonvoter makes the node stay without a vote until it is promoted.
	Nonvoter bool
	// StabilizeAfter is how long a new node must be well before it gets a vote.
	StabilizeAfter time.Duration
	// RemoveDeadAfter is how long a voter must be dead before it is removed; 0 is never.
	RemoveDeadAfter time.Duration

	// Warehouse is the root of the default warehouse.
	Warehouse string
	// WarehouseName is the name of the default warehouse.
	WarehouseName string
	// AllowLocations is further roots where its tables may be placed on request.
	AllowLocations []string
	// WarehouseLocations is where warehouses of run time may lie that are reached with the
	// nodes' own rights.
	WarehouseLocations []string
	// S3 is how the default warehouse's store is reached.
	S3 S3
	// GCS is how gs:// locations are reached.
	GCS GCS
	// Azure is how abfss:// locations are reached.
	Azure Azure
	// VerifyMetadata makes a load check that the table's metadata file is there.
	VerifyMetadata bool
	// ReadRestrictions lets policies restrict what is read of tables.
	ReadRestrictions bool
	// SnapshotStore is where snapshots stream to; "" is nowhere.
	SnapshotStore string
	// SnapshotKey is the file of the keys that encrypt them; "" does not.
	SnapshotKey string
	// SnapshotUploadInterval is how often the leader writes one.
	SnapshotUploadInterval time.Duration
	// SnapshotKeep is how many are kept, SnapshotMaxAge how old they get; 0 does
	// not bound that.
	SnapshotKeep   int
	SnapshotMaxAge time.Duration
	// LogArchiveInterval is how often the log is archived beside them; 0 is never.
	LogArchiveInterval time.Duration

	// Auth tells whether requests need a credential.
	Auth bool
	// InsecureNoAuth allows Auth to be off on listeners that others reach.
	InsecureNoAuth bool
	// BootstrapKey is the first admin key of a new cluster; "" mints one.
	BootstrapKey string
	// SecretKey is the URL of the cluster key that secrets in the state are kept under;
	// "" is that this node holds none.
	SecretKey string
	// SecretKeysPrevious are the URLs of those that were in its place before.
	SecretKeysPrevious []string
	// OIDC is whose tokens are accepted.
	OIDC OIDC

	// TLS is the certificate of the HTTP listener.
	TLS Certificate
	// Walls are what strangers meet first.
	Walls Walls
	// ClientName is the part of a client's certificate that names who asks; "" is none.
	ClientName ClientName
	// ClientGroups are the groups of each name.
	ClientGroups map[string][]string
	// ClusterTLS is the certificate of the cluster listener.
	ClusterTLS Certificate
	// GossipKey encrypts gossip: 16, 24 or 32 bytes. Where there is a keyring it
	// counts no more.
	GossipKey []byte
	// InsecureCluster allows node-to-node traffic in the clear on listeners that others reach.
	InsecureCluster bool

	// RaftSnapshotThreshold is how many log entries make a node write a snapshot of
	// its own and cut its log, RaftSnapshotInterval how often it looks, and
	// RaftTrailingLogs how many entries stay.
	RaftSnapshotThreshold int
	RaftSnapshotInterval  time.Duration
	RaftTrailingLogs      int

	// ReadConsistency is how current reads are that do not ask for another.
	ReadConsistency Consistency
	// TokenLifetime is how long a token is good that is given for an API key.
	TokenLifetime time.Duration
	// MaxStaleness is how old a bounded read may be.
	MaxStaleness time.Duration
	// VerifyInterval is how often the leader compares the states of all nodes; 0 is never.
	VerifyInterval time.Duration

	// Audit is what becomes of the audit log.
	Audit Audit

	// LogLevel is the least level that is logged.
	LogLevel slog.Level
	// LogFormat is how log lines are written.
	LogFormat LogFormat

	values map[string]string // as they were given, by the settings' names
}

// KeyringFile keeps the keys that gossip is encrypted with.
func (c *Config) KeyringFile() string { return filepath.Join(c.DataDir, "gossip.keyring") }

// Endpoint is an address that is listened on, and the one that others use for it.
type Endpoint struct {
	Listen string
	// Advertise is "" where others use the address that is listened on.
	Advertise string
}

// Loopback tells whether only this machine can reach the listener.
func (e Endpoint) Loopback() bool {
	host, _, err := net.SplitHostPort(e.Listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// unspecified tells whether the listener takes every address of the machine, so
// that its own one is of no use to others.
func (e Endpoint) unspecified() bool {
	host, _, err := net.SplitHostPort(e.Listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// S3 is how an S3-compatible store is reached. Empty keys leave the credentials
// to the usual chain: environment, shared file, instance or web identity.
type S3 struct {
	Endpoint        string
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	PathStyle       bool
}

// GCS is how Google Cloud Storage is reached. Without a file, credentials are
// Google's default ones: named by the environment, gcloud's, or the machine's.
type GCS struct {
	Endpoint        string
	CredentialsFile string
	// NoAuth sends none: for emulators.
	NoAuth bool
}

// Azure is how an Azure storage account is reached. Without key and token, Entra
// ID is asked for one: for the application in the environment, or for the machine.
type Azure struct {
	// Endpoint of the Blob Service; "" is that of the account in the location.
	Endpoint   string
	AccountKey string
	SASToken   string
}

// Certificate is the files of one TLS identity and of whom it trusts.
type Certificate struct {
	CertFile, KeyFile string
	// CAFile is the authorities whose certificates the other side must show.
	CAFile string
}

// Given tells whether there is a certificate.
func (c Certificate) Given() bool { return c.CertFile != "" }

// Consistency is the name of a read consistency.
type Consistency string

// The read consistencies.
const (
	// Linearizable reads show all that was acknowledged before they began.
	Linearizable Consistency = "linearizable"
	// Bounded reads are at most MaxStaleness old.
	Bounded Consistency = "bounded"
	// Stale reads show what the node has.
	Stale Consistency = "stale"
)

// LogFormat is the name of a log format.
type LogFormat string

// The log formats.
const (
	// LogText is lines for people.
	LogText LogFormat = "text"
	// LogJSON is one JSON object a line.
	LogJSON LogFormat = "json"
)

// defaultWarehouse is below the data folder, whose place is known only when all
// sources are read.
func defaultWarehouse(dataDir string) string {
	return "file://" + filepath.ToSlash(filepath.Join(dataDir, "warehouse"))
}
