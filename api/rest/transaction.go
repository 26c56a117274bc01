package rest

import (
	"context"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// commitTransaction needs, of each table in the body, the right that its commit
// alone would need.
func (a *api) commitTransaction(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	changes, err := wire.ParseTransaction(c.Body)
	if err != nil {
		return nil, err
	}
	reqs := make([]catalog.CommitTable, len(changes))
	for i, change := range changes {
		if reqs[i], err = tableChange(change); err != nil {
			return nil, err
		}
		if err := authorizeChange(ctx, c, reqs[i]); err != nil {
			return nil, err
		}
	}
	if len(reqs) == 0 {
		// Nothing is touched, but whose it is.
		if err := c.Authorize(ctx, authz.ActionGetConfig, onWarehouse(c)); err != nil {
			return nil, err
		}
	}
	index, err := a.catalog.CommitTransaction(ctx, c.Change(), c.Warehouse, reqs)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}

func tableChange(change wire.TableChange) (catalog.CommitTable, error) {
	req := catalog.CommitTable{Identifier: catalog.Identifier{Namespace: change.Namespace, Name: change.Name}}
	err := catalog.CheckIdentifier(req.Identifier)
	if err != nil {
		return req, err
	}
	if req.Requirements, err = iceberg.ParseRequirements(change.Requirements); err != nil {
		return req, err
	}
	if req.Updates, err = iceberg.ParseUpdates(change.Updates); err != nil {
		return req, err
	}
	if iceberg.IsCreate(req.Requirements) {
		err = newName("table name", req.Name)
	}
	return req, err
}

// checkRename refuses names that no right could be asked for.
func checkRename(from, to catalog.Identifier) error {
	if err := catalog.CheckIdentifier(from); err != nil {
		return err
	}
	return catalog.CheckIdentifier(to)
}

func authorizeChange(ctx context.Context, c *serve.Call, req catalog.CommitTable) error {
	if err := c.Authorize(ctx, authz.ActionCommitTable, tableResource(c, req.Identifier)); err != nil {
		return err
	}
	if !iceberg.IsCreate(req.Requirements) {
		return nil
	}
	return authorizeCreate(ctx, c, req.Identifier)
}

// authorizeCreate asks for the rights to make a table of a name.
func authorizeCreate(ctx context.Context, c *serve.Call, id catalog.Identifier) error {
	if err := c.Authorize(ctx, authz.ActionCreateTable, namespaceResource(c, id.Namespace)); err != nil {
		return err
	}
	return authorizeName(ctx, c, id)
}

// renameTable needs rights that only the body tells of: to take the table away from
// where it is, and to make one where it goes.
func (a *api) renameTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseRename(c.Body)
	if err != nil {
		return nil, err
	}
	from := catalog.Identifier{Namespace: req.Source.Namespace, Name: req.Source.Name}
	to := catalog.Identifier{Namespace: req.Destination.Namespace, Name: req.Destination.Name}
	if err := checkRename(from, to); err != nil {
		return nil, err
	}
	if err := c.Authorize(ctx, authz.ActionRenameTable, tableResource(c, from)); err != nil {
		return nil, err
	}
	if err := authorizeCreate(ctx, c, to); err != nil {
		return nil, err
	}
	if err := newName("table name", to.Name); err != nil {
		return nil, err
	}
	index, err := a.catalog.RenameTable(ctx, c.Change(), c.Warehouse, from, to)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}
