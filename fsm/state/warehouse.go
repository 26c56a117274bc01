package state

// SpaceWarehouses is what is kept of all warehouses together.
const SpaceWarehouses Space = 0x32

// WarehousesChangedKey changes with each change of any warehouse: whoever judges by all
// of them requires that it has not.
func WarehousesChangedKey() []byte { return []byte{byte(SpaceWarehouses)} }

// NamespacesOf is the range of all namespaces of a warehouse, however deep.
func NamespacesOf(warehouse string) KeyRange {
	return prefixRange(appendName([]byte{byte(SpaceNamespace)}, warehouse))
}
