package audit

import "time"

// Head is how far the chains of a node's sink have certainly come, as the cluster
// remembers it.
type Head struct {
	Node string `json:"node"`
	Sink string `json:"sink"`
	// Kept is the oldest record that was not deleted as the settings say; 0 is not
	// known.
	Kept uint64    `json:"kept"`
	Runs []RunHead `json:"runs"`
}

// RunHead is the same of what one process wrote.
type RunHead struct {
	Run string `json:"run"`
	// First is its first record, Seq the last one that the cluster remembers.
	First uint64 `json:"first"`
	Seq   uint64 `json:"seq"`
	// Hash is of that record's line.
	Hash string    `json:"hash"`
	Time time.Time `json:"time"`
}
