package wire

import "github.com/floeberg/floeberg/api/jsonbody"

// RegisterTable is a request to make a table of a metadata file.
type RegisterTable struct {
	Name             string
	MetadataLocation string
	Overwrite        bool
}

// ParseRegisterTable reads the body of a request to register a table.
func ParseRegisterTable(body []byte) (*RegisterTable, error) {
	var raw struct {
		Name             *string `json:"name"`
		MetadataLocation *string `json:"metadata-location"`
		Overwrite        bool    `json:"overwrite"`
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
	return &RegisterTable{Name: *raw.Name, MetadataLocation: *raw.MetadataLocation, Overwrite: raw.Overwrite}, nil
}
