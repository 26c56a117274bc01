package manifest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

const (
	// maxBlockBytes bounds a block, as it is in the file and uncompressed: writers
	// end one after 64 KiB, or after a hundred objects.
	maxBlockBytes = 64 << 20
	// maxHeaderBytes bounds what comes before the blocks, which holds the table's
	// schema among others.
	maxHeaderBytes = 16 << 20
	// maxHeaderEntries bounds how many values the header has.
	maxHeaderEntries = 1024
	syncBytes        = 16
)

var magic = []byte("Obj\x01")

// container is an Avro object container file that is being read.
type container struct {
	in     *bufio.Reader
	schema *schema
	expand expander
	sync   [syncBytes]byte
	packed bytes.Buffer
	plain  []byte
}

// open reads a file's header.
func open(r io.Reader) (*container, error) {
	f := &container{in: bufio.NewReader(r)}
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(f.in, begin); err != nil {
		return nil, early(err)
	}
	if !bytes.Equal(begin, magic) {
		return nil, malformed("it does not begin as one")
	}
	header, err := f.readHeader()
	if err != nil {
		return nil, err
	}
	if f.schema, err = parseSchema(header["avro.schema"]); err != nil {
		return nil, err
	}
	if f.expand, err = expanderOf(string(header["avro.codec"])); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(f.in, f.sync[:])
	return f, early(err)
}

// readHeader reads the map of names and values before the first block.
func (f *container) readHeader() (map[string][]byte, error) {
	values := make(map[string][]byte)
	left := int64(maxHeaderBytes)
	one := func() ([]byte, error) {
		n, err := f.varint()
		if err != nil {
			return nil, err
		}
		if n < 0 || n > left {
			return nil, malformed("its header has a value of %d bytes", n)
		}
		left -= n
		var value bytes.Buffer
		_, err = io.CopyN(&value, f.in, n)
		return value.Bytes(), early(err)
	}
	for {
		count, err := f.varint()
		if err != nil {
			return nil, err
		}
		if count == 0 {
			return values, nil
		}
		if count < 0 {
			// Its size in bytes follows, which only those need who pass over it.
			count = -count
			if _, err := f.varint(); err != nil {
				return nil, err
			}
		}
		for range count {
			name, err := one()
			if err != nil {
				return nil, err
			}
			if len(values) == maxHeaderEntries {
				return nil, malformed("its header has more than %d values", maxHeaderEntries)
			}
			if values[string(name)], err = one(); err != nil {
				return nil, err
			}
		}
	}
}

// block reads the next block and says how many objects it has; io.EOF is the end.
func (f *container) block() (*decoder, int64, error) {
	if _, err := f.in.Peek(1); err != nil {
		return nil, 0, err // io.EOF among them
	}
	objects, err := f.varint()
	if err != nil {
		return nil, 0, err
	}
	size, err := f.varint()
	if err != nil {
		return nil, 0, err
	}
	if objects < 0 || size < 0 || size > maxBlockBytes {
		return nil, 0, malformed("a block of %d objects has %d bytes", objects, size)
	}
	// Grows with what is there, not with what is announced.
	f.packed.Reset()
	if _, err := io.CopyN(&f.packed, f.in, size); err != nil {
		return nil, 0, early(err)
	}
	var end [syncBytes]byte
	if _, err := io.ReadFull(f.in, end[:]); err != nil {
		return nil, 0, early(err)
	}
	if end != f.sync {
		return nil, 0, malformed("a block does not end where it should")
	}
	if f.plain, err = f.expand(f.plain[:0], f.packed.Bytes()); err != nil {
		return nil, 0, err
	}
	return newDecoder(f.plain), objects, nil
}

func (f *container) varint() (int64, error) {
	raw, err := f.in.Peek(binary.MaxVarintLen64)
	v, n := binary.Varint(raw)
	switch {
	case n > 0:
		_, err = f.in.Discard(n)
		return v, err
	case n == 0 && err != nil:
		return 0, early(err)
	}
	return 0, malformed("a number does not end")
}

// early makes the end of a file that comes in the middle of something a defect
// of the file.
func early(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("it ends too early")
	}
	return err
}
