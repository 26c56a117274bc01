package cluster_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/iceberg/manifest/manifesttest"
	"github.com/floeberg/floeberg/internal/storage"
	"github.com/floeberg/floeberg/test/azurite"
	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/gcsserver"
	"github.com/floeberg/floeberg/test/process"
)

// TestClouds runs nodes with a warehouse in Google's and in Azure's object store:
// tables live there, a store that is away is told apart from a change that failed,
// and a purge deletes what a table's metadata names.
func TestClouds(t *testing.T) {
	needProcesses(t)
	for name, begin := range map[string]func(t *testing.T) (server *process.Service, root string, o cluster.Options, cfg storage.Config){
		"gs": func(t *testing.T) (*process.Service, string, cluster.Options, storage.Config) {
			server := gcsserver.Start(t, "lake")
			return server.Service, "gs://lake/warehouse",
				cluster.Options{Args: []string{"--gcs-endpoint", server.Endpoint, "--gcs-no-auth"}},
				storage.Config{GCS: storage.GCSConfig{Endpoint: server.Endpoint, NoAuth: true}}
		},
		"abfss": func(t *testing.T) (*process.Service, string, cluster.Options, storage.Config) {
			server := azurite.Start(t, "lake")
			return server.Service, server.Location("lake") + "/warehouse",
				cluster.Options{Args: []string{"--azure-endpoint", server.Endpoint}, Env: []string{"FLOEBERG_AZURE_ACCOUNT_KEY=" + server.AccountKey}},
				storage.Config{Azure: storage.AzureConfig{Endpoint: server.Endpoint, AccountKey: server.AccountKey}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, root, o, cfg := begin(t)
			store, err := storage.Open(root, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			put := func(location string, body []byte) string {
				if err := store.Put(t.Context(), location, body); err != nil {
					t.Fatal(err)
				}
				return location
			}
			o.Warehouse = root
			s := start(t, o)
			c := s.Client()
			ns := namespace(t, c)
			name, made := table(t, c, ns)
			if !strings.HasPrefix(made.MetadataLocation, root+"/") {
				t.Fatalf("the table's metadata is at %s", made.MetadataLocation)
			}

			id := client.NewSnapshotID()
			place := made.Metadata.Location
			manifest := manifesttest.Manifest(id, []manifesttest.Entry{{Path: put(place+"/data/p=1/a b.parquet", nil)}})
			file := manifesttest.File{Path: put(fmt.Sprintf("%s/metadata/%d-m0.avro", place, id), manifest), Length: int64(len(manifest))}
			put(fmt.Sprintf("%s/metadata/snap-%d.avro", place, id), manifesttest.List(id, []manifesttest.File{file}))
			requirements, updates := made.Append("main", id)
			landed := tableOf(t, do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, requirements, updates)))
			for i := range s.Nodes {
				if got := load(t, s.At(i), ns, name); got.MetadataLocation != landed.MetadataLocation {
					t.Errorf("node %d shows %s, not %s", i, got.MetadataLocation, landed.MetadataLocation)
				}
			}
			if found, err := store.Exists(t.Context(), landed.MetadataLocation); err != nil || !found {
				t.Errorf("the metadata file is there: %v, %v", found, err)
			}

			server.Stop()
			requirements, updates = landed.Append("main", client.NewSnapshotID())
			commit := client.CommitRequest(c, ns, name, requirements, updates)
			commit.Key = client.NoKey
			began := time.Now()
			res := do(t, c, http.StatusServiceUnavailable, commit)
			t.Logf("a commit without the store was refused after %s", time.Since(began).Round(time.Millisecond))
			if res.Header.Get("Retry-After") == "" || res.Error().Code != http.StatusServiceUnavailable {
				t.Errorf("want Retry-After and an Iceberg error body, got %s %v", res, res.Header)
			}
			load(t, c, ns, name)
			server.Restart(t)
			if after := tableOf(t, do(t, c, http.StatusOK, commit)); len(after.Metadata.Snapshots) != 2 {
				t.Errorf("with the store back the table has %d snapshots, want 2", len(after.Metadata.Snapshots))
			}

			_, other := table(t, c, ns)
			do(t, c, http.StatusNoContent, purgeRequest(c, ns, name))
			done := awaitTask(t, c, ns, name, "done", 30*time.Second)
			t.Logf("the purge ended as %+v", done)
			var left []string
			for object, err := range store.List(t.Context(), root) {
				if err != nil {
					t.Fatal(err)
				}
				left = append(left, object.Location)
			}
			if len(left) != 1 || left[0] != other.MetadataLocation {
				t.Errorf("after the purge there is %q, want only %s", left, other.MetadataLocation)
			}
		})
	}
}
