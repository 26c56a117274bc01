package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// lookBack is how much of a file's end is looked at to find its last line.
const lookBack = 2 * MaxLine

// lineStart is how each line begins.
var lineStart = []byte(`{"seq":`)

// recover finds out where the chain stands, and cuts off what a crash left of a line
// that was being written.
func (f *File) recover() error {
	end, err := endOf(f.file, f.size)
	if err != nil {
		return fmt.Errorf("%s: %w", f.opts.Path, err)
	}
	if torn := f.size - end; torn > 0 {
		if err := f.file.Truncate(end); err != nil {
			return err
		}
		f.size, f.torn = end, torn
	}
	if f.size > 0 {
		if f.start, err = firstSeq(f.opts.Path); err != nil {
			return err
		}
	}
	files, err := Files(f.opts.Path)
	if err != nil {
		return err
	}
	for i := len(files) - 1; i >= 0 && f.lastSeq == 0; i-- {
		if err := f.continueFrom(files[i]); err != nil {
			return err
		}
	}
	f.next = f.lastSeq + 1
	return f.lookForOldest()
}

// continueFrom takes the end of a file's chain. An empty file has none.
func (f *File) continueFrom(path string) error {
	lines, err := lastLines(path, lookBack)
	if err != nil || len(lines) == 0 {
		return err
	}
	// A last line that was altered is still what the next one follows.
	f.lastSum = sum(lines[len(lines)-1])
	for i := len(lines) - 1; i >= 0; i-- {
		if line, err := ParseLine(lines[i]); err == nil {
			f.lastSeq = line.Seq + uint64(len(lines)-1-i)
			return nil
		}
	}
	return notOurs(path)
}

func notOurs(path string) error {
	return fmt.Errorf("%s does not end in records of an audit log: move it away, or choose another file", path)
}

// endOf is where the last whole line of a file ends.
func endOf(file io.ReaderAt, size int64) (int64, error) {
	from := max(0, size-lookBack)
	raw := make([]byte, size-from)
	if _, err := io.ReadFull(io.NewSectionReader(file, from, size-from), raw); err != nil {
		return 0, err
	}
	last := bytes.LastIndexByte(raw, '\n')
	switch torn := raw[last+1:]; {
	case len(torn) > 0 && !tornLine(torn), last < 0 && from > 0:
		return 0, errors.New("does not end in records of an audit log: move it away, or choose another file")
	}
	return from + int64(last) + 1, nil
}

// tornLine tells whether bytes may be the begin of a line, or what file systems put
// where they lost one.
func tornLine(torn []byte) bool {
	torn = bytes.TrimRight(torn, "\x00")
	n := min(len(torn), len(lineStart))
	return bytes.Equal(torn[:n], lineStart[:n])
}

// lastLines are the last whole lines of a file, the oldest first, of its last so
// many bytes.
func lastLines(path string, most int64) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-most)
	raw, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if err != nil {
		return nil, err
	}
	if from > 0 { // within a line, perhaps
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	raw, _, found := cutLast(raw, '\n')
	if !found {
		return nil, nil
	}
	return bytes.Split(raw, []byte("\n")), nil
}

func cutLast(raw []byte, sep byte) (before, after []byte, found bool) {
	i := bytes.LastIndexByte(raw, sep)
	if i < 0 {
		return raw, nil, false
	}
	return raw[:i], raw[i+1:], true
}

// firstSeq is the number of a file's first line; 0 where it has none.
func firstSeq(path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	first, err := bufio.NewReader(io.LimitReader(file, MaxLine+1)).ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(first) == 0 {
		return 0, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	line, err := ParseLine(bytes.TrimSuffix(first, []byte("\n")))
	if err != nil {
		return 0, fmt.Errorf("%s does not begin with a record of an audit log: move it away, or choose another file", path)
	}
	return line.Seq, nil
}

// first implements kept.
func (f *File) first() uint64 { return f.oldest }

// lookForOldest finds the oldest line that the next file does not push out: what is
// promised to be there must not be gone before others know.
func (f *File) lookForOldest() error {
	f.oldest = 0
	files, err := Files(f.opts.Path)
	if err != nil {
		return err
	}
	if f.opts.Keep > 0 {
		files = files[max(0, len(files)+1-f.opts.Keep):]
	}
	for _, path := range files {
		if f.oldest, err = firstSeq(path); err != nil || f.oldest > 0 {
			return err
		}
	}
	return nil
}

// tail implements kept.
func (f *File) tail(most int64) ([][]byte, error) {
	files, err := Files(f.opts.Path)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for i := len(files) - 1; i >= 0 && most > 0; i-- {
		lines, err := lastLines(files[i], most)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			most -= int64(len(line)) + 1
		}
		out = append(lines, out...)
	}
	return out, nil
}
