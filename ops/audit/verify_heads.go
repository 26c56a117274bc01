package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// compare holds what was read against what the cluster remembers.
func (v *verifier) compare(heads []Head) {
	for _, node := range slices.Sorted(maps.Keys(v.nodes)) {
		c := v.nodes[node]
		if heads == nil {
			v.note("node %s: without what the cluster remembers nothing is known of records that were cut off after %d, or of a log that was written anew as a whole", node, c.seq)
			if c.report.First > 1 {
				v.note("node %s: records 1 to %d are not in these files", node, c.report.First-1)
			}
		}
		v.provenTo(c)
		v.report.Nodes = append(v.report.Nodes, c.report)
	}
	for i := range heads {
		v.compareHead(&heads[i])
	}
}

// provenTo finds out how far a node's log is vouched for: a run that the cluster
// knows vouches for all before it, since its first record follows them.
func (v *verifier) provenTo(c *nodeChain) {
	for i := len(c.runs) - 1; i >= 0; i-- {
		if known := v.runs[c.runs[i]]; known != nil && known.matched {
			c.report.ProvenTo = known.run.Seq
			break
		}
	}
}

// compareHead looks for what should be there of a node's sink.
func (v *verifier) compareHead(h *Head) {
	c := v.nodes[h.Node]
	if c == nil {
		v.note("node %s, %s: none of its records are in these files", h.Node, h.Sink)
		return
	}
	ours := slices.ContainsFunc(h.Runs, func(r RunHead) bool { return v.runs[r.Run].last > 0 })
	if !ours {
		if h.Sink == fileSink {
			v.find(Finding{Node: h.Node, Problem: "none of the records that the cluster remembers of its file are here: the log was written anew, or these are other files"})
		} else {
			v.note("node %s: what it wrote to %s is not in these files", h.Node, h.Sink)
		}
		return
	}
	if h.Kept > 0 && c.report.First > h.Kept {
		v.find(Finding{Node: h.Node, Seq: c.report.First, Problem: fmt.Sprintf("records %d to %d, before this one, are missing: they were not deleted as the settings say", h.Kept, c.report.First-1)})
	}
	for i := range h.Runs {
		known := v.runs[h.Runs[i].Run]
		switch r := known.run; {
		case known.matched || known.wrong || r.Seq < h.Kept || r.Seq < c.report.First && h.Kept == 0:
		case known.last == 0:
			v.find(Finding{Node: h.Node, Seq: r.First, Problem: fmt.Sprintf("records %d to %d of the process %s, which the cluster remembers, are missing", r.First, r.Seq, r.Run)})
		case known.last < r.Seq:
			v.find(Finding{Node: h.Node, Seq: known.last, Problem: fmt.Sprintf("records %d to %d, after this one, are missing: the cluster remembers the process %s up to there", known.last+1, r.Seq, r.Run)})
		default:
			v.find(Finding{Node: h.Node, Seq: r.Seq, Problem: "this record, which the cluster remembers, is missing"})
		}
	}
	v.tail(c)
}

// tail tells of what nobody vouches for yet.
func (v *verifier) tail(c *nodeChain) {
	if c.report.Last > c.report.ProvenTo {
		v.note("node %s: records %d to %d came after the last one that the cluster remembers: what was cut off behind them would not be noticed", c.report.Node, c.report.ProvenTo+1, c.report.Last)
	}
	var unknown []string
	for _, run := range c.runs {
		if v.runs[run] == nil {
			unknown = append(unknown, run)
		}
	}
	if len(unknown) > 0 {
		v.note("node %s: the cluster remembers nothing of the processes %s: they ended too soon, or were never there", c.report.Node, strings.Join(unknown, ", "))
	}
}
