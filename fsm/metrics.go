package fsm

// Metrics is what operators want to know of the replicated state.
type Metrics struct {
	AppliedIndex, AppliedTerm uint64
	// TimeMs is replicated time.
	TimeMs uint64
	// Revision of the last transaction that wrote something.
	Revision uint64
	// Events is how many there have been since the cluster began.
	Events uint64
	// Halted tells that nothing is applied any more.
	Halted bool

	// DiskBytes is what the state takes on disk, leftovers included.
	DiskBytes uint64
	// MemTableBytes is what would be applied again after a crash.
	MemTableBytes uint64
	// CacheBytes is how full the block cache is.
	CacheBytes             int64
	CacheHits, CacheMisses int64
	// FilterHits is how many reads of missing keys touched no block of a table,
	// FilterMisses how many had to.
	FilterHits, FilterMisses int64
	Flushes, Compactions     int64
	// CompactionDebtBytes is how much is waiting to be compacted.
	CompactionDebtBytes uint64
	Tables              int64
	// ReadAmplification is how many places a read may have to look in.
	ReadAmplification int
	// OpenViews is how many hold on to the state as it was.
	OpenViews int
}

// Metrics returns the present figures.
func (m *Machine) Metrics() (Metrics, error) {
	s, err := m.acquire()
	if err != nil {
		return Metrics{}, err
	}
	defer s.release()
	e := s.db.Metrics()
	p := m.pos.Load()
	total := e.Total()
	return Metrics{
		AppliedIndex:        p.index,
		AppliedTerm:         p.term,
		TimeMs:              p.timeMs,
		Revision:            p.revision,
		Events:              p.events,
		Halted:              m.failure() != nil,
		DiskBytes:           e.DiskSpaceUsage(),
		MemTableBytes:       e.MemTable.Size,
		CacheBytes:          e.BlockCache.Size,
		CacheHits:           e.BlockCache.Hits,
		CacheMisses:         e.BlockCache.Misses,
		FilterHits:          e.Filter.Hits,
		FilterMisses:        e.Filter.Misses,
		Flushes:             e.Flush.Count,
		Compactions:         e.Compact.Count,
		CompactionDebtBytes: e.Compact.EstimatedDebt,
		Tables:              total.TablesCount,
		ReadAmplification:   e.ReadAmp(),
		OpenViews:           e.Snapshots.Count,
	}, nil
}
