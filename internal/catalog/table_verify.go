package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

const (
	// maxDifferences bounds the differences that a verification lists.
	maxDifferences = 100
	// maxDifferenceBytes bounds what it shows of each value.
	maxDifferenceBytes = 256
)

// Verification is how a table's metadata in the catalog compares with the file that
// the table points to.
type Verification struct {
	MetadataLocation string `json:"metadata_location"`
	// Matches tells that both say the same, in whatever order and spelling.
	Matches bool `json:"matches"`
	// Problem is why there is nothing to compare; "" where there is.
	Problem string `json:"problem,omitempty"`
	// Differences are the first ones, by where in the document they are.
	Differences []Difference `json:"differences,omitempty"`
	// More tells that there are more differences than are listed.
	More     bool   `json:"more,omitempty"`
	Revision uint64 `json:"revision"`
	Index    uint64 `json:"index"`
}

// Difference is a place where catalog and file differ. A value that is missing is
// empty, and a long one is cut.
type Difference struct {
	Path    string `json:"path"`
	Catalog string `json:"catalog"`
	File    string `json:"file"`
}

// VerifyTable compares a table's metadata in the catalog, as this node has it, with
// the file that the table points to.
func (c *Catalog) VerifyTable(ctx context.Context, read Read, warehouse string, id Identifier) (*Verification, error) {
	if err := CheckIdentifier(id); err != nil {
		return nil, err
	}
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	e, err := find(v, wh, id)
	if err != nil {
		return nil, err
	}
	file, leave, err := c.readTable(ctx, wh, e.record.MetadataLocation)
	if err == nil {
		defer leave()
	}
	found := &Verification{MetadataLocation: e.record.MetadataLocation, Revision: e.revision, Index: v.Index}
	switch KindOf(err) {
	case "":
	case KindNotFound, KindInvalid, KindUnsupported, KindTooLarge, KindForbiddenLocation:
		found.Problem = clientText(err)
		return found, nil
	default:
		return nil, err
	}
	return found, compareWithFile(v, e, file, found)
}

// compareWithFile reads the parts themselves: what is ready in memory may be
// better, or worse, than what is stored.
func compareWithFile(v *state.View, e *entry, file *iceberg.Table, found *Verification) error {
	head, parts, err := readParts(v, e.record.Id)
	if err != nil {
		found.Problem = "The table's metadata in the catalog is damaged: " + err.Error()
		return nil //nolint:nilerr // that is what was to be found out
	}
	stored, err := withoutParts(head)
	if err != nil {
		found.Problem = "The table's metadata in the catalog is damaged: " + err.Error()
		return nil //nolint:nilerr // the same
	}
	expected, err := withoutParts(file.Head())
	if err != nil {
		return broken(err)
	}
	cmp := comparison{found: found}
	cmp.raw("", stored, expected)
	cmp.parts(parts, file.Parts())
	found.Matches = len(found.Differences) == 0
	return nil
}

// withoutParts is the document of a head whose growing arrays are empty.
func withoutParts(head []byte) ([]byte, error) {
	a, err := iceberg.Assemble(head, false)
	if err != nil {
		return nil, err
	}
	return a.Document()
}

// comparison collects differences.
type comparison struct{ found *Verification }

func (c comparison) differ(path string, catalog, file any) {
	if len(c.found.Differences) == maxDifferences {
		c.found.More = true
		return
	}
	if path == "" {
		path = "/"
	}
	c.found.Differences = append(c.found.Differences, Difference{Path: path, Catalog: showJSON(catalog), File: showJSON(file)})
}

// absent is a value that one side does not have.
type absent struct{}

func showJSON(value any) string {
	var text []byte
	switch value := value.(type) {
	case absent:
		return ""
	case []byte:
		text = value
	default:
		text, _ = json.Marshal(value) // of what was decoded from JSON
	}
	if len(text) > maxDifferenceBytes {
		return string(bytes.ToValidUTF8(text[:maxDifferenceBytes], nil)) + "…"
	}
	return string(text)
}

// parts compares the growing arrays, element by element.
func (c comparison) parts(catalog, file []iceberg.Part) {
	for l := iceberg.Snapshots; l <= iceberg.PartitionStatistics; l++ {
		a, b := partsOf(&catalog, l), partsOf(&file, l)
		for i := range max(len(a), len(b)) {
			path := "/" + l.String() + "/" + strconv.Itoa(i)
			switch {
			case i >= len(a):
				c.differ(path, absent{}, b[i].JSON)
			case i >= len(b):
				c.differ(path, a[i].JSON, absent{})
			default:
				c.raw(path, a[i].JSON, b[i].JSON)
			}
		}
	}
	for _, part := range catalog {
		c.differ("/"+part.List.String(), part.JSON, absent{})
	}
}

// partsOf cuts the parts of one list off the front.
func partsOf(parts *[]iceberg.Part, l iceberg.List) []iceberg.Part {
	n := slices.IndexFunc(*parts, func(p iceberg.Part) bool { return p.List != l })
	if n < 0 {
		n = len(*parts)
	}
	own := (*parts)[:n]
	*parts = (*parts)[n:]
	return own
}

// raw compares two JSON texts. Most are equal to the byte.
func (c comparison) raw(path string, catalog, file []byte) {
	if bytes.Equal(catalog, file) {
		return
	}
	a, errA := decodeJSON(catalog)
	b, errB := decodeJSON(file)
	if errA != nil || errB != nil {
		c.differ(path, catalog, file)
		return
	}
	c.values(path, a, b)
}

func decodeJSON(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	// Numbers keep their text: 1.0 and 1 are not the same to a reader.
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return value, nil
}

func (c comparison) values(path string, catalog, file any) {
	switch a := catalog.(type) {
	case map[string]any:
		if b, ok := file.(map[string]any); ok {
			c.objects(path, a, b)
			return
		}
	case []any:
		if b, ok := file.([]any); ok {
			c.arrays(path, a, b)
			return
		}
	default:
		switch file.(type) {
		case map[string]any, []any:
		default:
			if catalog == file {
				return
			}
		}
	}
	c.differ(path, catalog, file)
}

func (c comparison) objects(path string, catalog, file map[string]any) {
	names := slices.Collect(maps.Keys(catalog))
	for name := range file {
		if _, both := catalog[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		a, inCatalog := catalog[name]
		b, inFile := file[name]
		switch at := path + "/" + name; {
		case !inCatalog:
			c.differ(at, absent{}, b)
		case !inFile:
			c.differ(at, a, absent{})
		default:
			c.values(at, a, b)
		}
	}
}

func (c comparison) arrays(path string, catalog, file []any) {
	for i := range max(len(catalog), len(file)) {
		switch at := path + "/" + strconv.Itoa(i); {
		case i >= len(catalog):
			c.differ(at, absent{}, file[i])
		case i >= len(file):
			c.differ(at, catalog[i], absent{})
		default:
			c.values(at, catalog[i], file[i])
		}
	}
}

// RebuildTable makes a table's metadata in the catalog anew of the file that the
// table points to, and returns how the two differed before.
func (c *Catalog) RebuildTable(ctx context.Context, ch Change, warehouse string, id Identifier) (*Verification, error) {
	if err := CheckIdentifier(id); err != nil {
		return nil, err
	}
	var made *Verification
	answer, err := c.changeIn(ctx, ch, warehouse, state.TableKey(warehouse, id.Namespace, id.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		e, err := find(v, wh, id)
		if err != nil {
			return nil, err
		}
		file, leave, err := c.readTable(ctx, wh, e.record.MetadataLocation)
		if err != nil {
			return nil, err
		}
		defer leave()
		before := &Verification{MetadataLocation: e.record.MetadataLocation}
		if err := compareWithFile(v, e, file, before); err != nil {
			return nil, err
		}
		p, err := c.planRebuild(v, wh, id, e, file)
		if err != nil {
			return nil, err
		}
		p.then(func(res command.Result) {
			before.Revision, before.Index = res.Revision, res.Index
			made = before
		})
		return p, nil
	})
	if err != nil {
		return nil, withoutConflict(id, err)
	}
	if answer != nil {
		return c.VerifyTable(ctx, Read{Consistency: Linearizable}, warehouse, id)
	}
	return made, nil
}

// planRebuild replaces head and parts. The record is written anew for its
// revision: what nodes keep ready is of the one before.
func (c *Catalog) planRebuild(v *state.View, wh *WarehouseInfo, id Identifier, e *entry, file *iceberg.Table) (*plan, error) {
	if e.record.Uuid != "" && file.UUID() != e.record.Uuid {
		return nil, refuse(KindInvalid, "Metadata file %s is of another table: its table-uuid is %q and not %q", e.record.MetadataLocation, file.UUID(), e.record.Uuid)
	}
	places, err := file.Locations()
	if err != nil {
		return nil, badMetadata(err)
	}
	if err := confineAll(wh, places); err != nil {
		return nil, err
	}
	parts := file.Parts()
	if size := partsSize(parts); size > maxTransactionBytes {
		return nil, refuse(KindTooLarge, "The table's metadata is too large to be rebuilt at once: %d bytes, at most %d are possible; register %s with overwrite instead", size, maxTransactionBytes, e.record.MetadataLocation)
	}
	p := &plan{outcome: tableAnswer(e.record)}
	p.require(command.KeyUnchanged(e.key, e.revision))
	location, err := c.planMove(v, p, wh, e.record, file.Location())
	if err != nil {
		return nil, err
	}
	e.record.Location = location
	old := state.PartsOf(e.record.Id)
	p.write(command.DeleteKeys(old.Start, old.End))
	writeParts(p, e.record.Id, file, iceberg.Changes{Put: parts})
	if err := p.putRecord(e.key, e.record); err != nil {
		return nil, err
	}
	p.tell(tableEvent("table.rebuild", wh, id, e.record))
	return p, nil
}
