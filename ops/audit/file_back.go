package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"time"
)

// readBack is how much of a file is read at once on the way back.
const readBack = 256 << 10

// back implements kept. The file that is written is opened before the others are
// looked for: put aside meanwhile, it is found among them and known.
func (f *File) back(ctx context.Context, until time.Time, see func(line []byte) bool) error {
	current, err := os.Open(f.opts.Path)
	var known os.FileInfo
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		defer current.Close()
		if known, err = current.Stat(); err != nil {
			return err
		}
	}
	older, err := f.older()
	if err != nil {
		return err
	}
	if current != nil {
		if more, err := backThrough(ctx, current, known.Size(), until, see); err != nil || !more {
			return err
		}
	}
	for _, path := range slices.Backward(older) {
		if more, err := backThroughOlder(ctx, path, known, until, see); err != nil || !more {
			return err
		}
	}
	return nil
}

// backThroughOlder goes back through a file that was put aside, unless it is known.
func backThroughOlder(ctx context.Context, path string, known os.FileInfo, until time.Time, see func([]byte) bool) (more bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil // its time came meanwhile
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if known != nil && os.SameFile(info, known) {
		return true, nil
	}
	return backThrough(ctx, file, info.Size(), until, see)
}

// backThrough calls see with each whole line of a file, the last one first, but for
// those that are later than a moment; more is false once see was.
func backThrough(ctx context.Context, file io.ReaderAt, size int64, until time.Time, see func([]byte) bool) (more bool, err error) {
	end, err := endBefore(ctx, file, size, until)
	if err != nil {
		return false, err
	}
	// rest is the end of a line that begins before what was read, and torn what may
	// stand after the last one.
	var rest []byte
	torn := true
	for end > 0 {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		from := max(0, end-readBack)
		block := make([]byte, end-from, end-from+int64(len(rest)))
		if _, err := io.ReadFull(io.NewSectionReader(file, from, end-from), block); err != nil {
			return false, err
		}
		end = from
		if torn {
			last := bytes.LastIndexByte(block, '\n')
			if last < 0 {
				continue
			}
			block, torn = block[:last], false
		} else {
			block = append(block, rest...)
		}
		for {
			before, line, found := cutLast(block, '\n')
			if !found {
				break
			}
			if !see(line) {
				return false, nil
			}
			block = before
		}
		// A line that is longer than any is none: its end is enough to tell.
		rest = block[:min(len(block), MaxLine+1)]
	}
	return torn || see(rest), nil
}

// endBefore is where the lines of a file end that are not later than a moment; the
// zero time is the file's own end. It is looked for by halves, as lines are in order.
func endBefore(ctx context.Context, file io.ReaderAt, size int64, until time.Time) (int64, error) {
	if until.IsZero() {
		return size, nil
	}
	// The lines before begin are not later, those from end on are.
	begin, end := int64(0), size
	for begin < end {
		middle := begin + (end-begin)/2
		line, next, err := lineFrom(ctx, file, middle, end)
		switch {
		case err != nil:
			return 0, err
		case line != nil && !line.Time.After(until):
			begin = next
		case middle == begin:
			return begin, nil
		default:
			end = middle
		}
	}
	return begin, nil
}

// lineFrom is the first line that begins in a part of a file, and where the next one
// does. What is no line is skipped; nil is that there is none.
func lineFrom(ctx context.Context, file io.ReaderAt, from, to int64) (line *Line, next int64, err error) {
	at := max(0, from-1)
	counted := &counter{in: io.NewSectionReader(file, at, math.MaxInt64-at)}
	in := bufio.NewReaderSize(counted, 16<<10)
	begins := func() int64 { return at + counted.n - int64(in.Buffered()) }
	if from > 0 { // within a line, unless what is before it is a line's end
		if _, _, err := readLine(in); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
	}
	for begins() < to {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		raw, whole, err := readLine(in)
		if errors.Is(err, io.EOF) || err == nil && !whole {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if line, err := ParseLine(raw); err == nil {
			return line, begins(), nil
		}
	}
	return nil, 0, nil
}

type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}
