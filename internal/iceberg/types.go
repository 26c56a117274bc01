package iceberg

import (
	"regexp"
	"strconv"
	"strings"
)

// Kind is the kind of a type.
type Kind uint8

// The kinds of types of format versions 1 to 3.
const (
	KindBoolean Kind = iota + 1
	KindInt
	KindLong
	KindFloat
	KindDouble
	KindDecimal
	KindDate
	KindTime
	KindTimestamp
	KindTimestamptz
	KindTimestampNs
	KindTimestamptzNs
	KindString
	KindUUID
	KindFixed
	KindBinary
	KindUnknown
	KindVariant
	KindGeometry
	KindGeography
	KindStruct
	KindList
	KindMap
)

// Type is the type of a field. It is immutable.
type Type struct {
	Kind Kind
	// Fields holds the fields of a struct; the element of a list; the key and
	// the value of a map.
	Fields []Field

	text   string // of a primitive: its canonical name
	scale  int    // of a decimal
	length int    // of a fixed
}

// Field is a field of a struct, or the element, key or value of a list or map
// (then its Name is element, key or value).
type Field struct {
	ID       int
	Name     string
	Required bool
	Type     *Type
	Doc      *string
	// InitialDefault and WriteDefault are the defaults as they were written;
	// nil if there is none. The text is kept because 1.0 and 1 are not the same
	// to every reader.
	InitialDefault, WriteDefault []byte
}

var simpleTypes = map[string]*Type{
	"boolean":        {Kind: KindBoolean, text: "boolean"},
	"int":            {Kind: KindInt, text: "int"},
	"long":           {Kind: KindLong, text: "long"},
	"float":          {Kind: KindFloat, text: "float"},
	"double":         {Kind: KindDouble, text: "double"},
	"date":           {Kind: KindDate, text: "date"},
	"time":           {Kind: KindTime, text: "time"},
	"timestamp":      {Kind: KindTimestamp, text: "timestamp"},
	"timestamptz":    {Kind: KindTimestamptz, text: "timestamptz"},
	"timestamp_ns":   {Kind: KindTimestampNs, text: "timestamp_ns"},
	"timestamptz_ns": {Kind: KindTimestamptzNs, text: "timestamptz_ns"},
	"string":         {Kind: KindString, text: "string"},
	"uuid":           {Kind: KindUUID, text: "uuid"},
	"binary":         {Kind: KindBinary, text: "binary"},
	"unknown":        {Kind: KindUnknown, text: "unknown"},
	"variant":        {Kind: KindVariant, text: "variant"},
}

var (
	fixedPattern     = regexp.MustCompile(`^(?i:fixed)\[\s*(\d+)\s*\]$`)
	decimalPattern   = regexp.MustCompile(`^(?i:decimal)\(\s*(\d+)\s*,\s*(\d+)\s*\)$`)
	geometryPattern  = regexp.MustCompile(`^(?i:geometry)\s*(?:\(\s*([^)]*?)\s*\))?$`)
	geographyPattern = regexp.MustCompile(`^(?i:geography)\s*(?:\(\s*([^,)]*?)\s*(?:,\s*(\w*)\s*)?\))?$`)
)

const (
	defaultCRS           = "OGC:CRS84"
	defaultEdgeAlgorithm = "spherical"
)

var edgeAlgorithms = map[string]bool{
	"spherical": true, "vincenty": true, "thomas": true, "andoyer": true, "karney": true,
}

// parsePrimitive reads the name of a type that is not nested.
func parsePrimitive(name string) (*Type, error) {
	if t, ok := simpleTypes[name]; ok {
		return t, nil
	}
	if t, ok := simpleTypes[strings.ToLower(name)]; ok {
		return t, nil
	}
	if m := fixedPattern.FindStringSubmatch(name); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			return nil, invalidf("Cannot parse type: the length of %s is too large", excerpt([]byte(name)))
		}
		return &Type{Kind: KindFixed, text: "fixed[" + strconv.FormatInt(n, 10) + "]", length: int(n)}, nil
	}
	if m := decimalPattern.FindStringSubmatch(name); m != nil {
		precision, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil || precision > 38 {
			return nil, invalidf("Decimals with precision larger than 38 are not supported: %s", excerpt([]byte(m[1])))
		}
		scale, err := strconv.ParseInt(m[2], 10, 32)
		if err != nil {
			return nil, invalidf("Cannot parse type: the scale of %s is too large", excerpt([]byte(name)))
		}
		text := "decimal(" + strconv.FormatInt(precision, 10) + ", " + strconv.FormatInt(scale, 10) + ")"
		return &Type{Kind: KindDecimal, text: text, scale: int(scale)}, nil
	}
	if m := geometryPattern.FindStringSubmatch(name); m != nil {
		text := "geometry"
		if m[1] != "" && !strings.EqualFold(m[1], defaultCRS) {
			text += "(" + m[1] + ")"
		}
		return &Type{Kind: KindGeometry, text: text}, nil
	}
	if m := geographyPattern.FindStringSubmatch(name); m != nil {
		crs, algorithm := m[1], strings.ToLower(m[2])
		if algorithm != "" && !edgeAlgorithms[algorithm] {
			return nil, invalidf("Invalid edge interpolation algorithm: %s", excerpt([]byte(m[2])))
		}
		switch {
		case algorithm != "" && algorithm != defaultEdgeAlgorithm:
			if crs == "" {
				crs = defaultCRS
			}
			return &Type{Kind: KindGeography, text: "geography(" + crs + ", " + algorithm + ")"}, nil
		case crs != "" && !strings.EqualFold(crs, defaultCRS):
			return &Type{Kind: KindGeography, text: "geography(" + crs + ")"}, nil
		}
		return &Type{Kind: KindGeography, text: "geography"}, nil
	}
	return nil, invalidf("Cannot parse type string to primitive: %s", excerpt([]byte(name)))
}

// IsPrimitive tells whether the type is neither nested nor a variant.
func (t *Type) IsPrimitive() bool {
	return t.Kind < KindStruct && t.Kind != KindVariant
}

// String is the type as documents name it; nested types only by their kind.
func (t *Type) String() string {
	switch t.Kind {
	case KindStruct:
		return "struct"
	case KindList:
		return "list"
	case KindMap:
		return "map"
	}
	return t.text
}

// minFormatVersion is the first format version that has the type.
func (t *Type) minFormatVersion() int {
	switch t.Kind {
	case KindTimestampNs, KindTimestamptzNs, KindUnknown, KindVariant, KindGeometry, KindGeography:
		return 3
	}
	return 1
}

// appendJSON writes the type in canonical form.
func (t *Type) appendJSON(dst []byte) []byte {
	switch t.Kind {
	case KindStruct:
		dst = append(dst, `{"type":"struct","fields":`...)
		dst = appendFields(dst, t.Fields)
		return append(dst, '}')
	case KindList:
		dst = append(dst, `{"type":"list"`...)
		dst = t.Fields[0].appendNested(dst, "element")
		return append(dst, '}')
	case KindMap:
		dst = append(dst, `{"type":"map"`...)
		dst = t.Fields[0].appendNested(dst, "key")
		dst = t.Fields[1].appendNested(dst, "value")
		return append(dst, '}')
	}
	return appendString(dst, t.text)
}

// appendNested writes the element, key or value of a list or map. Keys are
// required by definition and do not say so.
func (f *Field) appendNested(dst []byte, role string) []byte {
	dst = appendIntMember(dst, role+"-id", int64(f.ID))
	dst = f.Type.appendJSON(appendName(dst, role))
	if role != "key" {
		dst = strconv.AppendBool(appendName(dst, role+"-required"), f.Required)
	}
	return dst
}

func appendFields(dst []byte, fields []Field) []byte {
	dst = append(dst, '[')
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendIntMember(dst, "id", int64(f.ID))
		dst = appendStringMember(dst, "name", f.Name)
		dst = strconv.AppendBool(appendName(dst, "required"), f.Required)
		dst = f.Type.appendJSON(appendName(dst, "type"))
		if f.Doc != nil {
			dst = appendStringMember(dst, "doc", *f.Doc)
		}
		if f.InitialDefault != nil {
			dst = appendRawMember(dst, "initial-default", f.InitialDefault)
		}
		if f.WriteDefault != nil {
			dst = appendRawMember(dst, "write-default", f.WriteDefault)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func parseType(raw []byte, depth int) (*Type, error) {
	if depth > maxSchemaDepth {
		return nil, invalidf("Cannot parse type: nested deeper than %d", maxSchemaDepth)
	}
	if name, ok := decodeString(raw); ok {
		return parsePrimitive(name)
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil, invalidf("Cannot parse type from json: %s", excerpt(raw))
	}
	r := readObject(raw, "type")
	switch kind := r.string("type"); {
	case r.err != nil:
		return nil, r.err
	case kind == "struct":
		return parseStruct(r, depth)
	case kind == "list":
		element := parseNested(r, "element", depth)
		return &Type{Kind: KindList, Fields: []Field{element}}, r.err
	case kind == "map":
		key := parseNested(r, "key", depth)
		value := parseNested(r, "value", depth)
		return &Type{Kind: KindMap, Fields: []Field{key, value}}, r.err
	}
	return nil, invalidf("Cannot parse type from json: %s", excerpt(raw))
}

func parseNested(r *reader, role string, depth int) Field {
	f := Field{ID: r.int(role + "-id"), Name: role, Required: true}
	raw := r.raw(role)
	if role != "key" {
		f.Required = r.bool(role + "-required")
	}
	if r.err == nil {
		f.Type, r.err = parseType(raw, depth+1)
	}
	return f
}

func parseStruct(r *reader, depth int) (*Type, error) {
	raw := r.raw("fields")
	if r.err != nil {
		return nil, r.err
	}
	elems := r.toArray("fields", raw)
	t := &Type{Kind: KindStruct, Fields: make([]Field, 0, len(elems))}
	for _, elem := range elems {
		f, err := parseField(elem, depth)
		if err != nil {
			return nil, err
		}
		t.Fields = append(t.Fields, f)
	}
	return t, r.err
}

func parseField(raw []byte, depth int) (Field, error) {
	r := readObject(raw, "struct field")
	f := Field{ID: r.int("id"), Name: r.string("name")}
	typ := r.raw("type")
	f.Doc = r.optString("doc")
	f.Required = r.bool("required")
	if r.err != nil {
		return f, r.err
	}
	var err error
	if f.Type, err = parseType(typ, depth+1); err != nil {
		return f, err
	}
	if f.Required && f.Type.Kind == KindUnknown {
		return f, invalidf("Cannot create required field with unknown type: %s", f.Name)
	}
	if f.InitialDefault, err = readDefault(r, "initial-default", f.Type); err != nil {
		return f, err
	}
	f.WriteDefault, err = readDefault(r, "write-default", f.Type)
	return f, err
}

func readDefault(r *reader, name string, t *Type) ([]byte, error) {
	value, ok := r.optional(name)
	if !ok {
		return nil, nil
	}
	return value, checkDefault(t, value)
}
