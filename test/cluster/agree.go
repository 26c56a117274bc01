package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/floeberg/floeberg/test/client"
)

// Agree waits until all nodes have applied the same index and compares what each
// of them, asked for its own copy without proof that it is current, gives out of
// a namespace: the list of its tables and each table with its metadata.
func (c *Cluster) Agree(ctx context.Context, namespace string) error {
	err := Await(ctx, "all nodes to have applied the same index", func(ctx context.Context) error {
		indexes := make(map[float64]bool)
		for _, n := range c.Nodes {
			m, err := n.Metrics(ctx)
			if err != nil {
				return err
			}
			indexes[m["floeberg_raft_applied_index"]] = true
		}
		if len(indexes) != 1 {
			return fmt.Errorf("they have applied %v", indexes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	want := make(map[string]string)
	for i, n := range c.Nodes {
		paths, err := c.Tables(ctx, i, namespace)
		if err != nil {
			return err
		}
		got := map[string]string{"the list": strings.Join(paths, " ")}
		for _, path := range paths {
			res, err := c.own(ctx, i, path)
			if err != nil {
				return err
			}
			got[path] = string(res.Body)
		}
		if i == 0 {
			want = got
			continue
		}
		for what, body := range got {
			if want[what] != body {
				return fmt.Errorf("%s and %s differ in %s:\n%s\n%s", c.Nodes[0].ID, n.ID, what, want[what], body)
			}
		}
	}
	return nil
}

// Tables are the paths of the tables of a namespace, by node i's own copy.
func (c *Cluster) Tables(ctx context.Context, i int, namespace string) ([]string, error) {
	res, err := c.own(ctx, i, c.At(i).NamespacePath(namespace)+"/tables")
	if err != nil {
		return nil, err
	}
	var list struct {
		Identifiers []struct {
			Name string `json:"name"`
		} `json:"identifiers"`
	}
	if err := res.Decode(&list); err != nil {
		return nil, err
	}
	paths := make([]string, len(list.Identifiers))
	for j, id := range list.Identifiers {
		paths[j] = c.At(i).TablePath(namespace, id.Name)
	}
	return paths, nil
}

func (c *Cluster) own(ctx context.Context, i int, path string) (*client.Response, error) {
	res, err := c.At(i).Do(ctx, client.Request{
		Method: http.MethodGet, Path: path, Header: http.Header{"Floeberg-Consistency": {"stale"}},
	})
	if err != nil {
		return nil, err
	}
	if res.Status != http.StatusOK {
		return nil, fmt.Errorf("%s of its own copy: %s", path, res)
	}
	return res, nil
}
