package manifest

import (
	"encoding/binary"
	"math"
)

// decoder reads the values of one block.
type decoder struct {
	data []byte
	// left bounds the values that are read, since some of them take no bytes.
	left  int
	depth int
}

func newDecoder(data []byte) *decoder {
	const perByte = 4
	return &decoder{data: data, left: perByte * (len(data) + 1024)}
}

// enter counts a value, and goes one level down.
func (d *decoder) enter() error {
	if d.left--; d.left < 0 {
		return malformed("a block has more values than bytes")
	}
	if d.depth++; d.depth > maxDepth {
		return malformed("a value is more than %d levels deep", maxDepth)
	}
	return nil
}

func (d *decoder) leave() { d.depth-- }

func (d *decoder) varint() (int64, error) {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		return 0, malformed("a number does not end")
	}
	d.data = d.data[n:]
	return v, nil
}

// take cuts the next n bytes off.
func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)) {
		return nil, malformed("a value of %d bytes is longer than what is left of its block", n)
	}
	v := d.data[:n]
	d.data = d.data[n:]
	return v, nil
}

func (d *decoder) bytes() ([]byte, error) {
	n, err := d.varint()
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, malformed("a value has a negative length")
	}
	return d.take(uint64(n))
}

// branch reads which branch of a union follows; other schemas are their own.
func (d *decoder) branch(s *schema) (*schema, error) {
	if s.kind != kindUnion {
		return s, nil
	}
	i, err := d.varint()
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(s.branches)) {
		return nil, malformed("a value is of a branch that its union does not have")
	}
	// Unions do not hold unions.
	if s = s.branches[i]; s.kind == kindUnion {
		return nil, malformed("its schema has a union in a union")
	}
	return s, nil
}

// number reads an int or a long; ok is false for null.
func (d *decoder) number(s *schema) (v int64, ok bool, err error) {
	if s, err = d.branch(s); err != nil {
		return 0, false, err
	}
	switch s.kind {
	case kindNull:
		return 0, false, nil
	case kindInt, kindLong:
		v, err = d.varint()
		return v, err == nil, err
	}
	return 0, false, malformed("a number is expected, and its schema has another type")
}

// text reads a string or bytes; ok is false for null.
func (d *decoder) text(s *schema) (v string, ok bool, err error) {
	if s, err = d.branch(s); err != nil {
		return "", false, err
	}
	switch s.kind {
	case kindNull:
		return "", false, nil
	case kindString, kindBytes:
		raw, err := d.bytes()
		return string(raw), err == nil, err
	}
	return "", false, malformed("text is expected, and its schema has another type")
}

// record calls each for every field of a record in order; it must read or skip
// the field's value.
func (d *decoder) record(s *schema, each func(name string, s *schema) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	s, err := d.branch(s)
	if err != nil {
		return err
	}
	if s.kind != kindRecord {
		return malformed("a record is expected, and its schema has another type")
	}
	for _, f := range s.fields {
		if err := each(f.name, f.schema); err != nil {
			return err
		}
	}
	return nil
}

// skip passes over a value.
func (d *decoder) skip(s *schema) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	s, err := d.branch(s)
	if err != nil {
		return err
	}
	switch s.kind {
	case kindNull:
	case kindBoolean:
		_, err = d.take(1)
	case kindInt, kindLong:
		_, err = d.varint()
	case kindFloat:
		_, err = d.take(4)
	case kindDouble:
		_, err = d.take(8)
	case kindBytes, kindString:
		_, err = d.bytes()
	case kindFixed:
		_, err = d.take(s.size)
	case kindRecord:
		for _, f := range s.fields {
			if err := d.skip(f.schema); err != nil {
				return err
			}
		}
	case kindArray, kindMap:
		err = d.skipItems(s)
	case kindUnion:
		err = malformed("its schema has a union in a union")
	}
	return err
}

// skipItems passes over an array or a map: runs of items, the last one empty. A
// run with a negative count says how many bytes it takes.
func (d *decoder) skipItems(s *schema) error {
	for {
		count, err := d.varint()
		if err != nil {
			return err
		}
		switch {
		case count == 0:
			return nil
		case count == math.MinInt64:
			return malformed("an array has a run of no possible length")
		case count < 0:
			if _, err := d.bytes(); err != nil {
				return err
			}
			continue
		}
		for range count {
			if s.kind == kindMap {
				if _, err := d.bytes(); err != nil {
					return err
				}
			}
			if err := d.skip(s.items); err != nil {
				return err
			}
		}
	}
}
