package wire

import "github.com/floeberg/floeberg/api/jsonbody"

// CreateNamespace is a request for a new namespace.
type CreateNamespace struct {
	Namespace  []string
	Properties map[string]string
}

// ParseCreateNamespace reads the body of a request for a new namespace.
func ParseCreateNamespace(body []byte) (*CreateNamespace, error) {
	var raw struct {
		Namespace  []*string          `json:"namespace"`
		Properties map[string]*string `json:"properties"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	if raw.Namespace == nil {
		return nil, jsonbody.Fault("namespace", "is missing")
	}
	path, err := jsonbody.Names("namespace", raw.Namespace)
	if err != nil {
		return nil, err
	}
	props, err := jsonbody.Values("properties", raw.Properties)
	if err != nil {
		return nil, err
	}
	return &CreateNamespace{Namespace: path, Properties: props}, nil
}

// UpdateProperties is a request to change a namespace's properties.
type UpdateProperties struct {
	Removals []string
	Updates  map[string]string
}

// ParseUpdateProperties reads the body of a request to change properties.
func ParseUpdateProperties(body []byte) (*UpdateProperties, error) {
	var raw struct {
		Removals []*string          `json:"removals"`
		Updates  map[string]*string `json:"updates"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	removals, err := jsonbody.Names("removals", raw.Removals)
	if err != nil {
		return nil, err
	}
	updates, err := jsonbody.Values("updates", raw.Updates)
	if err != nil {
		return nil, err
	}
	return &UpdateProperties{Removals: removals, Updates: updates}, nil
}

// Namespace is a namespace and its properties.
type Namespace struct {
	Namespace  []string          `json:"namespace"`
	Properties map[string]string `json:"properties"`
}

// UpdatedProperties is what a change of properties did. All three lists are
// written, if only empty: clients read them without asking.
type UpdatedProperties struct {
	Updated []string `json:"updated"`
	Removed []string `json:"removed"`
	Missing []string `json:"missing"`
}
