package cluster

import "time"

// Events are called as things happen, for metrics, logs and tests. Each may be
// nil; none may block, they are called on the paths they tell about.
type Events struct {
	// LeaderChanged is called when this node sees another leader, or none ("").
	LeaderChanged func(leaderID string, term uint64)
	// Forwarded is called for each batch of transactions sent to the leader;
	// result is "ok", "not_leader", "busy" or "broken".
	Forwarded func(result string, transactions int, took time.Duration)
	// Proposed is called on the leader for each entry that was put in the log.
	Proposed func(transactions int, bytes int, took time.Duration, err error)
	// Applied is called for each batch of entries that the state machine applied.
	Applied func(entries int, took time.Duration)
	// ReadIndex is called for each question to the leader.
	ReadIndex func(took time.Duration, err error)
	// SnapshotTaken is called after each snapshot.
	SnapshotTaken func(bytes int64, took time.Duration, err error)
	// LogStoreFailed is called when the log could not be written.
	LogStoreFailed func(err error)
	// CertificatesRead is called when the files of certificates were read again; on
	// an error those in force stay.
	CertificatesRead func(err error)
}

func (e *Events) leaderChanged(id string, term uint64) {
	if e.LeaderChanged != nil {
		e.LeaderChanged(id, term)
	}
}

func (e *Events) forwarded(result string, transactions int, took time.Duration) {
	if e.Forwarded != nil {
		e.Forwarded(result, transactions, took)
	}
}

func (e *Events) proposed(transactions, bytes int, took time.Duration, err error) {
	if e.Proposed != nil {
		e.Proposed(transactions, bytes, took, err)
	}
}

func (e *Events) applied(entries int, took time.Duration) {
	if e.Applied != nil {
		e.Applied(entries, took)
	}
}

func (e *Events) readIndex(took time.Duration, err error) {
	if e.ReadIndex != nil {
		e.ReadIndex(took, err)
	}
}

func (e *Events) snapshotTaken(bytes int64, took time.Duration, err error) {
	if e.SnapshotTaken != nil {
		e.SnapshotTaken(bytes, took, err)
	}
}

func (e *Events) logStoreFailed(err error) {
	if e.LogStoreFailed != nil {
		e.LogStoreFailed(err)
	}
}

func (e *Events) certificatesRead(err error) {
	if e.CertificatesRead != nil {
		e.CertificatesRead(err)
	}
}
