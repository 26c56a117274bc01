package wire

import (
	"encoding/json"
	"fmt"

	"github.com/floeberg/floeberg/api/jsonbody"
)

// TableChange is what a transaction does to one table.
type TableChange struct {
	Identifier
	Requirements json.RawMessage
	Updates      json.RawMessage
}

// ParseTransaction reads the body of a commit of several tables.
func ParseTransaction(body []byte) ([]TableChange, error) {
	var raw struct {
		Changes *[]*struct {
			Identifier   *rawIdentifier  `json:"identifier"`
			Requirements json.RawMessage `json:"requirements"`
			Updates      json.RawMessage `json:"updates"`
		} `json:"table-changes"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	if raw.Changes == nil {
		return nil, jsonbody.Fault("table-changes", "is missing")
	}
	out := make([]TableChange, len(*raw.Changes))
	for i, change := range *raw.Changes {
		field := fmt.Sprintf("table-changes[%d]", i)
		if change == nil {
			return nil, jsonbody.Fault(field, "must be an object, not null")
		}
		id, err := change.Identifier.read(field + ".identifier")
		if err != nil {
			return nil, err
		}
		out[i].Identifier = id
		if out[i].Requirements, err = list(field+".requirements", change.Requirements); err != nil {
			return nil, err
		}
		if out[i].Updates, err = list(field+".updates", change.Updates); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// list takes an array as it came; a missing one is empty, as for Iceberg's own parser.
func list(field string, raw json.RawMessage) (json.RawMessage, error) {
	raw = jsonbody.Present(raw)
	switch {
	case raw == nil:
		return emptyList, nil
	case raw[0] != '[':
		return nil, jsonbody.Fault(field, "must be an array")
	}
	return raw, nil
}
