package management

import (
	"context"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Verification is how a table's metadata in the catalog compares with the file
// that the table points to.
type Verification struct {
	MetadataLocation string `json:"metadata_location"`
	Matches          bool   `json:"matches"`
	// Problem is why there is nothing to compare; null where there is.
	Problem *string `json:"problem"`
	// Differences are the first ones; More tells that there are others.
	Differences []Difference `json:"differences"`
	More        bool         `json:"more"`
}

// Difference is a place in the document at which catalog and file differ. What is
// missing is empty, and what is long is cut.
type Difference struct {
	Path    string `json:"path"`
	Catalog string `json:"catalog"`
	File    string `json:"file"`
}

// verifyTable shows parts of the metadata, as a load does.
func (a *api) verifyTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	if _, err := c.Reading(ctx, onTable(c)); err != nil {
		return nil, err
	}
	found, err := a.catalog.VerifyTable(ctx, c.Read, c.Param("warehouse"), c.Identifier())
	if err != nil {
		return nil, err
	}
	return verification(found)
}

// rebuildTable answers how catalog and file differed before.
func (a *api) rebuildTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	before, err := a.catalog.RebuildTable(ctx, c.Change(), c.Param("warehouse"), c.Identifier())
	if err != nil {
		return nil, err
	}
	return verification(before)
}

func verification(found *catalog.Verification) (*serve.Reply, error) {
	out := Verification{
		MetadataLocation: found.MetadataLocation, Matches: found.Matches,
		Differences: make([]Difference, len(found.Differences)), More: found.More,
	}
	if found.Problem != "" {
		out.Problem = &found.Problem
	}
	for i, d := range found.Differences {
		out.Differences[i] = Difference(d)
	}
	return serve.JSON(found.Index, out)
}
