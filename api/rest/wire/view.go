package wire

import (
	"encoding/json"

	"github.com/floeberg/floeberg/api/jsonbody"
)

// CreateView is a request for a new view. The parts that the format defines stay
// as they came.
type CreateView struct {
	Name       string
	Location   string
	Schema     json.RawMessage
	Version    json.RawMessage
	Properties map[string]string
}

// ParseCreateView reads the body of a request for a new view.
func ParseCreateView(body []byte) (*CreateView, error) {
	var raw struct {
		Name       *string            `json:"name"`
		Location   string             `json:"location"`
		Schema     json.RawMessage    `json:"schema"`
		Version    json.RawMessage    `json:"view-version"`
		Properties map[string]*string `json:"properties"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	out := &CreateView{Location: raw.Location, Schema: jsonbody.Present(raw.Schema), Version: jsonbody.Present(raw.Version)}
	switch {
	case raw.Name == nil:
		return nil, jsonbody.Fault("name", "is missing")
	case out.Schema == nil:
		return nil, jsonbody.Fault("schema", "is missing")
	case out.Version == nil:
		return nil, jsonbody.Fault("view-version", "is missing")
	}
	out.Name = *raw.Name
	var err error
	out.Properties, err = jsonbody.Values("properties", raw.Properties)
	return out, err
}

// RegisterView is a request to make a view of a metadata file.
type RegisterView struct {
	Name             string
	MetadataLocation string
}

// ParseRegisterView reads the body of a request to register a view.
func ParseRegisterView(body []byte) (*RegisterView, error) {
	var raw struct {
		Name             *string `json:"name"`
		MetadataLocation *string `json:"metadata-location"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	switch {
	case raw.Name == nil:
		return nil, jsonbody.Fault("name", "is missing")
	case raw.MetadataLocation == nil:
		return nil, jsonbody.Fault("metadata-location", "is missing")
	case *raw.MetadataLocation == "":
		return nil, jsonbody.Fault("metadata-location", "is empty")
	}
	return &RegisterView{Name: *raw.Name, MetadataLocation: *raw.MetadataLocation}, nil
}

// LoadView is the answer to all that shows a view, in pieces.
func LoadView(metadataLocation string, metadata []byte) ([][]byte, error) {
	return splice(metadataLocation, metadata, nil, `,"config":{}`)
}
