package state

import (
	"bytes"
	"slices"
)

// SpaceDataKey is the keys that seal secrets of the state, and who seals any.
const SpaceDataKey Space = 0x3C

// DataKeyIDBytes is the length of a data key's id.
const DataKeyIDBytes = 16

// What is kept of data keys.
const (
	dataKeyItself = 0x00
	dataKeySeals  = 0x01
	dataKeyKind   = 0x02
)

// DataKeyKey is where a data key is kept.
func DataKeyKey(id []byte) []byte {
	return append([]byte{byte(SpaceDataKey), dataKeyItself}, id...)
}

// DataKeySealsKey tells of a data key that it is the one to seal with. There is at most
// one of which that is told. A change that brings in something sealed takes it as a
// precondition: what other keys sealed comes to its end.
func DataKeySealsKey(id []byte) []byte {
	return append([]byte{byte(SpaceDataKey), dataKeySeals}, id...)
}

// DataKeysThatSeal is the range of what tells which data key is the one to seal with.
func DataKeysThatSeal() KeyRange { return prefixRange([]byte{byte(SpaceDataKey), dataKeySeals}) }

// SealedKindKey tells that there may be sealed secrets of a kind. It stays: a program
// that does not know the kind must not forget a data key.
func SealedKindKey(kind string) []byte {
	return appendName([]byte{byte(SpaceDataKey), dataKeyKind}, kind)
}

// DataKeys is what a state has of data keys.
type DataKeys struct {
	// Keys are in the order of their ids.
	Keys []*DataKey
	// Seals is the id of the one to seal with; nil is that there is none yet.
	Seals []byte
	// Kinds are the kinds of secrets that may be sealed.
	Kinds []string
}

// Find returns a data key by its id.
func (k *DataKeys) Find(id []byte) (*DataKey, bool) {
	i := slices.IndexFunc(k.Keys, func(rec *DataKey) bool { return bytes.Equal(rec.GetId(), id) })
	if i < 0 {
		return nil, false
	}
	return k.Keys[i], true
}

// DataKeys returns all data keys: there are few.
func (v *View) DataKeys() (*DataKeys, error) {
	out := &DataKeys{}
	var failed error
	err := v.Scan(SpaceRange(SpaceDataKey), func(key []byte, value Value) bool {
		failed = out.add(key, value)
		return failed == nil
	})
	if err != nil {
		return nil, err
	}
	return out, failed
}

func (k *DataKeys) add(key []byte, value Value) error {
	if len(key) < 2 {
		return ErrBadKey
	}
	switch key[1] {
	case dataKeyItself:
		rec := &DataKey{}
		if err := Decode(value, rec); err != nil {
			return err
		}
		k.Keys = append(k.Keys, rec)
	case dataKeySeals:
		k.Seals = bytes.Clone(key[2:])
	case dataKeyKind:
		kind, rest, err := cutName(key[2:])
		if err != nil || len(rest) > 0 {
			return ErrBadKey
		}
		k.Kinds = append(k.Kinds, kind)
	}
	return nil
}
