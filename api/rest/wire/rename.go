package wire

import "github.com/floeberg/floeberg/api/jsonbody"

// Rename is a request to give a table or a view another name.
type Rename struct {
	Source      Identifier
	Destination Identifier
}

// ParseRename reads the body of a rename.
func ParseRename(body []byte) (*Rename, error) {
	var raw struct {
		Source      *rawIdentifier `json:"source"`
		Destination *rawIdentifier `json:"destination"`
	}
	if err := jsonbody.Decode(body, &raw); err != nil {
		return nil, err
	}
	source, err := raw.Source.read("source")
	if err != nil {
		return nil, err
	}
	destination, err := raw.Destination.read("destination")
	if err != nil {
		return nil, err
	}
	return &Rename{Source: source, Destination: destination}, nil
}

type rawIdentifier struct {
	Namespace []*string `json:"namespace"`
	Name      *string   `json:"name"`
}

// read takes an identifier that must be there and complete.
func (r *rawIdentifier) read(field string) (Identifier, error) {
	switch {
	case r == nil:
		return Identifier{}, jsonbody.Fault(field, "is missing")
	case r.Namespace == nil:
		return Identifier{}, jsonbody.Fault(field+".namespace", "is missing")
	case r.Name == nil:
		return Identifier{}, jsonbody.Fault(field+".name", "is missing")
	}
	path, err := jsonbody.Names(field+".namespace", r.Namespace)
	return Identifier{Namespace: path, Name: *r.Name}, err
}
