package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// isTerminal tells whether a person looks at what is written, or types what is read.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

const barWidth = 30

// progress shows how far long work has come: a bar on a terminal, elsewhere a
// line at each tenth.
type progress struct {
	w        io.Writer
	terminal bool
	what     string
	total    int
	done     int
}

// newProgress shows work on total things, which are called what.
func newProgress(w io.Writer, what string, total int) *progress {
	p := &progress{w: w, terminal: isTerminal(w), what: what, total: total}
	if p.terminal {
		p.draw()
	}
	return p
}

// step notes that one more is done.
func (p *progress) step() {
	p.done++
	switch {
	case p.terminal:
		p.draw()
	case p.done*10/p.total > (p.done-1)*10/p.total:
		fmt.Fprintln(p.w, p.text())
	}
}

func (p *progress) text() string { return fmt.Sprintf("%d of %d %s", p.done, p.total, p.what) }

func (p *progress) draw() {
	filled := barWidth
	if p.total > 0 {
		filled = p.done * barWidth / p.total
	}
	fmt.Fprintf(p.w, "\r[%s%s] %s", strings.Repeat("#", filled), strings.Repeat(" ", barWidth-filled), p.text())
}

// end takes the bar away: what comes now is the result.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// byteProgress shows how far work on a stream of bytes has come: a bar on a
// terminal, elsewhere a line for each phase and for each tenth of it.
type byteProgress struct {
	w        io.Writer
	terminal bool
	phase    string
	tenth    int64
}

func newByteProgress(w io.Writer) *byteProgress {
	return &byteProgress{w: w, terminal: isTerminal(w)}
}

// show shows a phase; total is 0 where it is not known.
func (p *byteProgress) show(phase string, done, total int64) {
	if phase == "" {
		phase = "waiting"
	}
	text := phase
	if done > 0 {
		text += " " + sizeText(done)
	}
	tenth := int64(0)
	if total > 0 {
		text += " of " + sizeText(total)
		tenth = done * 10 / total
	}
	switch {
	case p.terminal && total > 0:
		filled := int(done * barWidth / total)
		fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %s", strings.Repeat("#", filled), strings.Repeat(" ", barWidth-filled), text)
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	case phase != p.phase, tenth > p.tenth:
		fmt.Fprintln(p.w, text)
	}
	p.phase, p.tenth = phase, tenth
}

// end takes the bar away: what comes now is the result.
func (p *byteProgress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
