package manifest

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// The classes of failure. Every error of this package is one of them, or comes
// from the reader that was handed in.
var (
	// ErrMalformed is returned when a file is not what it should be.
	ErrMalformed = errors.New("malformed Avro file")
	// ErrUnsupported is returned when a file is compressed in a way that this
	// package does not know.
	ErrUnsupported = errors.New("unsupported Avro file")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// File is what a manifest list says of a manifest.
type File struct {
	// Path is where the manifest is.
	Path string
	// Deletes tells that the manifest holds delete files and not data files.
	Deletes bool
	// Encrypted tells that the manifest can't be read without a key.
	Encrypted bool
}

// Entry is what a manifest says of a file.
type Entry struct {
	// Path is where the file is.
	Path string
	// Removed tells that the snapshot that wrote the entry took the file out of the table.
	Removed bool
}

// statusDeleted is the status of an entry that took a file out.
const statusDeleted = 2

// ReadList yields the manifests of a manifest list, and ends after the first error.
func ReadList(r io.Reader) iter.Seq2[File, error] {
	return read(r, func(d *decoder, s *schema) (File, error) {
		var f File
		err := d.record(s, func(name string, s *schema) (err error) {
			switch name {
			case "manifest_path":
				f.Path, _, err = d.text(s)
			case "content":
				var content int64
				content, _, err = d.number(s)
				f.Deletes = content != 0
			case "key_metadata":
				var key string
				key, _, err = d.text(s)
				f.Encrypted = key != ""
			default:
				err = d.skip(s)
			}
			return err
		})
		if err == nil && f.Path == "" {
			err = malformed("an entry has no manifest_path")
		}
		return f, err
	})
}

// ReadEntries yields the files of a manifest, and ends after the first error.
func ReadEntries(r io.Reader) iter.Seq2[Entry, error] {
	return read(r, func(d *decoder, s *schema) (Entry, error) {
		var e Entry
		err := d.record(s, func(name string, s *schema) (err error) {
			switch name {
			case "status":
				var status int64
				status, _, err = d.number(s)
				e.Removed = status == statusDeleted
			case "data_file":
				err = d.record(s, func(name string, s *schema) (err error) {
					if name != "file_path" {
						return d.skip(s)
					}
					e.Path, _, err = d.text(s)
					return err
				})
			default:
				err = d.skip(s)
			}
			return err
		})
		if err == nil && e.Path == "" {
			err = malformed("an entry has no data_file.file_path")
		}
		return e, err
	})
}

// read yields what one makes of each object of a file.
func read[T any](r io.Reader, one func(*decoder, *schema) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		f, err := open(r)
		if err != nil {
			yield(zero, err)
			return
		}
		for {
			d, objects, err := f.block()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(zero, err)
				return
			}
			for range objects {
				v, err := one(d, f.schema)
				if err != nil {
					yield(zero, err)
					return
				}
				if !yield(v, nil) {
					return
				}
			}
			if len(d.data) > 0 {
				yield(zero, malformed("a block has %d bytes more than its %d objects", len(d.data), objects))
				return
			}
		}
	}
}
