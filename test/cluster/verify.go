package cluster

import (
	"context"
	"fmt"
	"net/http"

	"github.com/floeberg/floeberg/test/client"
)

// Verify has the cluster compare the states of all its nodes at one index, and
// each node read what is on its disk. All must answer, and be alike.
func (c *Cluster) Verify(ctx context.Context) error {
	return Await(ctx, "all nodes to have the same state", func(ctx context.Context) error {
		res, err := c.Client().Do(ctx, client.Request{Method: http.MethodGet, Path: "/management/v1/cluster/verify?deep=true"})
		if err != nil {
			return err
		}
		var found struct {
			OK    bool       `json:"ok"`
			Nodes []struct{} `json:"nodes"`
		}
		if err := res.Decode(&found); err != nil {
			return err
		}
		if res.Status != http.StatusOK || !found.OK || len(found.Nodes) != len(c.Nodes) {
			return fmt.Errorf("%s", res)
		}
		return nil
	})
}

// Tables are the paths of the tables of a namespace.
func (c *Cluster) Tables(ctx context.Context, namespace string) ([]string, error) {
	all := c.Client()
	res, err := all.Do(ctx, client.Request{Method: http.MethodGet, Path: all.NamespacePath(namespace) + "/tables"})
	if err != nil {
		return nil, err
	}
	var list struct {
		Identifiers []struct {
			Name string `json:"name"`
		} `json:"identifiers"`
	}
	if res.Status != http.StatusOK {
		return nil, fmt.Errorf("listing the tables of %s: %s", namespace, res)
	}
	if err := res.Decode(&list); err != nil {
		return nil, err
	}
	paths := make([]string, len(list.Identifiers))
	for i, id := range list.Identifiers {
		paths[i] = all.TablePath(namespace, id.Name)
	}
	return paths, nil
}
