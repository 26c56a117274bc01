package command

// KeyAbsent is the precondition that there is no live value under key.
func KeyAbsent(key []byte) *Precondition {
	return &Precondition{Kind: &Precondition_Absent{Absent: key}}
}

// KeyPresent is the precondition that there is a live value under key.
func KeyPresent(key []byte) *Precondition {
	return &Precondition{Kind: &Precondition_Present{Present: key}}
}

// KeyUnchanged is the precondition that the value under key was written by
// exactly this revision.
func KeyUnchanged(key []byte, revision uint64) *Precondition {
	return &Precondition{Kind: &Precondition_AtRevision{AtRevision: &KeyAtRevision{Key: key, Revision: revision}}}
}

// RangeEmpty is the precondition that no key k with start <= k < end has a live value.
func RangeEmpty(start, end []byte) *Precondition {
	return &Precondition{Kind: &Precondition_RangeEmpty{RangeEmpty: &Range{Start: start, End: end}}}
}

// PutValue writes a value that stays until it is deleted.
func PutValue(key, value []byte) *Write { return PutExpiring(key, value, 0) }

// PutExpiring writes a value that counts as absent from a moment of replicated
// time on, in milliseconds since the Unix epoch; 0 is never.
func PutExpiring(key, value []byte, expiresMs uint64) *Write {
	return &Write{Kind: &Write_Put{Put: &Put{Key: key, Value: value, ExpiresMs: expiresMs}}}
}

// DeleteKey removes a key; a missing one is no error.
func DeleteKey(key []byte) *Write { return &Write{Kind: &Write_Delete{Delete: key}} }

// DeleteKeys removes every key k with start <= k < end.
func DeleteKeys(start, end []byte) *Write {
	return &Write{Kind: &Write_DeleteRange{DeleteRange: &Range{Start: start, End: end}}}
}

// RestoreFrom is the restoring of the snapshot stream that the values under the
// keys k with start <= k < end make up.
func RestoreFrom(start, end []byte) *Restore {
	return &Restore{Stream: &Range{Start: start, End: end}}
}
