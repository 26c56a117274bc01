package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"github.com/floeberg/floeberg/fsm"
)

// A segment, integers big-endian:
//
//	magic 8 | format 2 | length of fields 4 | fields | xxh3 of all that 8
//	payload, compressed with zstd | xxh3-128 of all that 16
//
// fields are those of Header in their order, the cluster's id last. The payload is the entries:
//
//	term uvarint | type 1 | length uvarint | data
const (
	segmentMagic  = "floesegm"
	segmentFormat = 1

	headBytes   = len(segmentMagic) + 2 + 4
	fixedFields = 7 * 8
	sumBytes    = 16
	// maxFields is more than any header has.
	maxFields = 4 << 10
	// maxRawBytes is more than a segment holds: one entry may exceed the target alone.
	maxRawBytes = 160 << 20
)

// Header says what a segment holds.
type Header struct {
	// First and Last are the indexes of its entries, which are all in between.
	First, Last uint64
	// PrevTerm is the term of the entry before the first one; 0 where it was not known.
	PrevTerm uint64
	// LastTerm is the term of the last entry.
	LastTerm uint64
	// FromMs and ToMs are the first and the last replicated time in it; 0 where none of its
	// entries tells one.
	FromMs, ToMs uint64
	// RawBytes is the length of the payload before compression.
	RawBytes uint64
	// ClusterID is whose log it is.
	ClusterID string
}

func (h Header) encode() []byte {
	var fields []byte
	for _, n := range []uint64{h.First, h.Last, h.PrevTerm, h.LastTerm, h.FromMs, h.ToMs, h.RawBytes} {
		fields = binary.BigEndian.AppendUint64(fields, n)
	}
	fields = append(fields, h.ClusterID...)
	out := []byte(segmentMagic)
	out = binary.BigEndian.AppendUint16(out, segmentFormat)
	out = binary.BigEndian.AppendUint32(out, uint32(len(fields)))
	out = append(out, fields...)
	return binary.BigEndian.AppendUint64(out, xxh3.Hash(out))
}

// readHeader reads the header off the front of a segment.
func readHeader(data []byte) (h Header, rest []byte, err error) {
	if len(data) < headBytes || string(data[:len(segmentMagic)]) != segmentMagic {
		return h, nil, fmt.Errorf("%w: it is none", ErrDamaged)
	}
	if format := binary.BigEndian.Uint16(data[len(segmentMagic):]); format != segmentFormat {
		return h, nil, fmt.Errorf("%w: it has format %d, this program reads %d", ErrNewerFormat, format, segmentFormat)
	}
	length := int(binary.BigEndian.Uint32(data[len(segmentMagic)+2:]))
	if length < fixedFields || length > maxFields || len(data) < headBytes+length+8 {
		return h, nil, fmt.Errorf("%w: its header is cut short", ErrDamaged)
	}
	end := headBytes + length
	if xxh3.Hash(data[:end]) != binary.BigEndian.Uint64(data[end:]) {
		return h, nil, fmt.Errorf("%w: its header fails its checksum", ErrDamaged)
	}
	fields := data[headBytes:end]
	for i, n := range []*uint64{&h.First, &h.Last, &h.PrevTerm, &h.LastTerm, &h.FromMs, &h.ToMs, &h.RawBytes} {
		*n = binary.BigEndian.Uint64(fields[8*i:])
	}
	h.ClusterID = string(fields[fixedFields:])
	if h.First == 0 || h.Last < h.First || h.RawBytes > maxRawBytes {
		return h, nil, fmt.Errorf("%w: its header makes no sense", ErrDamaged)
	}
	return h, data[end+8:], nil
}

// encodeSegment makes a segment of entries that follow one another.
func encodeSegment(clusterID string, prevTerm uint64, entries []fsm.Entry) (Header, []byte, error) {
	h := Header{
		First: entries[0].Index, Last: entries[len(entries)-1].Index,
		PrevTerm: prevTerm, LastTerm: entries[len(entries)-1].Term, ClusterID: clusterID,
	}
	var raw []byte
	for i, e := range entries {
		if e.Index != h.First+uint64(i) {
			return h, nil, fmt.Errorf("archive: entry %d follows entry %d", e.Index, entries[i-1].Index)
		}
		ms, err := e.TimeMs()
		if err != nil {
			return h, nil, fmt.Errorf("archive: entry %d: %w", e.Index, err)
		}
		if h.FromMs == 0 {
			h.FromMs = ms
		}
		h.ToMs = max(h.ToMs, ms)
		raw = binary.AppendUvarint(raw, e.Term)
		raw = append(raw, e.Type)
		raw = binary.AppendUvarint(raw, uint64(len(e.Data)))
		raw = append(raw, e.Data...)
	}
	h.RawBytes = uint64(len(raw))
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return h, nil, fmt.Errorf("archive: compress: %w", err)
	}
	out := zip.EncodeAll(raw, h.encode())
	sum := xxh3.Hash128(out).Bytes()
	return h, append(out, sum[:]...), nil
}

// decodeSegment checks a whole segment and returns what is in it.
func decodeSegment(data []byte) (Header, []fsm.Entry, error) {
	h, rest, err := readHeader(data)
	if err != nil {
		return h, nil, err
	}
	if len(rest) < sumBytes {
		return h, nil, fmt.Errorf("%w: it is cut short", ErrDamaged)
	}
	payload, sum := rest[:len(rest)-sumBytes], rest[len(rest)-sumBytes:]
	if own := xxh3.Hash128(data[:len(data)-sumBytes]).Bytes(); !bytes.Equal(own[:], sum) {
		return h, nil, fmt.Errorf("%w: its entries fail their checksum", ErrDamaged)
	}
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRawBytes))
	if err != nil {
		return h, nil, fmt.Errorf("archive: decompress: %w", err)
	}
	defer unzip.Close()
	raw, err := unzip.DecodeAll(payload, make([]byte, 0, min(h.RawBytes, 8<<20)))
	if err != nil {
		return h, nil, fmt.Errorf("%w: it can't be decompressed: %w", ErrDamaged, err)
	}
	if uint64(len(raw)) != h.RawBytes {
		return h, nil, fmt.Errorf("%w: it holds %d bytes instead of %d", ErrDamaged, len(raw), h.RawBytes)
	}
	entries, err := splitEntries(h, raw)
	return h, entries, err
}

func splitEntries(h Header, raw []byte) ([]fsm.Entry, error) {
	const smallest = 3 // bytes of an entry
	if h.Last-h.First >= uint64(len(raw)/smallest)+1 {
		return nil, fmt.Errorf("%w: it holds fewer entries than it says", ErrDamaged)
	}
	in := bytes.NewReader(raw)
	entries := make([]fsm.Entry, 0, h.Last-h.First+1)
	for index := h.First; index <= h.Last; index++ {
		e := fsm.Entry{Index: index}
		var err, err2 error
		e.Term, err = binary.ReadUvarint(in)
		e.Type, err2 = in.ReadByte()
		length, err3 := binary.ReadUvarint(in)
		if err := errors.Join(err, err2, err3); err != nil || length > uint64(in.Len()) {
			return nil, fmt.Errorf("%w: entry %d is malformed", ErrDamaged, index)
		}
		if length > 0 {
			at := len(raw) - in.Len()
			e.Data = raw[at : at+int(length) : at+int(length)]
			if _, err := in.Seek(int64(length), io.SeekCurrent); err != nil {
				return nil, fmt.Errorf("%w: entry %d is malformed", ErrDamaged, index)
			}
		}
		entries = append(entries, e)
	}
	if in.Len() > 0 || entries[len(entries)-1].Term != h.LastTerm {
		return nil, fmt.Errorf("%w: its entries are not those of its header", ErrDamaged)
	}
	return entries, nil
}
