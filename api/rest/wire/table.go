package wire

import (
	"encoding/json"

	"github.com/floeberg/floeberg/api/jsonbody"
)

// CreateTable is a request for a new table. The parts that the format defines
// stay as they came.
type CreateTable struct {
	Name          string
	Location      string
	Schema        json.RawMessage
	PartitionSpec json.RawMessage // nil where there is none
	WriteOrder    json.RawMessage // nil where there is none
	StageCreate   bool
	Properties    map[string]string
}

// ParseCreateTable reads the body of a request for a new table.
func ParseCreateTable(body []byte) (*CreateTable, error) {
	var raw struct {
		Name          *string            `json:"name"`
		Location      string             `json:"location"`
		Schema        json.RawMessage    `json:"schema"`
		PartitionSpec json.RawMessage    `json:"partition-spec"`
		WriteOrder    json.RawMessage    `json:"write-order"`
		StageCreate   bool               `json:"stage-create"`
		Properties    map[string]*string `json:"properties"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	if raw.Name == nil {
		return nil, jsonbody.Fault("name", "is missing")
	}
	schema := jsonbody.Present(raw.Schema)
	if schema == nil {
		return nil, jsonbody.Fault("schema", "is missing")
	}
	props, err := jsonbody.Values("properties", raw.Properties)
	if err != nil {
		return nil, err
	}
	return &CreateTable{
		Name: *raw.Name, Location: raw.Location, Schema: schema,
		PartitionSpec: jsonbody.Present(raw.PartitionSpec), WriteOrder: jsonbody.Present(raw.WriteOrder),
		StageCreate: raw.StageCreate, Properties: props,
	}, nil
}

// Commit is a request to change a table or a view; its lists stay as they came.
type Commit struct {
	Requirements json.RawMessage
	Updates      json.RawMessage
}

var emptyList = json.RawMessage("[]")

// ParseCommit reads the body of a commit. The identifier in it must have the
// right form and is not used: the path names the table or view, and released
// clients have sent identifiers with their own name of the catalog in front. A
// missing list is an empty one, as for Iceberg's own parser.
func ParseCommit(body []byte) (*Commit, error) {
	var raw struct {
		Identifier   *rawIdentifier  `json:"identifier"`
		Requirements json.RawMessage `json:"requirements"`
		Updates      json.RawMessage `json:"updates"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	out := &Commit{}
	var err error
	if out.Requirements, err = list("requirements", raw.Requirements); err != nil {
		return nil, err
	}
	if out.Updates, err = list("updates", raw.Updates); err != nil {
		return nil, err
	}
	return out, nil
}

// Identifier names a table or a view.
type Identifier struct {
	Namespace []string `json:"namespace"`
	Name      string   `json:"name"`
}

// LoadTable is the answer to a create or a load, in pieces to be written one
// after the other: a document may be large, so it is neither parsed nor copied.
// Without a location the table is only staged. The restrictions are what a reader must
// keep to; nil is nothing.
func LoadTable(metadataLocation string, metadata, restrictions []byte) ([][]byte, error) {
	return splice(metadataLocation, metadata, restrictions, `,"config":{}`)
}

// CommittedTable is the answer to a commit, in pieces.
func CommittedTable(metadataLocation string, metadata, restrictions []byte) ([][]byte, error) {
	return splice(metadataLocation, metadata, restrictions, "")
}

// UnregisteredTable is the answer to an unregister, in pieces.
func UnregisteredTable(metadataLocation string, metadata, restrictions []byte) ([][]byte, error) {
	return splice(metadataLocation, metadata, restrictions, "")
}

func splice(metadataLocation string, metadata, restrictions []byte, tail string) ([][]byte, error) {
	head := []byte(`{"metadata":`)
	if metadataLocation != "" {
		quoted, err := json.Marshal(metadataLocation)
		if err != nil {
			return nil, err
		}
		head = append([]byte(`{"metadata-location":`), quoted...)
		head = append(head, `,"metadata":`...)
	}
	end := []byte(tail)
	if restrictions != nil {
		end = append(append(end, `,"read-restrictions":`...), restrictions...)
	}
	return [][]byte{head, metadata, append(end, '}')}, nil
}
