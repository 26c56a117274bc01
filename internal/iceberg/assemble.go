package iceberg

// Assembler makes a document of a stored head and its parts, without parsing
// what it only passes on: it is for loads straight from the store.
type Assembler struct {
	dst    []byte
	list   List // the array that is being written
	empty  bool // nothing is in it yet
	wanted map[int64]struct{}
	err    error
}

// Assemble begins a document. With refsOnly it leaves out snapshots that no
// branch or tag refers to directly.
func Assemble(storedHead []byte, refsOnly bool) (*Assembler, error) {
	_, members, ok := splitHead(storedHead)
	if !ok {
		return nil, corrupt(invalidf("Stored head has no ordinals: %s", excerpt(storedHead)))
	}
	a := &Assembler{dst: make([]byte, 0, 2*len(members)+1024)}
	if refsOnly {
		h, err := readStoredHead(storedHead)
		if err != nil {
			return nil, corrupt(err)
		}
		a.wanted = h.referred()
	}
	a.dst = append(append(a.dst, '{'), members...)
	a.begin(Snapshots)
	return a, nil
}

// referred is the snapshots that a branch or tag refers to directly. Before
// there were references, the current snapshot was all there was.
func (h *head) referred() map[int64]struct{} {
	wanted := make(map[int64]struct{}, len(h.refs)+1)
	for _, ref := range h.refs {
		wanted[ref.SnapshotID] = struct{}{}
	}
	if !h.hasRefs && h.currentSnapshotID != noSnapshot {
		wanted[h.currentSnapshotID] = struct{}{}
	}
	return wanted
}

func (a *Assembler) begin(l List) {
	a.dst = append(append(append(a.dst, ',', '"'), listNames[l]...), `":[`...)
	a.list, a.empty = l, true
}

func (a *Assembler) beginUpTo(l List) {
	for a.list < l {
		a.dst = append(a.dst, ']')
		a.begin(a.list + 1)
	}
}

// Add adds a part. Parts come sorted by list and ordinal. The bytes are copied.
func (a *Assembler) Add(l List, raw []byte) {
	switch {
	case a.err != nil:
		return
	case l < a.list || l > numLists:
		a.err = corrupt(invalidf("Stored part of %s after one of %s", l, a.list))
		return
	}
	a.beginUpTo(l)
	if l == Snapshots && a.wanted != nil {
		id, err := snapshotIDOf(raw)
		if err != nil {
			a.err = corrupt(err)
			return
		}
		if _, ok := a.wanted[id]; !ok {
			return
		}
	}
	if !a.empty {
		a.dst = append(a.dst, ',')
	}
	a.empty = false
	a.dst = append(a.dst, raw...)
}

// Document ends the document and gives it.
func (a *Assembler) Document() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	a.beginUpTo(numLists)
	return append(a.dst, ']', '}'), nil
}

// snapshotIDOf reads no more of a snapshot than it needs: the id is among the
// first members.
func snapshotIDOf(raw []byte) (int64, error) {
	for c := walkObject(raw); c.next(); {
		if string(c.key) != "snapshot-id" {
			continue
		}
		if id, ok := decodeInt(c.val, 64); ok {
			return id, nil
		}
		break
	}
	return 0, invalidf("Stored snapshot has no id: %s", excerpt(raw))
}
