package cluster

import (
	"fmt"
	"time"
)

// Key is the admin key that every cluster of this package is bootstrapped with.
const Key = "fb_test_0123456789abcdef0123456789abcdef0123456789abcdef"

// Options is how a cluster is to be started. The zero value is three nodes with
// a local folder as warehouse.
type Options struct {
	// Nodes is how many processes; 0 is 3.
	Nodes int
	// Dir holds the data directories, logs and the local warehouse; "" is a
	// temporary folder that goes with the cluster.
	Dir string
	// Warehouse is the root of the default warehouse; "" is a folder in Dir.
	Warehouse string
	// S3 is the store behind an s3:// warehouse.
	S3 *S3
	// Args is appended to every node's command line.
	Args []string
	// ArgsOf gives what is appended to one node's command line; nil is nothing.
	ArgsOf func(id string) []string
	// Env is appended to every node's environment.
	Env []string
	// NoAuth starts the nodes without authentication.
	NoAuth bool
	// Hosts are the machines that the nodes run on, one for each, and one for each
	// that is to come; none is this machine's loopback for all.
	Hosts []Host
	// ReadyWithin bounds how long a start may take until every node is ready; 0
	// is 30 seconds, which a busy machine needs.
	ReadyWithin time.Duration
}

// S3 is what a node must know of an S3-compatible store.
type S3 struct {
	Endpoint, Region, AccessKey, SecretKey string
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.ReadyWithin == 0 {
		o.ReadyWithin = 30 * time.Second
	}
	return o
}

func (o Options) validate() error {
	if len(o.Hosts) != 0 && len(o.Hosts) < o.Nodes {
		return fmt.Errorf("%d hosts for %d nodes", len(o.Hosts), o.Nodes)
	}
	if o.Nodes < 1 {
		return fmt.Errorf("a cluster of %d nodes", o.Nodes)
	}
	return nil
}

// args are the flags by which all nodes of the cluster are alike.
func (o Options) args() []string {
	args := []string{
		"--bootstrap-expect", fmt.Sprint(o.Nodes),
		"--warehouse", o.Warehouse,
		"--log-format", "text",
	}
	if len(o.Hosts) != 0 {
		args = append(args, "--insecure-cluster")
	}
	if o.NoAuth {
		args = append(args, "--auth", "off")
	}
	if o.S3 != nil {
		args = append(args,
			"--s3-endpoint", o.S3.Endpoint,
			"--s3-region", o.S3.Region,
			"--s3-access-key-id", o.S3.AccessKey,
			"--s3-secret-access-key", o.S3.SecretKey,
			"--s3-path-style")
	}
	return append(args, o.Args...)
}
