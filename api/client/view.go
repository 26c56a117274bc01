package client

import (
	"context"
	"time"
)

// View is a view as people see it.
type View struct {
	Namespace        []string          `json:"namespace"`
	Name             string            `json:"name"`
	UUID             string            `json:"uuid"`
	Location         string            `json:"location"`
	MetadataLocation string            `json:"metadata_location"`
	FormatVersion    int               `json:"format_version"`
	CurrentVersionID int               `json:"current_version_id"`
	Versions         []ViewVersion     `json:"versions"`
	SQL              []SQL             `json:"sql"`
	DefaultCatalog   string            `json:"default_catalog,omitempty"`
	DefaultNamespace []string          `json:"default_namespace"`
	SchemaID         int               `json:"schema_id"`
	Columns          []Column          `json:"columns"`
	Properties       map[string]string `json:"properties"`
}

// ViewVersion is one version of a view.
type ViewVersion struct {
	ID        int               `json:"id"`
	CreatedAt time.Time         `json:"created_at"`
	SchemaID  int               `json:"schema_id"`
	Summary   map[string]string `json:"summary"`
}

// SQL is what a view is made of in one dialect.
type SQL struct {
	Dialect string `json:"dialect"`
	Text    string `json:"text"`
}

// viewMetadata is what is read of a view's metadata document.
type viewMetadata struct {
	FormatVersion int               `json:"format-version"`
	UUID          string            `json:"view-uuid"`
	Location      string            `json:"location"`
	Properties    map[string]string `json:"properties"`
	Schemas       []schema          `json:"schemas"`
	VersionID     int               `json:"current-version-id"`
	Versions      []viewVersion     `json:"versions"`
}

type viewVersion struct {
	ID              int               `json:"version-id"`
	TimestampMs     int64             `json:"timestamp-ms"`
	SchemaID        int               `json:"schema-id"`
	Summary         map[string]string `json:"summary"`
	Catalog         string            `json:"default-catalog"`
	Namespace       []string          `json:"default-namespace"`
	Representations []struct {
		Type    string `json:"type"`
		SQL     string `json:"sql"`
		Dialect string `json:"dialect"`
	} `json:"representations"`
}

// View loads a view.
func (c *Client) View(ctx context.Context, name Name) (*View, error) {
	doc, err := load[viewMetadata](ctx, c, name, "views")
	if err != nil {
		return nil, err
	}
	m := &doc.Metadata
	current, err := byID("version", m.Versions, m.VersionID, func(v *viewVersion) int { return v.ID })
	if err != nil {
		return nil, err
	}
	shape, err := byID("schema", m.Schemas, current.SchemaID, func(s *schema) int { return s.ID })
	if err != nil {
		return nil, err
	}
	namespace, last := name.Split()
	v := &View{
		Namespace: namespace, Name: last, UUID: m.UUID, Location: m.Location,
		MetadataLocation: doc.MetadataLocation, FormatVersion: m.FormatVersion,
		CurrentVersionID: m.VersionID, Versions: make([]ViewVersion, len(m.Versions)), SQL: []SQL{},
		DefaultCatalog: current.Catalog, DefaultNamespace: append([]string{}, current.Namespace...),
		SchemaID: current.SchemaID, Columns: shape.columns(), Properties: properties(m.Properties),
	}
	for i, version := range m.Versions {
		v.Versions[i] = ViewVersion{ID: version.ID, CreatedAt: moment(version.TimestampMs), SchemaID: version.SchemaID, Summary: properties(version.Summary)}
	}
	for _, rep := range current.Representations {
		if rep.Type == "sql" {
			v.SQL = append(v.SQL, SQL{Dialect: rep.Dialect, Text: rep.SQL})
		}
	}
	return v, nil
}
