package client

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// Table is a table as people see it.
type Table struct {
	Namespace        []string          `json:"namespace"`
	Name             string            `json:"name"`
	UUID             string            `json:"uuid"`
	Location         string            `json:"location"`
	MetadataLocation string            `json:"metadata_location"`
	FormatVersion    int               `json:"format_version"`
	UpdatedAt        time.Time         `json:"updated_at"`
	SchemaID         int               `json:"schema_id"`
	Columns          []Column          `json:"columns"`
	PartitionSpecID  int               `json:"partition_spec_id"`
	PartitionSpec    []PartitionField  `json:"partition_spec"`
	SortOrderID      int               `json:"sort_order_id"`
	SortOrder        []SortField       `json:"sort_order"`
	CurrentSnapshot  *Snapshot         `json:"current_snapshot"`
	SnapshotCount    int               `json:"snapshot_count"`
	Refs             []Ref             `json:"refs"`
	Properties       map[string]string `json:"properties"`
}

// PartitionField is one field that a table is partitioned by.
type PartitionField struct {
	Name      string `json:"name"`
	Transform string `json:"transform"`
	Source    string `json:"source"`
}

// SortField is one field that a table is sorted by.
type SortField struct {
	Source    string `json:"source"`
	Transform string `json:"transform"`
	Direction string `json:"direction"`
	NullOrder string `json:"null_order"`
}

// Snapshot is one state of a table's data.
type Snapshot struct {
	ID        int64             `json:"id"`
	CreatedAt time.Time         `json:"created_at"`
	Operation string            `json:"operation"`
	Summary   map[string]string `json:"summary"`
}

// Ref is a branch or a tag.
type Ref struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	SnapshotID int64  `json:"snapshot_id"`
}

// tableMetadata is what is read of a table's metadata document.
type tableMetadata struct {
	FormatVersion int               `json:"format-version"`
	UUID          string            `json:"table-uuid"`
	Location      string            `json:"location"`
	LastUpdatedMs int64             `json:"last-updated-ms"`
	Properties    map[string]string `json:"properties"`
	SchemaID      int               `json:"current-schema-id"`
	Schemas       []schema          `json:"schemas"`
	SpecID        int               `json:"default-spec-id"`
	Specs         []partitionSpec   `json:"partition-specs"`
	OrderID       int               `json:"default-sort-order-id"`
	Orders        []sortOrder       `json:"sort-orders"`
	SnapshotID    *int64            `json:"current-snapshot-id"`
	Snapshots     []snapshot        `json:"snapshots"`
	Refs          map[string]struct {
		Type       string `json:"type"`
		SnapshotID int64  `json:"snapshot-id"`
	} `json:"refs"`
}

type partitionSpec struct {
	ID     int `json:"spec-id"`
	Fields []struct {
		Name      string `json:"name"`
		Transform string `json:"transform"`
		SourceID  int    `json:"source-id"`
		SourceIDs []int  `json:"source-ids"`
	} `json:"fields"`
}

type sortOrder struct {
	ID     int `json:"order-id"`
	Fields []struct {
		Transform string `json:"transform"`
		SourceID  int    `json:"source-id"`
		SourceIDs []int  `json:"source-ids"`
		Direction string `json:"direction"`
		NullOrder string `json:"null-order"`
	} `json:"fields"`
}

type snapshot struct {
	ID          int64             `json:"snapshot-id"`
	TimestampMs int64             `json:"timestamp-ms"`
	Summary     map[string]string `json:"summary"`
}

// Table loads a table.
func (c *Client) Table(ctx context.Context, name Name) (*Table, error) {
	doc, err := load[tableMetadata](ctx, c, name, "tables")
	if err != nil {
		return nil, err
	}
	m := &doc.Metadata
	current, err := byID("schema", m.Schemas, m.SchemaID, func(s *schema) int { return s.ID })
	if err != nil {
		return nil, err
	}
	spec, err := byID("partition spec", m.Specs, m.SpecID, func(s *partitionSpec) int { return s.ID })
	if err != nil {
		return nil, err
	}
	order, err := byID("sort order", m.Orders, m.OrderID, func(o *sortOrder) int { return o.ID })
	if err != nil {
		return nil, err
	}
	namespace, last := name.Split()
	t := &Table{
		Namespace: namespace, Name: last, UUID: m.UUID, Location: m.Location,
		MetadataLocation: doc.MetadataLocation, FormatVersion: m.FormatVersion, UpdatedAt: moment(m.LastUpdatedMs),
		SchemaID: m.SchemaID, Columns: current.columns(),
		PartitionSpecID: m.SpecID, PartitionSpec: make([]PartitionField, len(spec.Fields)),
		SortOrderID: m.OrderID, SortOrder: make([]SortField, len(order.Fields)),
		SnapshotCount: len(m.Snapshots), Refs: []Ref{}, Properties: properties(m.Properties),
	}
	names := current.names()
	for i, f := range spec.Fields {
		t.PartitionSpec[i] = PartitionField{Name: f.Name, Transform: f.Transform, Source: sources(names, f.SourceID, f.SourceIDs)}
	}
	for i, f := range order.Fields {
		t.SortOrder[i] = SortField{Source: sources(names, f.SourceID, f.SourceIDs), Transform: f.Transform, Direction: f.Direction, NullOrder: f.NullOrder}
	}
	for _, s := range m.Snapshots {
		if m.SnapshotID != nil && s.ID == *m.SnapshotID {
			t.CurrentSnapshot = &Snapshot{ID: s.ID, CreatedAt: moment(s.TimestampMs), Operation: s.Summary["operation"], Summary: properties(s.Summary)}
		}
	}
	for _, refName := range slices.SortedFunc(maps.Keys(m.Refs), cmp.Compare) {
		ref := m.Refs[refName]
		t.Refs = append(t.Refs, Ref{Name: refName, Type: ref.Type, SnapshotID: ref.SnapshotID})
	}
	return t, nil
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// properties is in, or an empty map instead of null.
func properties(in map[string]string) map[string]string {
	if in == nil {
		return map[string]string{}
	}
	return in
}
