package audit

import (
	"encoding/json"
	"slices"
)

// maxRecentBytes bounds the records that are kept in memory.
const maxRecentBytes = 16 << 20

// ring keeps the last records, the oldest first, as they are written: so they hold on
// to nothing of the requests that they are of.
type ring struct {
	most    int
	bytes   int
	records [][]byte
}

func newRing(most int) *ring { return &ring{most: most} }

// add takes a record as an object of JSON; what else is in it is skipped.
func (r *ring) add(record []byte) {
	r.records = append(r.records, record)
	r.bytes += len(record)
	gone := 0
	for len(r.records)-gone > r.most || r.bytes > maxRecentBytes && gone < len(r.records)-1 {
		r.bytes -= len(r.records[gone])
		r.records[gone] = nil
		gone++
	}
	// Appending moves what is left to another place now and then, so what is gone
	// takes no more than the rest does.
	r.records = r.records[gone:]
}

// all are the records of now, the oldest first.
func (r *ring) all() [][]byte { return slices.Clone(r.records) }

// newest calls see with each of these records, the newest first, until it is false.
func newest(records [][]byte, see func(*Record) bool) error {
	for i := len(records) - 1; i >= 0; i-- {
		record := &Record{}
		if err := json.Unmarshal(records[i], record); err != nil {
			return err
		}
		if !see(record) {
			return nil
		}
	}
	return nil
}
