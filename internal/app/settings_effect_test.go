package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/ops/audit"
	"github.com/floeberg/floeberg/test/port"
)

// What others are told of a node's addresses is what it advertises, and where that is
// not set, where it listens.
func TestAddressesOfANode(t *testing.T) {
	t.Parallel()
	listen := management.Member{HTTP: port.Address(t), Cluster: port.Address(t), Gossip: port.Address(t)}
	elsewhere := func(address string) string { return strings.Replace(address, "127.0.0.1", "127.0.0.2", 1) }
	for _, advertise := range []management.Member{
		listen, {HTTP: elsewhere(listen.HTTP), Cluster: elsewhere(listen.Cluster), Gossip: elsewhere(listen.Gossip)},
	} {
		set := flags{"bootstrap-key": adminKey, "http-listen": listen.HTTP, "cluster-listen": listen.Cluster, "gossip-listen": listen.Gossip}
		if advertise != listen {
			set["http-advertise"], set["cluster-advertise"], set["gossip-advertise"] = advertise.HTTP, advertise.Cluster, advertise.Gossip
		}
		n := startReady(t, t.TempDir(), set)
		if n.Addr() != listen.HTTP {
			t.Errorf("it listens at %s, not at %s", n.Addr(), listen.HTTP)
		}
		m := read[management.ClusterStatus](t, n, "/management/v1/cluster").Members[0]
		if got := (management.Member{HTTP: m.HTTP, Cluster: m.Cluster, Gossip: m.Gossip}); got != advertise {
			t.Errorf("others are told of %+v, not of %+v", got, advertise)
		}
		n.stop(t)
	}
}

// Whoever is dead for long enough is no member any more, where that is asked for.
func TestDeadNodesAreRemoved(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var gossip []string
	for range 4 {
		gossip = append(gossip, port.Address(t))
	}
	var nodes []*node
	for i := range gossip {
		nodes = append(nodes, start(t, t.TempDir(), flags{
			"bootstrap-key": adminKey, "node-id": fmt.Sprintf("n%d", i+1), "gossip-listen": gossip[i], "join": strings.Join(gossip, ","),
			"bootstrap-expect": "4", "warehouse": "file://" + root, "remove-dead-after": "2s",
		}))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	nodes[3].stop(t)
	await(t, "the dead node to be removed", func() bool {
		members := read[management.ClusterStatus](t, nodes[0], "/management/v1/cluster").Members
		return len(members) == 3
	})
}

// Old snapshots go, where their age is bounded, though any number may be kept.
func TestOldSnapshotsAreRemoved(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{
		"bootstrap-key": adminKey, "snapshot-store": "file://" + t.TempDir(), "snapshot-upload-interval": "1s",
		"snapshot-keep": "0", "snapshot-max-age": "2s",
	})
	n.must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	list := func() []*management.Backup {
		// Without a change there is no other snapshot.
		n.must(t, 200, "POST", namespaces+"/a/properties", `{"updates":{"a":"b"}}`)
		return read[management.BackupList](t, n, "/management/v1/backups").Backups
	}
	first := ""
	await(t, "a snapshot", func() bool {
		if all := list(); len(all) > 0 {
			first = all[len(all)-1].ID
		}
		return first != ""
	})
	await(t, "the first snapshot to go", func() bool {
		all := list()
		for _, b := range all {
			if b.ID == first {
				return false
			}
		}
		return len(all) > 0
	})
}

// How large and how old a file of the audit log gets, and how many there are, is as the
// settings say.
func TestFilesOfTheAuditLog(t *testing.T) {
	t.Parallel()
	files := func(more flags, changes int) int {
		t.Helper()
		dir := t.TempDir()
		set := flags{"bootstrap-key": adminKey}
		for name, value := range more {
			set[name] = value
		}
		n := startReady(t, dir, set)
		// Refused, and on record with all of its name.
		path := namespaces + "/" + strings.Repeat("x", 250) + "%1F" + strings.Repeat("y", 250)
		for range changes {
			n.must(t, 404, "DELETE", path, "")
		}
		n.stop(t)
		found, err := audit.Files(filepath.Join(dir, "audit", "audit.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := files(nil, 10); n != 1 {
		t.Errorf("%d files of a few records", n)
	}
	if n := files(flags{"audit-file-age": "1ms"}, 10); n < 3 {
		t.Errorf("%d files, of which each is old after a millisecond", n)
	}
	if n := files(flags{"audit-file-age": "1ms", "audit-files": "2"}, 10); n != 2 {
		t.Errorf("%d files where two are kept", n)
	}
	if n := files(flags{"audit-file-mb": "1"}, 800); n != 2 {
		t.Errorf("%d files of more than one megabyte", n)
	}
}

// All that is set about object stores gets to them; what it does there is tried where they are.
func TestSettingsOfStores(t *testing.T) {
	t.Parallel()
	credentials := filepath.Join(t.TempDir(), "gcs.json")
	write(t, credentials, []byte("{}"))
	got := app.StoreConfig(settings(t, t.TempDir(), flags{
		"s3-endpoint": "http://s3:1", "s3-region": "r", "s3-access-key-id": "id", "s3-secret-access-key": "secret", "s3-path-style": "true",
		"gcs-endpoint": "https://gcs:1", "gcs-credentials-file": credentials, "azure-endpoint": "https://azure:1", "azure-sas-token": "sv=1&sig=x",
	}))
	want := storage.Config{
		S3:    storage.S3Config{Endpoint: "http://s3:1", Region: "r", AccessKeyID: "id", SecretAccessKey: "secret", PathStyle: true},
		GCS:   storage.GCSConfig{Endpoint: "https://gcs:1", CredentialsFile: credentials},
		Azure: storage.AzureConfig{Endpoint: "https://azure:1", SASToken: "sv=1&sig=x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = app.StoreConfig(settings(t, t.TempDir(), flags{"gcs-no-auth": "true", "azure-account-key": "a2V5"}))
	if !got.GCS.NoAuth || got.Azure.AccountKey != "a2V5" {
		t.Errorf("%+v", got)
	}
}
