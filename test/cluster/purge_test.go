package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/iceberg/manifest/manifesttest"
	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// task is what the tests read of a background job.
type task struct {
	ID           string   `json:"id"`
	Status       string   `json:"status"`
	Namespace    []string `json:"namespace"`
	Name         string   `json:"name"`
	Node         string   `json:"node"`
	Failures     int      `json:"failures"`
	LastError    string   `json:"last_error"`
	FilesDeleted int      `json:"files_deleted"`
	FilesKept    int      `json:"files_kept"`
}

const tasksPath = "/management/v1/tasks"

// taskOf is the newest task about a table.
func taskOf(ctx context.Context, c *client.Client, ns, name string) (task, error) {
	res, err := c.Do(ctx, get(tasksPath))
	if err != nil {
		return task{}, err
	}
	if res.Status != http.StatusOK {
		return task{}, fmt.Errorf("listing tasks: %s", res)
	}
	var list struct{ Tasks []task }
	if err := res.Decode(&list); err != nil {
		return task{}, err
	}
	for _, i := range slices.Backward(list.Tasks) {
		if slices.Equal(i.Namespace, []string{ns}) && i.Name == name {
			return i, nil
		}
	}
	return task{}, fmt.Errorf("no task about %s.%s in %s", ns, name, res)
}

func awaitTask(t testing.TB, c *client.Client, ns, name, status string, patience time.Duration) task {
	t.Helper()
	var last task
	err := cluster.Await(within(t, patience), "the task of "+name+" to be "+status, func(ctx context.Context) (err error) {
		if last, err = taskOf(ctx, c, ns, name); err == nil && last.Status != status {
			err = fmt.Errorf("it is %+v", last)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// fill gives a table files as engines write them: manifests of so many empty
// data files each, one snapshot for each manifest, that lists those before too.
func fill(t testing.TB, c *client.Client, ns, name string, manifests, files int) (written int) {
	t.Helper()
	put := func(location string, body []byte) string {
		path := strings.TrimPrefix(location, "file://")
		if err := os.WriteFile(path, body, 0o644); err != nil {
			t.Fatal(err)
		}
		written++
		return location
	}
	var listed []manifesttest.File
	for m := range manifests {
		now := load(t, c, ns, name)
		folder := fmt.Sprintf("%s/data/p=%d", now.Metadata.Location, m)
		if err := os.MkdirAll(strings.TrimPrefix(folder, "file://"), 0o755); err != nil {
			t.Fatal(err)
		}
		entries := make([]manifesttest.Entry, files)
		for i := range entries {
			entries[i].Path = put(fmt.Sprintf("%s/%05d-%d.parquet", folder, i, client.NewSnapshotID()), nil)
		}
		id := client.NewSnapshotID()
		body := manifesttest.Manifest(id, entries)
		listed = append(listed, manifesttest.File{Path: put(fmt.Sprintf("%s/metadata/%d-m0.avro", now.Metadata.Location, id), body), Length: int64(len(body))})
		put(fmt.Sprintf("%s/metadata/snap-%d.avro", now.Metadata.Location, id), manifesttest.List(id, listed))
		requirements, updates := now.Append("main", id)
		do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, requirements, updates))
	}
	return written
}

// filesBelow lists the files of a folder.
func filesBelow(t testing.TB, location string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(strings.TrimPrefix(location, "file://"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone meanwhile
		case err == nil && !d.IsDir():
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func purgeRequest(c *client.Client, ns, name string) client.Request {
	return client.Request{Method: http.MethodDelete, Path: c.TablePath(ns, name) + "?purgeRequested=true"}
}

// A purge of many files is answered at once, and outlives the node that works on
// it again and again; nothing but the table's own files goes.
func TestPurgeOutlivesItsWorkers(t *testing.T) {
	c := start(t, cluster.Options{})
	all := c.Client()
	ns := namespace(t, all)
	do(t, all, http.StatusOK, client.NamespaceRequest(all, nil, ns, "events"))
	var siblings []string
	for _, sibling := range [][2]string{{ns, "events-archive"}, {ns, "events_2"}, {ns, "event"}, {ns + "\x1fevents", "events"}} {
		made := tableOf(t, do(t, all, http.StatusOK, client.CreateTableRequest(all, sibling[0], sibling[1])))
		fill(t, all, sibling[0], sibling[1], 2, 10)
		siblings = append(siblings, made.Metadata.Location)
	}
	made := tableOf(t, do(t, all, http.StatusOK, client.CreateTableRequest(all, ns, "events")))
	const manifests, perManifest, kills = 50, 1000, 3
	fill(t, all, ns, "events", manifests, perManifest)
	location := made.Metadata.Location
	total := len(filesBelow(t, location))
	foreign := map[string][]string{}
	for _, sibling := range siblings {
		foreign[sibling] = filesBelow(t, sibling)
	}

	began := time.Now()
	do(t, all, http.StatusNoContent, purgeRequest(all, ns, "events"))
	answered := time.Since(began)
	refused(t, all, http.StatusNotFound, "NoSuchTableException", get(all.TablePath(ns, "events")))

	for kill := range kills {
		// While each node that works on it deletes its share.
		share := total - (kill+1)*total/(kills+1)
		var worker *cluster.Node
		err := cluster.Await(within(t, 60*time.Second), "a worker in the midst of it", func(ctx context.Context) error {
			i, err := taskOf(ctx, all, ns, "events")
			if err != nil {
				return err
			}
			if i.Status == "done" {
				t.Fatalf("the task was done before kill %d", kill+1)
			}
			left := len(filesBelow(t, location))
			for _, n := range c.Nodes {
				if n.ID == i.Node && n.Running() && left <= share {
					worker = n
					return nil
				}
			}
			return fmt.Errorf("%d files are left, and it is %+v", left, i)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := worker.Kill9(); err != nil {
			t.Fatal(err)
		}
		left := len(filesBelow(t, location))
		t.Logf("kill %d, of %s: %d of %d files are left after %s", kill+1, worker.ID, left, total, time.Since(began).Round(time.Millisecond))
		if left == 0 {
			t.Fatal("nothing is left to go on with")
		}
		if kill == 0 {
			// Another node goes on once the dead one's lease is over.
			err := cluster.Await(within(t, 40*time.Second), "another node to take over", func(ctx context.Context) error {
				i, err := taskOf(ctx, all, ns, "events")
				if err == nil && (i.Node == worker.ID || i.Node == "") && i.Status != "done" {
					err = fmt.Errorf("it is %+v", i)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		// The others come back as themselves, and need not wait.
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
	}
	done := awaitTask(t, all, ns, "events", "done", 60*time.Second)
	t.Logf("answered after %s, %d files gone after %s", answered, total, time.Since(began).Round(time.Millisecond))
	if left := filesBelow(t, location); len(left) > 0 {
		t.Errorf("%d files are left, such as %s", len(left), left[0])
	}
	if done.Failures != 0 || done.FilesKept != 0 {
		t.Errorf("the task ended as %+v", done)
	}
	for sibling, files := range foreign {
		if !slices.Equal(filesBelow(t, sibling), files) {
			t.Errorf("files of the table at %s are gone", sibling)
		}
	}
	if answered > 5*time.Second {
		t.Errorf("the drop was answered after %s", answered)
	}
}

// A node that is asked to end gives its task back: the others go on at once.
func TestPurgeIsGivenBackOnDrain(t *testing.T) {
	c := start(t, cluster.Options{})
	all := c.Client()
	ns := namespace(t, all)
	do(t, all, http.StatusOK, client.CreateTableRequest(all, ns, "t"))
	fill(t, all, ns, "t", 15, 1000)
	do(t, all, http.StatusNoContent, purgeRequest(all, ns, "t"))
	var worker *cluster.Node
	err := cluster.Await(within(t, 30*time.Second), "a worker", func(ctx context.Context) error {
		i, err := taskOf(ctx, all, ns, "t")
		for _, n := range c.Nodes {
			if n.ID == i.Node || i.Status == "done" {
				worker = n
				return nil
			}
		}
		return errors.Join(err, errors.New("nobody works on it"))
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := worker.Term(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	done := awaitTask(t, all, ns, "t", "done", 30*time.Second)
	if took := time.Since(began); took > 12*time.Second || done.Failures != 0 {
		t.Errorf("done %s after the worker was told to end, which is as long as its lease: %+v", took, done)
	}
}

// What happened to operators of other catalogs: a purge that went along with the
// names, or took others' files.
func TestPurgeTraps(t *testing.T) {
	t.Parallel()
	c := shared(t)
	all := c.Client()
	ns := namespace(t, all)
	t.Run("dropping t deletes nothing of t_other, nor of what it names there", func(t *testing.T) {
		t.Parallel()
		other := tableOf(t, do(t, all, http.StatusOK, client.Request{
			Method: http.MethodPost, Path: all.NamespacePath(ns) + "/tables",
			Body: client.Object{"name": "t_other", "schema": client.Schema(), "location": c.Warehouse() + "/" + ns + "/t_other"},
		}))
		fill(t, all, ns, "t_other", 1, 5)
		stays := filesBelow(t, other.Metadata.Location)
		own := tableOf(t, do(t, all, http.StatusOK, client.Request{
			Method: http.MethodPost, Path: all.NamespacePath(ns) + "/tables",
			Body: client.Object{"name": "t", "schema": client.Schema(), "location": c.Warehouse() + "/" + ns + "/t"},
		}))
		var entries []manifesttest.Entry
		for _, f := range stays {
			entries = append(entries, manifesttest.Entry{Path: "file://" + f})
		}
		id := client.NewSnapshotID()
		folder := own.Metadata.Location + "/metadata/"
		for path, body := range map[string][]byte{
			folder + "m.avro":                        manifesttest.Manifest(id, entries),
			folder + fmt.Sprintf("snap-%d.avro", id): manifesttest.List(id, []manifesttest.File{{Path: folder + "m.avro"}}),
		} {
			if err := os.WriteFile(strings.TrimPrefix(path, "file://"), body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		requirements, updates := own.Append("main", id)
		do(t, all, http.StatusOK, client.CommitRequest(all, ns, "t", requirements, updates))
		do(t, all, http.StatusNoContent, purgeRequest(all, ns, "t"))
		done := awaitTask(t, all, ns, "t", "done", 30*time.Second)
		if done.FilesKept != len(stays) || done.FilesDeleted != 4 {
			t.Errorf("the task ended as %+v", done)
		}
		if got := filesBelow(t, other.Metadata.Location); !slices.Equal(got, stays) {
			t.Errorf("of %v there is only %v", stays, got)
		}
		if left := filesBelow(t, own.Metadata.Location); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("an unreadable manifest is no 500 and then a 404, but a task that says so", func(t *testing.T) {
		t.Parallel()
		do(t, all, http.StatusOK, client.CreateTableRequest(all, ns, "broken"))
		fill(t, all, ns, "broken", 1, 2)
		now := load(t, all, ns, "broken")
		list := strings.TrimPrefix(now.Metadata.Snapshots[0].ManifestList, "file://")
		if err := os.WriteFile(list, []byte("not Avro"), 0o644); err != nil {
			t.Fatal(err)
		}
		do(t, all, http.StatusNoContent, purgeRequest(all, ns, "broken"))
		var last task
		err := cluster.Await(within(t, 30*time.Second), "the failure to be seen", func(ctx context.Context) (err error) {
			if last, err = taskOf(ctx, all, ns, "broken"); err == nil && last.Failures == 0 {
				err = fmt.Errorf("it is %+v", last)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(last.LastError, list) || last.Status == "done" {
			t.Errorf("the task says %+v", last)
		}
		if len(filesBelow(t, now.Metadata.Location)) != 6 {
			t.Error("files that can't be followed are gone")
		}
		refused(t, all, http.StatusNotFound, "NoSuchTableException", get(all.TablePath(ns, "broken")))
		res := do(t, all, http.StatusOK, client.Request{Method: http.MethodPost, Path: tasksPath + "/" + last.ID + "/cancel"})
		var cancelled task
		if err := res.Decode(&cancelled); err != nil || cancelled.Status != "cancelled" {
			t.Errorf("cancelled: %s, %v", res, err)
		}
	})
}
