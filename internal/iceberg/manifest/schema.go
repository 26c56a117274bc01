package manifest

import (
	"encoding/json"
	"strings"
)

// maxDepth bounds how deep schemas and values go: those of the format go six deep.
const maxDepth = 64

// kind is how a value is written.
type kind uint8

const (
	kindNull kind = iota
	kindBoolean
	kindInt // and enum
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindFixed
	kindRecord
	kindArray
	kindMap
	kindUnion
)

var primitives = map[string]*schema{
	"null": {kind: kindNull}, "boolean": {kind: kindBoolean}, "int": {kind: kindInt}, "long": {kind: kindLong},
	"float": {kind: kindFloat}, "double": {kind: kindDouble}, "bytes": {kind: kindBytes}, "string": {kind: kindString},
}

// schema is the writer's, as far as reading needs it.
type schema struct {
	kind     kind
	size     uint64    // of a fixed
	fields   []field   // of a record
	items    *schema   // of an array or a map
	branches []*schema // of a union
}

type field struct {
	name   string
	schema *schema
}

// parseSchema reads the schema of a file's objects, which must be records.
func parseSchema(text []byte) (*schema, error) {
	var raw any
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, malformed("its schema is not JSON: %v", err)
	}
	c := compiler{named: make(map[string]*schema)}
	s, err := c.compile(raw, "", 0)
	if err != nil {
		return nil, err
	}
	if s.kind != kindRecord {
		return nil, malformed("its objects are not records")
	}
	return s, nil
}

// compiler resolves the names by which a schema refers to parts of itself.
type compiler struct {
	named map[string]*schema
}

func (c *compiler) compile(raw any, namespace string, depth int) (*schema, error) {
	if depth > maxDepth {
		return nil, malformed("its schema is more than %d levels deep", maxDepth)
	}
	switch v := raw.(type) {
	case string:
		return c.lookup(v, namespace)
	case []any:
		u := &schema{kind: kindUnion}
		for _, branch := range v {
			s, err := c.compile(branch, namespace, depth+1)
			if err != nil {
				return nil, err
			}
			u.branches = append(u.branches, s)
		}
		return u, nil
	case map[string]any:
		return c.compileObject(v, namespace, depth)
	}
	return nil, malformed("its schema has a type that is no type")
}

func (c *compiler) compileObject(v map[string]any, namespace string, depth int) (*schema, error) {
	name, isName := v["type"].(string)
	if !isName {
		return c.compile(v["type"], namespace, depth+1)
	}
	switch name {
	case "record", "error":
		s := &schema{kind: kindRecord}
		namespace = c.define(v, namespace, s)
		fields, ok := v["fields"].([]any)
		if !ok {
			return nil, malformed("its schema has a record without fields")
		}
		for _, raw := range fields {
			f, ok := raw.(map[string]any)
			if !ok {
				return nil, malformed("its schema has a field that is no object")
			}
			fieldName, ok := f["name"].(string)
			if !ok {
				return nil, malformed("its schema has a field without a name")
			}
			fs, err := c.compile(f["type"], namespace, depth+1)
			if err != nil {
				return nil, err
			}
			s.fields = append(s.fields, field{fieldName, fs})
		}
		return s, nil
	case "enum":
		s := &schema{kind: kindInt}
		c.define(v, namespace, s)
		return s, nil
	case "fixed":
		size, ok := v["size"].(float64)
		if !ok || size < 0 || size > maxBlockBytes {
			return nil, malformed("its schema has a fixed type of no possible size")
		}
		s := &schema{kind: kindFixed, size: uint64(size)}
		c.define(v, namespace, s)
		return s, nil
	case "array", "map":
		k, member := kindArray, "items"
		if name == "map" {
			k, member = kindMap, "values"
		}
		items, err := c.compile(v[member], namespace, depth+1)
		if err != nil {
			return nil, err
		}
		return &schema{kind: k, items: items}, nil
	}
	return c.lookup(name, namespace)
}

// define gives a schema its name and returns the namespace of what is inside.
// It happens before the inside is read, which may refer to the name.
func (c *compiler) define(v map[string]any, namespace string, s *schema) string {
	name, _ := v["name"].(string)
	if own, ok := v["namespace"].(string); ok {
		namespace = own
	}
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		namespace, name = name[:dot], name[dot+1:]
	}
	c.named[fullName(name, namespace)] = s
	return namespace
}

func (c *compiler) lookup(name, namespace string) (*schema, error) {
	if s, ok := primitives[name]; ok {
		return s, nil
	}
	if !strings.Contains(name, ".") {
		if s, ok := c.named[fullName(name, namespace)]; ok {
			return s, nil
		}
	}
	if s, ok := c.named[name]; ok {
		return s, nil
	}
	return nil, malformed("its schema refers to a type that it does not define")
}

func fullName(name, namespace string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}
