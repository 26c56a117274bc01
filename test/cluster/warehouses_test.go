package cluster_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/secret"
	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/s3server"
)

const warehousesPath = "/management/v1/warehouses"

// TestWarehousesOfRunTime makes a warehouse in a real store through one node, and has
// others use, change and delete it at once: with the nodes' own rights, and with
// credentials of its own, on nodes that have none.
func TestWarehousesOfRunTime(t *testing.T) {
	needProcesses(t)
	for name, own := range map[string]bool{"the nodes' rights": false, "credentials of its own": true} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, own)
			y.begin()
			y.narrow()
			y.end()
			y.comeBack()
			if own {
				y.replaceKey()
				y.keepSecret()
			}
		})
	}
}

// yard is a cluster, and the store that its warehouses of run time lie in.
type yard struct {
	t     *testing.T
	dir   string
	nodes *cluster.Cluster
	store *s3server.Server
	own   bool

	ns, table string
}

func newYard(t *testing.T, own bool) *yard {
	t.Helper()
	y := &yard{t: t, dir: t.TempDir(), store: s3server.Start(t), own: own}
	y.store.CreateBucket(t, "lake")
	o := cluster.Options{Dir: y.dir}
	if own {
		o.Args = []string{"--secret-key", "file://" + secretKey(t)}
	} else {
		o.S3 = &cluster.S3{Endpoint: y.store.Endpoint, Region: y.store.Region, AccessKey: y.store.AccessKey, SecretKey: y.store.SecretKey}
		o.Args = []string{"--warehouse-locations", "s3://lake/made"}
	}
	y.nodes = start(t, o)
	return y
}

// secretKey makes a file of a cluster key.
func secretKey(t *testing.T) string {
	t.Helper()
	key, _ := secret.NewKey()
	path := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// in is a client of a node in the warehouse.
func (y *yard) in(node int) *client.Client {
	return y.nodes.At(node).With(func(o *client.Options) { o.Warehouse = "w" })
}

// access adds to a request how the store is reached.
func (y *yard) access(body client.Object) client.Object {
	if y.own {
		body["endpoint"], body["region"], body["path_style"] = y.store.Endpoint, y.store.Region, true
		body["credentials"] = client.Object{"access_key_id": y.store.AccessKey, "secret_access_key": y.store.SecretKey}
	}
	return body
}

func (y *yard) create() client.Request {
	return client.Request{Method: http.MethodPost, Path: warehousesPath, Body: y.access(client.Object{
		"name": "w", "root": "s3://lake/made/w", "allowed_roots": []string{"s3://lake/made/more"},
	})}
}

func change(body client.Object) client.Request {
	return client.Request{Method: http.MethodPatch, Path: warehousesPath + "/w", Body: body}
}

func config() client.Request { return get("/v1/config?warehouse=w") }

// begin makes it through one node and works in it through the others, at once.
func (y *yard) begin() {
	y.t.Helper()
	refused(y.t, y.nodes.At(0), http.StatusNotFound, "NoSuchWarehouseException", config())
	wrong := y.create()
	wrong.Body.(client.Object)["root"] = "s3://nowhere/made/w"
	if y.own {
		refused(y.t, y.nodes.At(0), http.StatusBadRequest, "StoreRefusedException", wrong)
	} else {
		refused(y.t, y.nodes.At(0), http.StatusBadRequest, "IllegalArgumentException", wrong)
	}
	do(y.t, y.nodes.At(0), http.StatusOK, y.create())
	do(y.t, y.nodes.At(1), http.StatusOK, config())
	y.ns = namespace(y.t, y.in(1))
	y.table, _ = table(y.t, y.in(2), y.ns)
	for i := range y.nodes.Nodes {
		commitAppend(y.t, y.in(i), y.ns, y.table)
	}
	if got := load(y.t, y.in(0), y.ns, y.table); len(got.Metadata.Snapshots) != len(y.nodes.Nodes) {
		y.t.Errorf("the table has %d snapshots", len(got.Metadata.Snapshots))
	}
	refused(y.t, y.nodes.At(2), http.StatusConflict, "AlreadyExistsException", y.create())
}

// narrow takes away through one node where a table lies, which counts on every node.
func (y *yard) narrow() {
	y.t.Helper()
	create := client.CreateTableRequest(y.in(1), y.ns, "elsewhere")
	create.Body.(client.Object)["location"] = "s3://lake/made/more/t"
	do(y.t, y.in(1), http.StatusOK, create)
	for i := range y.nodes.Nodes {
		load(y.t, y.in(i), y.ns, "elsewhere")
	}
	do(y.t, y.nodes.At(2), http.StatusOK, change(client.Object{"allowed_roots": []string{}}))
	for i := range y.nodes.Nodes {
		refused(y.t, y.in(i), http.StatusForbidden, "ForbiddenException", get(y.in(i).TablePath(y.ns, "elsewhere")))
		refused(y.t, y.in(i), http.StatusForbidden, "ForbiddenException",
			client.CommitRequest(y.in(i), y.ns, "elsewhere", nil, []client.Object{setProperty("k", "v")}))
		commitAppend(y.t, y.in(i), y.ns, y.table)
	}
}

// end deletes it, once it is empty, with its policies.
func (y *yard) end() {
	y.t.Helper()
	policies := "/management/v1/policies?warehouse=w"
	do(y.t, y.nodes.At(1), http.StatusOK, client.Request{
		Method: http.MethodPut, Path: policies, Body: client.Object{"text": "forbid (principal, action, resource is Floeberg::View);\n"},
	})
	remove := client.Request{Method: http.MethodDelete, Path: warehousesPath + "/w"}
	refused(y.t, y.nodes.At(0), http.StatusConflict, "WarehouseRefusedException", remove)
	for i, name := range []string{"elsewhere", y.table} {
		do(y.t, y.in(i), http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: y.in(i).TablePath(y.ns, name)})
	}
	do(y.t, y.in(2), http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: y.in(2).NamespacePath(y.ns)})
	do(y.t, y.nodes.At(0), http.StatusNoContent, remove)
	for i := range y.nodes.Nodes {
		refused(y.t, y.nodes.At(i), http.StatusNotFound, "NoSuchWarehouseException", config())
		refused(y.t, y.in(i), http.StatusNotFound, "NoSuchWarehouseException", client.NamespaceRequest(y.in(i), nil, "late"))
	}
	do(y.t, y.nodes.At(1), http.StatusOK, y.create())
	for i := range y.nodes.Nodes {
		var p struct {
			Version int
			Text    string
		}
		if err := do(y.t, y.nodes.At(i), http.StatusOK, get(policies)).Decode(&p); err != nil || p.Version != 0 || p.Text != "" {
			y.t.Errorf("the new one has the policies of the old one, says node %d: %+v, %v", i, p, err)
		}
	}
}

// comeBack stops all nodes and starts them again: what they know of it is in the state.
func (y *yard) comeBack() {
	y.t.Helper()
	y.ns = namespace(y.t, y.in(0))
	y.table, _ = table(y.t, y.in(1), y.ns)
	for _, n := range y.nodes.Nodes {
		if err := n.Term(20 * time.Second); err != nil {
			y.t.Fatal(err)
		}
	}
	for _, n := range y.nodes.Nodes {
		if err := n.Start(); err != nil {
			y.t.Fatal(err)
		}
	}
	if err := y.nodes.AwaitReady(within(y.t, 30*time.Second)); err != nil {
		y.t.Fatal(err)
	}
	for i := range y.nodes.Nodes {
		commitAppend(y.t, y.in(i), y.ns, y.table)
	}
	if err := y.nodes.Verify(within(y.t, 30*time.Second)); err != nil {
		y.t.Error(err)
	}
}

// replaceKey gives it other credentials: good ones count on every node, and such as the
// store does not take leave it as it was.
func (y *yard) replaceKey() {
	y.t.Helper()
	wrong := client.Object{"credentials": client.Object{"access_key_id": y.store.AccessKey, "secret_access_key": "wrong-secret"}}
	e := refused(y.t, y.nodes.At(0), http.StatusBadRequest, "StoreRefusedException", change(wrong))
	if bytes.Contains([]byte(e.Message), []byte("wrong-secret")) {
		y.t.Errorf("the refusal tells the secret: %s", e.Message)
	}
	do(y.t, y.nodes.At(1), http.StatusOK, change(y.access(client.Object{})))
	// The keys that they are sealed with are changed too.
	do(y.t, y.nodes.At(2), http.StatusOK, client.Request{Method: http.MethodPost, Path: "/management/v1/secrets/rotate"})
	for i := range y.nodes.Nodes {
		commitAppend(y.t, y.in(i), y.ns, y.table)
		for _, path := range []string{warehousesPath, warehousesPath + "/w", "/management/v1/audit", "/management/v1/support"} {
			if body := do(y.t, y.nodes.At(i), http.StatusOK, get(path)).Body; bytes.Contains(body, []byte(y.store.SecretKey)) {
				y.t.Errorf("%s of node %d shows the secret", path, i)
			}
		}
	}
}

// keepSecret looks for the secret in all that the nodes have written.
func (y *yard) keepSecret() {
	y.t.Helper()
	for _, n := range y.nodes.Nodes {
		if err := n.Term(20 * time.Second); err != nil {
			y.t.Fatal(err)
		}
	}
	files := 0
	err := filepath.WalkDir(y.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if err == nil && bytes.Contains(raw, []byte(y.store.SecretKey)) {
			err = fmt.Errorf("%s has the secret", path)
		}
		return err
	})
	if err != nil || files == 0 {
		y.t.Errorf("of %d files: %v", files, err)
	}
}
