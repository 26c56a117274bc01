package archive

import (
	"errors"
	"testing"
)

// FuzzSegment: whatever lies in the store, it is a segment that says of itself what
// it holds, or damaged.
func FuzzSegment(f *testing.F) {
	f.Add([]byte(segmentMagic))
	f.Add([]byte{})
	for _, n := range []int{0, 1, 100} {
		f.Add(append(Header{First: 1, Last: 2, ClusterID: "c", RawBytes: 6}.encode(), make([]byte, n)...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, entries, err := decodeSegment(data)
		if err == nil && uint64(len(entries)) != h.Last-h.First+1 || err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
			t.Fatalf("%d entries of %+v, %v", len(entries), h, err)
		}
	})
}

// FuzzEntries is what a checksum keeps others from: entries that were not written
// so.
func FuzzEntries(f *testing.F) {
	f.Add(uint64(1), uint64(1), []byte{1, 0, 0})
	f.Add(uint64(1), uint64(2), []byte{1, 0, 2, 'a', 'b', 1, 0, 0})
	f.Add(uint64(1), uint64(1<<62), []byte{})
	f.Add(uint64(5), uint64(5), []byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, first, last uint64, raw []byte) {
		if first == 0 || last < first {
			t.Skip("no header is like that")
		}
		entries, err := splitEntries(Header{First: first, Last: last}, raw)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		bytes := 0
		for i, e := range entries {
			if e.Index != first+uint64(i) {
				t.Fatalf("entry %d is %+v", i, e)
			}
			bytes += len(e.Data)
		}
		if uint64(len(entries)) != last-first+1 || bytes > len(raw) {
			t.Fatalf("%d entries with %d bytes of %d", len(entries), bytes, len(raw))
		}
	})
}

// FuzzName: what is taken for a segment's name is the one that it would get.
func FuzzName(f *testing.F) {
	f.Add(Segment{First: 1, Last: 2, Term: 3}.name())
	f.Add("log/" + Segment{First: 1, Last: 1, Encrypted: true}.name())
	f.Add("..-..-...segment")
	f.Fuzz(func(t *testing.T, location string) {
		if s, ok := parseName(location); ok && (s.First == 0 || s.Last < s.First || s.name() == "") {
			t.Fatalf("%q is %+v", location, s)
		}
	})
}
