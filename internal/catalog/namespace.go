package catalog

import (
	"context"
	"maps"
	"slices"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/storage"
)

// locationProperty is the property that shows and sets where a namespace's tables go.
const locationProperty = "location"

// Limits of names and properties: far above what people use, and low enough
// that no request fills the log.
const (
	maxNamespaceDepth  = 32
	maxNameBytes       = 512
	maxPropertiesBytes = 1 << 20
)

func checkNamespace(path Namespace) error {
	if len(path) == 0 {
		return refuse(KindInvalid, "Invalid namespace: it must have at least one level")
	}
	if len(path) > maxNamespaceDepth {
		return refuse(KindInvalid, "Invalid namespace: %d levels, at most %d are possible", len(path), maxNamespaceDepth)
	}
	for _, name := range path {
		if err := checkName("namespace level", name); err != nil {
			return err
		}
	}
	return nil
}

// checkName refuses only what no client can mean: released clients send slashes,
// dots, spaces and percent signs.
func checkName(what, name string) error {
	if name == "" {
		return refuse(KindInvalid, "Invalid %s: it is empty", what)
	}
	if len(name) > maxNameBytes {
		return refuse(KindInvalid, "Invalid %s: %d bytes, at most %d are possible", what, len(name), maxNameBytes)
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7F || r == '\uFFFD' {
			return refuse(KindInvalid, "Invalid %s %q: control characters and invalid UTF-8 are not allowed", what, name)
		}
	}
	return nil
}

func checkProperties(properties map[string]string) error {
	size := 0
	for k, v := range properties {
		if k == "" {
			return refuse(KindInvalid, "Invalid property: its key is empty")
		}
		size += len(k) + len(v)
	}
	if size > maxPropertiesBytes {
		return refuse(KindInvalid, "Invalid properties: %d bytes in all, at most %d are possible", size, maxPropertiesBytes)
	}
	return nil
}

// NoSuchNamespace is the refusal where a namespace does not exist.
func NoSuchNamespace(path Namespace) error {
	return refuse(KindNoSuchNamespace, "Namespace does not exist: %s", path)
}

func (c *Catalog) namespace(v *state.View, warehouse string, path Namespace) (*state.Namespace, uint64, error) {
	rec, rev, ok, err := v.Namespace(warehouse, path)
	if err != nil {
		return nil, 0, broken(err)
	}
	if !ok {
		return nil, 0, NoSuchNamespace(path)
	}
	return rec, rev, nil
}

func namespaceInfo(rec *state.Namespace, rev, index uint64) *NamespaceInfo {
	props := maps.Clone(rec.Properties)
	if props == nil {
		props = make(map[string]string, 1)
	}
	props[locationProperty] = rec.Location
	return &NamespaceInfo{Path: rec.Path, Properties: props, Revision: rev, Index: index}
}

// defaultNamespaceLocation is where a namespace's tables go unless its creator
// said otherwise: below the parent's, under the name.
func (c *Catalog) defaultNamespaceLocation(v *state.View, wh *WarehouseInfo, path Namespace) (string, error) {
	base := wh.Root
	if parent := path[:len(path)-1]; len(parent) > 0 {
		rec, _, err := c.namespace(v, wh.Name, parent)
		if err != nil {
			return "", err
		}
		base = rec.Location
	}
	return storage.Join(base, path[len(path)-1]), nil
}

// namespaceLocation is where a namespace's tables are to go: as its properties
// ask, or the default.
func (c *Catalog) namespaceLocation(v *state.View, wh *WarehouseInfo, path Namespace, requested string) (string, error) {
	if requested == "" {
		return c.defaultNamespaceLocation(v, wh, path)
	}
	return confine(wh, requested)
}

// CreateNamespace makes a namespace; its parent must exist.
func (c *Catalog) CreateNamespace(ctx context.Context, ch Change, warehouse string, path Namespace, properties map[string]string) (*NamespaceInfo, error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	if err := checkProperties(properties); err != nil {
		return nil, err
	}
	var made *NamespaceInfo
	answer, err := c.changeIn(ctx, ch, warehouse, state.NamespaceKey(warehouse, path), func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		p := &plan{}
		if parent := path[:len(path)-1]; len(parent) > 0 {
			if _, _, err := c.namespace(v, wh.Name, parent); err != nil {
				return nil, err
			}
			p.require(command.KeyPresent(state.NamespaceKey(wh.Name, parent)))
		}
		key := state.NamespaceKey(wh.Name, path)
		if _, ok, err := v.Get(key); err != nil {
			return nil, broken(err)
		} else if ok {
			return nil, refuse(KindAlreadyExists, "Namespace already exists: %s", path)
		}
		p.require(command.KeyAbsent(key))
		rec := &state.Namespace{Path: path, Properties: maps.Clone(properties), CreatedMs: c.log.NowMs()}
		delete(rec.Properties, locationProperty)
		location, err := c.namespaceLocation(v, wh, path, properties[locationProperty])
		if err != nil {
			return nil, err
		}
		rec.Location = location
		if err := p.putRecord(key, rec); err != nil {
			return nil, err
		}
		p.tell(&state.Event{Kind: "namespace.create", Warehouse: wh.Name, Namespace: path})
		p.outcome = &state.Answer{Outcome: &state.Answer_Namespace{Namespace: rec}}
		p.applied = func(res command.Result) { made = namespaceInfo(rec, res.Revision, res.Index) }
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return namespaceInfo(answer.GetNamespace(), 0, c.proposed.Load()), nil
	}
	return made, nil
}

// LoadNamespace returns a namespace with its properties.
func (c *Catalog) LoadNamespace(ctx context.Context, read Read, warehouse string, path Namespace) (*NamespaceInfo, error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	rec, rev, err := c.namespace(v, wh.Name, path)
	if err != nil {
		return nil, err
	}
	return namespaceInfo(rec, rev, v.Index), nil
}

// DropNamespace removes an empty namespace and returns the log index that did it.
func (c *Catalog) DropNamespace(ctx context.Context, ch Change, warehouse string, path Namespace) (uint64, error) {
	if err := checkNamespace(path); err != nil {
		return 0, err
	}
	_, err := c.changeIn(ctx, ch, warehouse, state.NamespaceKey(warehouse, path), func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		_, rev, err := c.namespace(v, wh.Name, path)
		if err != nil {
			return nil, err
		}
		p := &plan{}
		for _, inside := range []state.KeyRange{
			state.ChildNamespaces(wh.Name, path), state.TablesOf(wh.Name, path), state.ViewsOf(wh.Name, path),
		} {
			empty, err := v.Empty(inside)
			if err != nil {
				return nil, broken(err)
			}
			if !empty {
				return nil, refuse(KindNotEmpty, "Namespace %s is not empty", path)
			}
			p.require(command.RangeEmpty(inside.Start, inside.End))
		}
		key := state.NamespaceKey(wh.Name, path)
		p.require(command.KeyUnchanged(key, rev))
		p.write(command.DeleteKey(key))
		p.tell(&state.Event{Kind: "namespace.drop", Warehouse: wh.Name, Namespace: path})
		p.outcome = doneAnswer()
		return p, nil
	})
	return c.proposed.Load(), err
}

// UpdateNamespaceProperties removes and sets properties; other properties, and
// changes of other keys by others at the same time, stay.
func (c *Catalog) UpdateNamespaceProperties(ctx context.Context, ch Change, warehouse string, path Namespace, removals []string, updates map[string]string) (*PropertiesChange, error) {
	if err := checkNamespace(path); err != nil {
		return nil, err
	}
	for _, key := range removals {
		if _, both := updates[key]; both {
			return nil, refuse(KindUnprocessable, "Invalid properties: %s is both set and removed", key)
		}
	}
	var made *PropertiesChange
	answer, err := c.changeIn(ctx, ch, warehouse, state.NamespaceKey(warehouse, path), func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		rec, rev, err := c.namespace(v, wh.Name, path)
		if err != nil {
			return nil, err
		}
		done := &state.PropertiesChange{}
		if rec.Properties == nil {
			rec.Properties = make(map[string]string)
		}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(removals))) {
			if err := c.removeProperty(v, wh, rec, key, done); err != nil {
				return nil, err
			}
		}
		for _, key := range slices.Sorted(maps.Keys(updates)) {
			done.Updated = append(done.Updated, key)
			if key != locationProperty {
				rec.Properties[key] = updates[key]
				continue
			}
			if rec.Location, err = confine(wh, updates[key]); err != nil {
				return nil, err
			}
		}
		if err := checkProperties(rec.Properties); err != nil {
			return nil, err
		}
		p := &plan{}
		key := state.NamespaceKey(wh.Name, path)
		p.require(command.KeyUnchanged(key, rev))
		if err := p.putRecord(key, rec); err != nil {
			return nil, err
		}
		p.tell(&state.Event{Kind: "namespace.properties", Warehouse: wh.Name, Namespace: path})
		p.outcome = &state.Answer{Outcome: &state.Answer_Properties{Properties: done}}
		p.applied = func(res command.Result) { made = propertiesChange(done, res.Index) }
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return propertiesChange(answer.GetProperties(), c.proposed.Load()), nil
	}
	return made, nil
}

// removeProperty takes a property away; without a location of its own a
// namespace goes back to the default one.
func (c *Catalog) removeProperty(v *state.View, wh *WarehouseInfo, rec *state.Namespace, key string, done *state.PropertiesChange) (err error) {
	if key == locationProperty {
		done.Removed = append(done.Removed, key)
		rec.Location, err = c.defaultNamespaceLocation(v, wh, rec.Path)
		return err
	}
	if _, ok := rec.Properties[key]; !ok {
		done.Missing = append(done.Missing, key)
		return nil
	}
	delete(rec.Properties, key)
	done.Removed = append(done.Removed, key)
	return nil
}

func propertiesChange(done *state.PropertiesChange, index uint64) *PropertiesChange {
	return &PropertiesChange{Updated: done.Updated, Removed: done.Removed, Missing: done.Missing, Index: index}
}
