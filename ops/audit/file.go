package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FileOptions are how records are kept in a file and those before it.
type FileOptions struct {
	// Path is the file that is written. Those before it stand beside it, with the
	// number of their first record in their names.
	Path string
	// MaxBytes and MaxAge are when another one is begun; 0 is never.
	MaxBytes int64
	MaxAge   time.Duration
	// Keep is how many there are at most, that which is written included: 2 or more, 0
	// keeps all.
	Keep int
	// Now is the time. Required.
	Now func() time.Time
}

// File is a sink that keeps records in files, 0600.
type File struct {
	opts FileOptions

	file    *os.File
	size    int64     // of whole lines
	begun   time.Time // when the file got its first line
	next    uint64    // the number of the next line
	start   uint64    // the number of the file's first line; 0 while it has none
	oldest  uint64    // the number of the oldest line that the next file leaves
	lastSeq uint64
	lastSum Hash
	// torn is how many bytes of a line were cut off that a crash had left unfinished.
	torn int64
}

// OpenFile opens the file, and makes it where it is missing. What a crash left of a
// line that was being written is cut off.
func OpenFile(opts FileOptions) (*File, error) {
	if opts.Now == nil || opts.Path == "" || opts.Keep == 1 {
		return nil, errors.New("audit: Path and Now are required, and Keep is not 1")
	}
	if info, err := os.Stat(opts.Path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file", opts.Path)
	}
	if err := os.MkdirAll(filepath.Dir(opts.Path), 0o700); err != nil {
		return nil, err
	}
	f := &File{opts: opts}
	if err := f.open(); err != nil {
		return nil, err
	}
	if err := f.recover(); err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	return f, nil
}

// open opens the file as it is.
func (f *File) open() error {
	file, err := os.OpenFile(f.opts.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = file.Chmod(0o600)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size, f.begun, f.start = file, info.Size(), info.ModTime(), 0
	return nil
}

// Name implements Sink.
func (f *File) Name() string { return fileSink }

const fileSink = "file"

// Path is the file that is written.
func (f *File) Path() string { return f.opts.Path }

// Torn is how many bytes of an unfinished line were cut off when it was opened.
func (f *File) Torn() int64 { return f.torn }

// Write implements Sink.
func (f *File) Write(lines []byte) error {
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.due(int64(len(lines))) {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	n, err := f.file.Write(lines)
	if err != nil {
		if n > 0 {
			// What is left of them would be a torn line in the midst of others.
			err = errors.Join(err, f.file.Truncate(f.size))
		}
		return err
	}
	if f.start == 0 {
		f.begun = f.opts.Now()
	}
	f.took(lines)
	return nil
}

// took notes what was written.
func (f *File) took(lines []byte) {
	f.size += int64(len(lines))
	if f.start == 0 {
		f.start = f.next
	}
	if f.oldest == 0 {
		f.oldest = f.next
	}
	for line := range strings.Lines(string(lines)) {
		f.lastSeq, f.lastSum = f.next, sum([]byte(strings.TrimSuffix(line, "\n")))
		f.next++
	}
}

// due tells whether lines belong into another file.
func (f *File) due(more int64) bool {
	if f.start == 0 {
		return false
	}
	return f.opts.MaxBytes > 0 && f.size+more > f.opts.MaxBytes ||
		f.opts.MaxAge > 0 && f.opts.Now().Sub(f.begun) >= f.opts.MaxAge
}

// Sync implements Sink.
func (f *File) Sync() error {
	if f.file == nil {
		return nil
	}
	return f.file.Sync()
}

// Reopen implements Sink: where somebody has moved the file away, another one is
// begun in its place.
func (f *File) Reopen() error {
	err := f.Close()
	return errors.Join(err, f.open())
}

// Close implements Sink.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Sync(), f.file.Close())
	f.file = nil
	return err
}

// last implements kept.
func (f *File) last() (uint64, Hash) { return f.lastSeq, f.lastSum }
