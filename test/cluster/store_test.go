package cluster_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/s3server"
)

// TestStoreAway takes the object store away: loads go on, what needs it is
// refused as never done, nothing else is slow, and with the store all is back.
func TestStoreAway(t *testing.T) {
	needProcesses(t)
	store := s3server.Start(t)
	store.CreateBucket(t, "lake")
	s := start(t, cluster.Options{
		Warehouse: "s3://lake/warehouse",
		S3:        &cluster.S3{Endpoint: store.Endpoint, Region: store.Region, AccessKey: store.AccessKey, SecretKey: store.SecretKey},
	})
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	before := commitAppend(t, c, ns, name)

	store.Stop()
	began := time.Now()
	for i := range s.Nodes {
		if got := load(t, s.At(i), ns, name); got.MetadataLocation != before.MetadataLocation {
			t.Errorf("without the store, node %d shows %s", i, got.MetadataLocation)
		}
	}
	namespace(t, c)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("loads without the store took %s", took)
	}
	requirements, updates := before.Append("main", client.NewSnapshotID())
	commit := client.CommitRequest(c, ns, name, requirements, updates)
	commit.Key = client.NoKey
	began = time.Now()
	res := do(t, c, http.StatusServiceUnavailable, commit)
	t.Logf("a commit without the store was refused after %s", time.Since(began).Round(time.Millisecond))
	if res.Header.Get("Retry-After") == "" || res.Error().Code != http.StatusServiceUnavailable {
		t.Errorf("want Retry-After and an Iceberg error body, got %s %v", res, res.Header)
	}

	store.Restart(t)
	after := tableOf(t, do(t, c, http.StatusOK, commit))
	if n := len(after.Metadata.Snapshots); n != 2 {
		t.Errorf("with the store back the table has %d snapshots, want 2", n)
	}
}
