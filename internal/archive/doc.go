// Package archive keeps the committed log of a cluster in an object store, between
// and beyond its snapshots, so that its state at any index can be made again.
//
// In the cluster's folder there is one of segments, each of them a run of entries
// without a hole:
//
//	<folder>/log/<first>-<last>-<term>.segment       compressed, checksummed
//	<folder>/log/<first>-<last>-<term>.segment.age   the same, encrypted
//
// first and last are indexes of 20 digits, so that names sort by them; term is that of
// the last entry. Only committed entries are archived, and what is committed at an
// index is the same on every node for good. So no two leaders can write segments
// that contradict each other: a leader that was deposed while it uploaded, or one that
// begins where it does not know what the last one finished, writes some entries
// twice and none wrong. The one exception is a cluster that lost its quorum and was
// recovered by force: it may have lost entries that were archived, and gives their
// indexes again in a higher term. Reading follows the higher term.
package archive
