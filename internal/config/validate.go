package config

import (
	"os"
	"strings"
)

// validate refuses combinations that would be silently unsafe or silently
// ignored.
func (c *Config) validate() error {
	for _, rule := range []func(*Config) error{
		reachable, finding, authentication, tokens, clients, httpTLS, nodeToNode, s3Credentials, gcsCredentials,
		azureCredentials, snapshots, secretKeys, files,
	} {
		if err := rule(c); err != nil {
			return err
		}
	}
	return nil
}

// reachable makes sure that other nodes get addresses that they can use.
func reachable(c *Config) error {
	for _, e := range []struct {
		endpoint Endpoint
		name     string
	}{{c.HTTP, "http"}, {c.Cluster, "cluster"}, {c.Gossip, "gossip"}} {
		if e.endpoint.unspecified() && e.endpoint.Advertise == "" {
			return problem(e.name+"-advertise", "is needed, as --%s-listen %s takes every address: name the one that others reach", e.name, e.endpoint.Listen)
		}
	}
	return nil
}

// finding makes sure that a node which founds no cluster can find one; with an
// expectation of 0 alone, it may be told later by "cluster join".
func finding(c *Config) error {
	if c.Nonvoter && len(c.Join) == 0 && c.BootstrapExpect != 0 {
		return problem("join", "is needed beside --nonvoter, which founds no cluster: name nodes of the one that it is to join")
	}
	return nil
}

func authentication(c *Config) error {
	if c.Auth || c.InsecureNoAuth {
		return nil
	}
	if c.HTTP.Loopback() && c.Cluster.Loopback() && c.Gossip.Loopback() {
		return nil
	}
	return problem("auth", "off lets everybody in who reaches this machine: listen on loopback only, or add --insecure-no-auth")
}

func httpTLS(c *Config) error {
	switch {
	case c.TLS.CertFile != "" && c.TLS.KeyFile == "":
		return problem("tls-key", "is needed beside --tls-cert")
	case c.TLS.KeyFile != "" && c.TLS.CertFile == "":
		return problem("tls-cert", "is needed beside --tls-key")
	case c.TLS.CAFile != "" && c.TLS.CertFile == "":
		return problem("tls-cert", "is needed beside --tls-client-ca")
	}
	return nil
}

func nodeToNode(c *Config) error {
	t := c.ClusterTLS
	some := t.CAFile != "" || t.CertFile != "" || t.KeyFile != ""
	for _, part := range []struct{ value, name string }{
		{t.CAFile, "cluster-ca"}, {t.CertFile, "cluster-cert"}, {t.KeyFile, "cluster-key"},
	} {
		if some && part.value == "" {
			return problem(part.name, "is needed: --cluster-ca, --cluster-cert and --cluster-key belong together")
		}
	}
	if c.InsecureCluster {
		return nil
	}
	if !c.Cluster.Loopback() && !some {
		return problem("cluster-ca", "with --cluster-cert and --cluster-key is needed, as others reach %s; or add --insecure-cluster", c.Cluster.Listen)
	}
	if !c.Gossip.Loopback() && c.GossipKey == nil && !there(c.KeyringFile()) {
		return problem("gossip-key", "is needed, as others reach %s; or add --insecure-cluster", c.Gossip.Listen)
	}
	return nil
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func s3Credentials(c *Config) error {
	switch {
	case c.S3.AccessKeyID != "" && c.S3.SecretAccessKey == "":
		return problem("s3-secret-access-key", "is needed beside --s3-access-key-id")
	case c.S3.SecretAccessKey != "" && c.S3.AccessKeyID == "":
		return problem("s3-access-key-id", "is needed beside --s3-secret-access-key")
	}
	return nil
}

func snapshots(c *Config) error {
	if c.SnapshotKey != "" && c.SnapshotStore == "" {
		return problem("snapshot-store", "is needed beside --snapshot-key")
	}
	return nil
}

func secretKeys(c *Config) error {
	if c.SecretKey == "" && len(c.SecretKeysPrevious) > 0 {
		return problem("secret-key", "is needed beside --secret-key-previous: the key that is in their place now")
	}
	return nil
}

func gcsCredentials(c *Config) error {
	switch {
	case c.GCS.NoAuth && c.GCS.CredentialsFile != "":
		return problem("gcs-no-auth", "and --gcs-credentials-file contradict each other: remove one")
	case inTheClear(c.GCS.Endpoint) && !c.GCS.NoAuth:
		return problem("gcs-endpoint", "is http://, where anybody could read the token: use https://, or add --gcs-no-auth for an emulator")
	}
	return nil
}

func azureCredentials(c *Config) error {
	switch {
	case c.Azure.AccountKey != "" && c.Azure.SASToken != "":
		return problem("azure-sas-token", "and --azure-account-key are two ways of one thing: remove one")
	case inTheClear(c.Azure.Endpoint) && c.Azure.AccountKey == "":
		return problem("azure-endpoint", "is http://, where anybody could read the token: use https://, or --azure-account-key, which is never sent")
	}
	return nil
}

// inTheClear tells whether others on the way can read what is sent to a URL.
func inTheClear(address string) bool { return strings.HasPrefix(strings.ToLower(address), "http://") }

// files finds out now, with the setting's name, what would fail later without it.
func files(c *Config) error {
	for _, f := range []struct{ path, name string }{
		{c.TLS.CertFile, "tls-cert"},
		{c.TLS.KeyFile, "tls-key"},
		{c.TLS.CAFile, "tls-client-ca"},
		{c.OIDC.CAFile, "oidc-ca"},
		{c.ClusterTLS.CAFile, "cluster-ca"},
		{c.ClusterTLS.CertFile, "cluster-cert"},
		{c.ClusterTLS.KeyFile, "cluster-key"},
		{c.SnapshotKey, "snapshot-key"},
		{c.GCS.CredentialsFile, "gcs-credentials-file"},
	} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			return problem(f.name, "can't read the file: %v", err)
		}
	}
	return nil
}
