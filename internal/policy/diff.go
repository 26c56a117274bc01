package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// contextLines is how many equal lines are shown around each difference.
const contextLines = 3

// Diff shows how one text becomes another, as `diff -u` does; "" where they are
// equal. Lines that are in both once anchor it, so that the time grows with the
// texts and not with their product.
func Diff(oldName, oldText, newName, newText string) string {
	if oldText == newText {
		return ""
	}
	edits := editsOf(lines(oldText), lines(newText))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	for from := 0; ; {
		for from < len(edits) && edits[from].mark == ' ' {
			from++
		}
		if from == len(edits) {
			return out.String()
		}
		// The hunk goes on as long as the next difference is near.
		to, equal := from, 0
		for i := from; i < len(edits) && equal <= 2*contextLines; i++ {
			if edits[i].mark == ' ' {
				equal++
				continue
			}
			to, equal = i+1, 0
		}
		writeHunk(&out, edits[max(0, from-contextLines):min(len(edits), to+contextLines)])
		from = to
	}
}

// edit is one line: of both texts (' '), of the old ('-') or of the new one ('+').
type edit struct {
	mark byte
	line string
	// old and new are how many lines of each text come before it.
	old, new int
}

func editsOf(older, newer []string) []edit {
	out := make([]edit, 0, max(len(older), len(newer)))
	i, j := 0, 0
	for _, s := range append(stretches(older, newer), stretch{len(older), len(newer), 0}) {
		for ; i < s.old; i++ {
			out = append(out, edit{'-', older[i], i, j})
		}
		for ; j < s.new; j++ {
			out = append(out, edit{'+', newer[j], i, j})
		}
		for range s.length {
			out = append(out, edit{' ', older[i], i, j})
			i, j = i+1, j+1
		}
	}
	return out
}

func writeHunk(out *strings.Builder, edits []edit) {
	olds, news := 0, 0
	for _, e := range edits {
		if e.mark != '+' {
			olds++
		}
		if e.mark != '-' {
			news++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(edits[0].old, olds), span(edits[0].new, news))
	for _, e := range edits {
		out.WriteByte(e.mark)
		out.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lines are the lines of a text, each with its end.
func lines(text string) []string { return slices.Collect(strings.Lines(text)) }

// span is lines as a hunk's header names them: none by the line before them.
func span(before, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return strconv.Itoa(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}

// stretch is lines that both texts have, one after the other.
type stretch struct{ old, new, length int }

// stretches are the lines that both have, in the order of both, around those that
// each of them has once.
func stretches(older, newer []string) []stretch {
	var out []stretch
	oldDone, newDone := 0, 0 // what is in an earlier stretch, or before it
	take := func(old, new int) {
		if old < oldDone || new < newDone {
			return // inside of the stretch around an earlier anchor
		}
		from := stretch{old, new, 0}
		for from.old > oldDone && from.new > newDone && older[from.old-1] == newer[from.new-1] {
			from.old, from.new = from.old-1, from.new-1
		}
		for from.old+from.length < len(older) && from.new+from.length < len(newer) &&
			older[from.old+from.length] == newer[from.new+from.length] {
			from.length++
		}
		oldDone, newDone = from.old+from.length, from.new+from.length
		if from.length > 0 {
			out = append(out, from)
		}
	}
	take(0, 0) // what both begin with
	for _, a := range anchors(older, newer) {
		take(a.old, a.new)
	}
	take(len(older), len(newer)) // what both end with
	return out
}

// anchors are the lines that both texts have exactly once: of those the most that
// stand in the same order in both.
func anchors(older, newer []string) []stretch {
	type place struct{ old, new, olds, news int }
	places := map[string]*place{}
	at := func(line string) *place {
		p := places[line]
		if p == nil {
			p = &place{}
			places[line] = p
		}
		return p
	}
	for i, line := range older {
		p := at(line)
		p.old, p.olds = i, p.olds+1
	}
	for j, line := range newer {
		p := at(line)
		p.new, p.news = j, p.news+1
	}
	var once []stretch
	for _, line := range older {
		if p := places[line]; p.olds == 1 && p.news == 1 {
			once = append(once, stretch{p.old, p.new, 0})
		}
	}
	return increasing(once)
}

// increasing is the longest run of pairs, given in the order of the old text, that
// is in the order of the new one too.
func increasing(pairs []stretch) []stretch {
	ends := []int{} // by length less one: the pair with the smallest end of a run that long
	before := make([]int, len(pairs))
	for i, p := range pairs {
		length, _ := slices.BinarySearchFunc(ends, p.new, func(end, new int) int { return pairs[end].new - new })
		before[i] = -1
		if length > 0 {
			before[i] = ends[length-1]
		}
		if length == len(ends) {
			ends = append(ends, i)
		} else {
			ends[length] = i
		}
	}
	out := make([]stretch, len(ends))
	if len(ends) == 0 {
		return out
	}
	for i, at := ends[len(ends)-1], len(ends)-1; i >= 0; i, at = before[i], at-1 {
		out[at] = pairs[i]
	}
	return out
}
