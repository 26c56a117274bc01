package cedar

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/floeberg/floeberg/authz"
)

// The types of entities, as policies name them.
const (
	typeUser      types.EntityType = "Floeberg::User"
	typeGroup     types.EntityType = "Floeberg::Group"
	typeTenant    types.EntityType = "Floeberg::Tenant"
	typeCluster   types.EntityType = "Floeberg::Cluster"
	typeWarehouse types.EntityType = "Floeberg::Warehouse"
	typeNamespace types.EntityType = "Floeberg::Namespace"
	typeTable     types.EntityType = "Floeberg::Table"
	typeView      types.EntityType = "Floeberg::View"
	typePolicySet types.EntityType = "Floeberg::PolicySet"
	typeAction    types.EntityType = "Floeberg::Action"
)

// The ids of what is there once.
const (
	clusterID       = "cluster"
	warehousePolicy = "warehouse/"
)

// An id of a warehouse, namespace, table or view is its names from the warehouse
// on, with slashes between. What would be read as something else in a name, or not
// be seen, is written as percent signs and hexadecimal digits: so two lists of
// names never have one id, and each id is one list of names.

// appendEscaped writes one name of an id.
func appendEscaped(dst []byte, name string) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		if escaped(r, size) {
			for _, b := range []byte(name[i : i+size]) {
				dst = append(dst, '%', digits[b>>4], digits[b&15])
			}
		} else {
			dst = append(dst, name[i:i+size]...)
		}
		i += size
	}
	return dst
}

// escaped tells which characters are not written as they are. It is a fixed list
// and does not follow the tables of Unicode: an id must not change with the
// program's version.
func escaped(r rune, size int) bool {
	switch {
	case r == utf8.RuneError && size <= 1: // not UTF-8
		return true
	case r < 0x20, r == '%', r == '/', r == '"', r == '\\':
		return true
	case r < 0x7F:
		return false
	case r <= 0x9F, r == 0xAD, // controls, soft hyphen
		r >= 0x200B && r <= 0x200F, r >= 0x2028 && r <= 0x202E, // no width, directions, separators
		r >= 0x2060 && r <= 0x206F, r == 0xFEFF:
		return true
	}
	return false
}

// EscapeName is a name as the ids of entities have it.
func EscapeName(name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < 0x20 || c >= 0x7F || c == '%' || c == '/' || c == '"' || c == '\\' {
			return string(appendEscaped(nil, name))
		}
	}
	return name
}

// unescapeName reads a name of an id; ok is false where it is not what
// EscapeName writes.
func unescapeName(text string) (name string, ok bool) {
	name = text
	if strings.Contains(text, "%") {
		var b []byte
		for i := 0; i < len(text); i++ {
			if text[i] != '%' {
				b = append(b, text[i])
				continue
			}
			if i+2 >= len(text) {
				return "", false
			}
			hi, lo := unhex(text[i+1]), unhex(text[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		}
		name = string(b)
	}
	return name, EscapeName(name) == text
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// ID is the id of a resource's entity, as policies write it.
func ID(r authz.Resource) string { return string(resourceUID(r).ID) }

func resourceUID(r authz.Resource) types.EntityUID {
	switch r.Kind {
	case authz.KindWarehouse:
		return types.NewEntityUID(typeWarehouse, types.String(EscapeName(r.Warehouse)))
	case authz.KindNamespace:
		return types.NewEntityUID(typeNamespace, types.String(pathID(r.Warehouse, r.Namespace)))
	case authz.KindTable:
		return types.NewEntityUID(typeTable, types.String(pathID(r.Warehouse, r.Namespace, r.Name)))
	case authz.KindView:
		return types.NewEntityUID(typeView, types.String(pathID(r.Warehouse, r.Namespace, r.Name)))
	case authz.KindPolicySet:
		if r.Warehouse == "" {
			return types.NewEntityUID(typePolicySet, clusterID)
		}
		return types.NewEntityUID(typePolicySet, types.String(warehousePolicy+EscapeName(r.Warehouse)))
	}
	return types.NewEntityUID(typeCluster, clusterID)
}

func pathID(warehouse string, namespace []string, name ...string) string {
	size := len(warehouse)
	for _, level := range namespace {
		size += 1 + len(level)
	}
	for _, n := range name {
		size += 1 + len(n)
	}
	id := make([]byte, 0, size+8)
	id = appendEscaped(id, warehouse)
	for _, level := range namespace {
		id = appendEscaped(append(id, '/'), level)
	}
	for _, n := range name {
		id = appendEscaped(append(id, '/'), n)
	}
	return string(id)
}

// cutID splits an id before its last name; parent is "" where there is one name.
func cutID(id string) (parent, last string) {
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		return id[:i], id[i+1:]
	}
	return "", id
}

// fewest is how many names an id of a type has at least; 0 is a type whose ids
// are not paths.
func fewest(t types.EntityType) int {
	switch t {
	case typeWarehouse:
		return 1
	case typeNamespace:
		return 2
	case typeTable, typeView:
		return 3
	}
	return 0
}

// checkID tells what is wrong with an entity that a policy names, and the mend.
func checkID(uid types.EntityUID) error {
	id := string(uid.ID)
	switch uid.Type {
	case typeCluster:
		if id != clusterID {
			return fmt.Errorf("there is no %s: the only one is %s::%q", uid, typeCluster, clusterID)
		}
		return nil
	case typePolicySet:
		if name, ok := strings.CutPrefix(id, warehousePolicy); ok {
			return checkPath(uid, name, 1, 1)
		}
		if id != clusterID {
			return fmt.Errorf("there is no %s: write %s::%q, or %q and a warehouse's name", uid, typePolicySet, clusterID, warehousePolicy)
		}
		return nil
	case typeWarehouse:
		return checkPath(uid, id, 1, 1)
	case typeNamespace, typeTable, typeView:
		return checkPath(uid, id, fewest(uid.Type), 0)
	}
	return nil
}

// checkPath checks the names of an id, of which there must be as many; 0 is no
// upper limit.
func checkPath(uid types.EntityUID, id string, fewest, most int) error {
	names := strings.Split(id, "/")
	if len(names) < fewest || most > 0 && len(names) > most {
		return fmt.Errorf("%s names nothing: write %s", uid, idForm(uid.Type))
	}
	for _, text := range names {
		if text == "" {
			return fmt.Errorf("%s has an empty name: write %s", uid, idForm(uid.Type))
		}
		if _, ok := unescapeName(text); !ok {
			return fmt.Errorf("%s names nothing: in an id, write the name %q as %q", uid, rawName(text), EscapeName(rawName(text)))
		}
	}
	return nil
}

// rawName is what the writer of a name that is not in its form probably means.
func rawName(text string) string {
	var b []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			upper := strings.ToUpper(text[i+1 : i+3])
			if hi, lo := unhex(upper[0]), unhex(upper[1]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, text[i])
	}
	return string(b)
}

func idForm(t types.EntityType) string {
	switch t {
	case typeWarehouse:
		return `Floeberg::Warehouse::"WAREHOUSE"`
	case typePolicySet:
		return `Floeberg::PolicySet::"warehouse/WAREHOUSE"`
	case typeNamespace:
		return `Floeberg::Namespace::"WAREHOUSE/LEVEL", with "/LEVEL" for each further level`
	}
	return string(t) + `::"WAREHOUSE/LEVEL/NAME", with "/LEVEL" for each further level`
}

// warehouseOf is the warehouse, in its escaped form, that an entity is in; ok is
// false for what is in none.
func warehouseOf(uid types.EntityUID) (warehouse string, ok bool) {
	id := string(uid.ID)
	switch uid.Type {
	case typeWarehouse, typeNamespace, typeTable, typeView:
		warehouse, _, _ = strings.Cut(id, "/")
		return warehouse, true
	case typePolicySet:
		return strings.CutPrefix(id, warehousePolicy)
	}
	return "", false
}
