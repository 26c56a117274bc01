package ops

import (
	"bytes"
	"io"
	"sync"
)

// Tail passes log lines on and keeps the last of them, for whoever looks into a
// failure later.
type Tail struct {
	to    io.Writer
	limit int

	mu    sync.Mutex
	lines [][]byte
	size  int
}

// NewTail makes a tail that keeps at most limit bytes. Each line is one Write.
func NewTail(to io.Writer, limit int) *Tail { return &Tail{to: to, limit: limit} }

// Write implements io.Writer.
func (t *Tail) Write(line []byte) (int, error) {
	t.keep(line)
	return t.to.Write(line)
}

func (t *Tail) keep(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(line) > t.limit {
		line = line[:t.limit]
	}
	t.lines = append(t.lines, bytes.Clone(line))
	t.size += len(line)
	gone := 0
	for t.size > t.limit {
		t.size -= len(t.lines[gone])
		t.lines[gone] = nil
		gone++
	}
	t.lines = t.lines[gone:]
}

// Bytes is what is kept, the oldest line first.
func (t *Tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Join(t.lines, nil)
}
