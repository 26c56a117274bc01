package iceberg

import (
	"slices"
	"strings"
)

// lastAdded stands in requests for what was added last in the same request.
const lastAdded = -1

func checkFormatVersion(version int) error {
	if version > maxFormatVersion {
		return unsupportedf("Cannot upgrade table to unsupported format version: v%d (supported: v%d)", version, maxFormatVersion)
	}
	if version < 1 {
		return invalidf("Invalid format version: %d", version)
	}
	return nil
}

func (b *builder) assignUUID(uuid string) error {
	if strings.EqualFold(b.uuid, uuid) {
		return nil
	}
	if b.base != nil && b.base.uuid != "" {
		// The UUID is how everything else knows the table.
		return invalidf("Cannot reassign uuid")
	}
	b.uuid, b.changed = uuid, true
	return nil
}

func (b *builder) upgrade(version int) error {
	if err := checkFormatVersion(version); err != nil {
		return err
	}
	if version < b.formatVersion {
		return invalidf("Cannot downgrade v%d table to v%d", b.formatVersion, version)
	}
	if version > b.formatVersion {
		b.formatVersion, b.changed = version, true
	}
	return nil
}

func (b *builder) addSchema(schema *Schema) error {
	body, err := schema.parsed()
	if err != nil {
		return err
	}
	if err := body.checkVersion(b.formatVersion); err != nil {
		return err
	}
	id, known, err := schemaID(b.schemas, body, b.currentSchemaID)
	if err != nil {
		return err
	}
	b.lastSchemaID = &id
	if known {
		return nil
	}
	b.schemas = append(slices.Clip(b.schemas), schema.withID(id))
	b.lastColumnID = max(b.lastColumnID, body.highest)
	b.changed = true
	return nil
}

// schemaID is the id of the schema that says the same, if there is one, and else
// the one that a new schema gets: above all others, and not below lowest.
func schemaID(schemas []*Schema, body *schemaBody, lowest int) (id int, known bool, err error) {
	id = lowest
	for _, s := range schemas {
		other, err := s.parsed()
		if err != nil {
			return 0, false, err
		}
		if other.same(body) {
			return s.id, true, nil
		}
		id = max(id, s.id+1)
	}
	if id > maxInt32 {
		return 0, false, invalidf("Cannot add schema: no schema ids are left")
	}
	return id, false, nil
}

// maxInt32 is the highest id that readers can hold.
const maxInt32 = 1<<31 - 1

func (b *builder) setCurrentSchema(id int) error {
	if id == lastAdded {
		if b.lastSchemaID == nil {
			return invalidf("Cannot set last added schema: no schema has been added")
		}
		id = *b.lastSchemaID
	}
	if b.schema(id) == nil {
		return invalidf("Cannot set current schema to unknown schema: %d", id)
	}
	if id != b.currentSchemaID {
		b.currentSchemaID, b.changed, b.rebound = id, true, true
	}
	return nil
}

func (b *builder) addSpec(spec *PartitionSpec) error {
	if b.currentSchema() == nil {
		return invalidf("Attempting to add a partition spec before a schema is added")
	}
	schema, err := b.currentSchema().parsed()
	if err != nil {
		return err
	}
	id := 0
	for _, s := range b.specs {
		if s.compatible(spec) {
			b.lastSpecID = &s.ID
			return nil
		}
		id = max(id, s.ID+1)
	}
	if id > maxInt32 {
		return invalidf("Cannot add partition spec: no spec ids are left")
	}
	fields, err := b.numberFields(spec)
	if err != nil {
		return err
	}
	added := newSpec(id, fields)
	if err := added.check(schema); err != nil {
		return err
	}
	if b.formatVersion == 1 && !added.sequential() {
		return invalidf("Spec does not use sequential IDs that are required in v1: [%s]", describe(added.Fields))
	}
	b.specs = append(slices.Clip(b.specs), added)
	b.lastPartitionID = max(b.lastPartitionID, added.lastFieldID())
	b.lastSpecID, b.changed = &id, true
	return nil
}

func describe(fields []PartitionField) string {
	texts := make([]string, len(fields))
	for i := range fields {
		texts[i] = fields[i].String()
	}
	return strings.Join(texts, ", ")
}

// numberFields gives ids to the fields of a spec that has none. A field that
// derives the same values as an earlier one is the same field and has its id;
// in version 1 ids are positions.
func (b *builder) numberFields(spec *PartitionSpec) ([]PartitionField, error) {
	if spec.bound {
		for i := range spec.Fields {
			if f := &spec.Fields[i]; f.FieldID < firstPartitionFieldID {
				return nil, invalidf("Invalid partition field id, must be at least %d: %s", firstPartitionFieldID, f)
			}
		}
		return spec.Fields, nil
	}
	if b.formatVersion == 1 {
		return spec.numbered().Fields, nil
	}
	known := map[string]int{}
	for _, s := range b.specs {
		for i := range s.Fields {
			f := &s.Fields[i]
			known[f.derivation()] = max(known[f.derivation()], f.FieldID)
		}
	}
	fields := slices.Clone(spec.Fields)
	last := max(b.lastPartitionID, firstPartitionFieldID-1)
	for i := range fields {
		id, ok := known[fields[i].derivation()]
		if ok {
			delete(known, fields[i].derivation())
		} else {
			if last == maxInt32 {
				return nil, invalidf("Cannot add partition spec: no partition field ids are left")
			}
			last++
			id = last
		}
		fields[i].FieldID = id
	}
	return fields, nil
}

func (b *builder) setDefaultSpec(id int) error {
	if id == lastAdded {
		if b.lastSpecID == nil {
			return invalidf("Cannot set last added spec: no spec has been added")
		}
		id = *b.lastSpecID
	}
	if b.spec(id) == nil {
		return invalidf("Cannot set default partition spec to unknown spec: %d", id)
	}
	if id != b.defaultSpecID {
		b.defaultSpecID, b.changed, b.rebound = id, true, true
	}
	return nil
}

func (b *builder) addSortOrder(order *SortOrder) error {
	if b.currentSchema() == nil {
		return invalidf("Attempting to add a sort order before a schema is added")
	}
	schema, err := b.currentSchema().parsed()
	if err != nil {
		return err
	}
	id := 1
	for _, o := range b.sortOrders {
		if o.same(order) {
			b.lastOrderID = &o.ID
			return nil
		}
		id = max(id, o.ID+1)
	}
	if id > maxInt32 {
		return invalidf("Cannot add sort order: no order ids are left")
	}
	if err := order.check(schema); err != nil {
		return err
	}
	added := newSortOrder(id, order.Fields)
	b.sortOrders = append(slices.Clip(b.sortOrders), added)
	b.lastOrderID, b.changed = &added.ID, true
	return nil
}

func (b *builder) setDefaultSortOrder(id int) error {
	if id == lastAdded {
		if b.lastOrderID == nil {
			return invalidf("Cannot set last added sort order: no sort order has been added")
		}
		id = *b.lastOrderID
	}
	if b.sortOrder(id) == nil {
		return invalidf("Cannot set default sort order to unknown order: %d", id)
	}
	if id != b.defaultSortOrderID {
		b.defaultSortOrderID, b.changed, b.rebound = id, true, true
	}
	return nil
}

func (b *builder) removeSpecs(ids []int) error {
	if slices.Contains(ids, b.defaultSpecID) {
		return invalidf("Cannot remove the default partition spec")
	}
	if len(ids) > 0 {
		b.specs = slices.DeleteFunc(slices.Clone(b.specs), func(s *PartitionSpec) bool { return slices.Contains(ids, s.ID) })
		b.changed = true
		b.forget(&b.lastSpecID, ids)
	}
	return nil
}

func (b *builder) removeSchemas(ids []int) error {
	if slices.Contains(ids, b.currentSchemaID) {
		return invalidf("Cannot remove the current schema")
	}
	if len(ids) > 0 {
		b.schemas = slices.DeleteFunc(slices.Clone(b.schemas), func(s *Schema) bool { return slices.Contains(ids, s.id) })
		b.changed = true
		b.forget(&b.lastSchemaID, ids)
	}
	return nil
}

// forget clears a last added id that was removed again.
func (b *builder) forget(last **int, ids []int) {
	if *last != nil && slices.Contains(ids, **last) {
		*last = nil
	}
}

func (b *builder) setLocation(location string) {
	if b.location != location {
		b.location, b.changed = location, true
	}
}

func (b *builder) setProperties(set map[string]string) {
	for name, value := range set {
		if isReserved(name) {
			continue
		}
		b.ownProperties()
		b.properties[name] = value
		b.changed = true
	}
}

func (b *builder) removeProperties(names []string) {
	for _, name := range names {
		b.ownProperties()
		delete(b.properties, name)
		b.changed = true
	}
}

func (b *builder) addEncryptionKey(key encryptionKey) {
	if !slices.ContainsFunc(b.encryptionKeys, func(k encryptionKey) bool { return k.id == key.id }) {
		b.encryptionKeys = append(slices.Clip(b.encryptionKeys), key)
		b.changed = true
	}
}

func (b *builder) removeEncryptionKey(id string) {
	kept := slices.DeleteFunc(slices.Clone(b.encryptionKeys), func(k encryptionKey) bool { return k.id == id })
	if len(kept) != len(b.encryptionKeys) {
		b.encryptionKeys, b.changed = kept, true
	}
}
