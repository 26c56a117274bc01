package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

// A snapshot stream is the sorted rows of the state, independent of the storage
// engine and its version:
//
//	header   magic 8 | format 2 | length 4 | fields | xxh3 of all that 8
//	frame    kind 1 | rows 4 | raw length 4 | stored length 4 | xxh3 of payload 8 | xxh3 of these 8 | payload
//	…
//	trailer  a frame of kind trailer whose payload is: rows 8 | xxh3-128 of all raw rows 16
//
// The payload of a frame of rows is compressed with zstd; a row is the key and
// the value, each after its length as a varint. Everything is checked before it
// is believed, lengths above all: no flipped bit makes a reader allocate more
// than a frame may have.
const (
	streamMagic = "floesnap"

	frameRows    = 1
	frameTrailer = 2

	frameHeadBytes = 1 + 4 + 4 + 4 + 8 + 8
	trailerBytes   = 8 + 16
	// frameTarget is when a frame is closed; only a single large row exceeds it. To
	// fill one takes a few milliseconds, after which work that goes on beside requests rests.
	frameTarget = 256 << 10
	// maxFrameBytes is above the largest row that can be proposed.
	maxFrameBytes  = 128 << 20
	maxHeaderBytes = 64 << 10
)

// StreamFormat is the format of snapshot streams that this program writes and reads.
const StreamFormat = 1

// Header says what a snapshot stream holds.
type Header struct {
	// ClusterID is empty where the cluster had no identity yet.
	ClusterID string
	// Index and Term are of the last entry that is in it.
	Index, Term uint64
	// TimeMs is replicated time at that entry: when it was taken, as far as the
	// cluster is concerned.
	TimeMs uint64
	// Revision of the last transaction that wrote something.
	Revision uint64
	// Checksum of the whole state.
	Checksum [16]byte
}

func (h Header) encode() []byte {
	var fields []byte
	fields = binary.BigEndian.AppendUint64(fields, h.Index)
	fields = binary.BigEndian.AppendUint64(fields, h.Term)
	fields = binary.BigEndian.AppendUint64(fields, h.TimeMs)
	fields = binary.BigEndian.AppendUint64(fields, h.Revision)
	fields = append(fields, h.Checksum[:]...)
	fields = append(fields, h.ClusterID...)

	out := []byte(streamMagic)
	out = binary.BigEndian.AppendUint16(out, StreamFormat)
	out = binary.BigEndian.AppendUint32(out, uint32(len(fields)))
	out = append(out, fields...)
	return binary.BigEndian.AppendUint64(out, xxh3.Hash(out))
}

// ReadHeader reads the header of a snapshot stream and leaves the reader at its
// first frame.
func ReadHeader(r io.Reader) (Header, error) {
	var h Header
	head := make([]byte, len(streamMagic)+2+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return h, cutShort("header", err)
	}
	if string(head[:len(streamMagic)]) != streamMagic {
		return h, fmt.Errorf("%w: this is no floeberg snapshot", ErrBadSnapshot)
	}
	if format := binary.BigEndian.Uint16(head[len(streamMagic):]); format != StreamFormat {
		return h, fmt.Errorf("%w: snapshot of format %d, this program reads %d", ErrNewerFormat, format, StreamFormat)
	}
	const fixed = 4*8 + 16
	length := binary.BigEndian.Uint32(head[len(streamMagic)+2:])
	if length < fixed || length > maxHeaderBytes {
		return h, fmt.Errorf("%w: header of %d bytes", ErrBadSnapshot, length)
	}
	rest := make([]byte, length+8)
	if _, err := io.ReadFull(r, rest); err != nil {
		return h, cutShort("header", err)
	}
	fields, sum := rest[:length], rest[length:]
	if xxh3.Hash(append(head, fields...)) != binary.BigEndian.Uint64(sum) {
		return h, fmt.Errorf("%w: header fails its checksum", ErrBadSnapshot)
	}
	h.Index = binary.BigEndian.Uint64(fields)
	h.Term = binary.BigEndian.Uint64(fields[8:])
	h.TimeMs = binary.BigEndian.Uint64(fields[16:])
	h.Revision = binary.BigEndian.Uint64(fields[24:])
	copy(h.Checksum[:], fields[32:])
	h.ClusterID = string(fields[fixed:])
	return h, nil
}

func cutShort(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short in its %s", ErrBadSnapshot, what)
	}
	return fmt.Errorf("fsm: read snapshot: %w", err)
}

// streamWriter writes the frames of a stream.
type streamWriter struct {
	w     io.Writer
	zip   *zstd.Encoder
	raw   []byte
	out   []byte
	count uint32
	rows  uint64
	all   *xxh3.Hasher128
}

func newStreamWriter(w io.Writer, h Header) (*streamWriter, error) {
	// No frame is worth a larger window, and a node that serves meanwhile has better
	// uses for the memory.
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(frameTarget), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("fsm: write snapshot: %w", err)
	}
	if _, err := w.Write(h.encode()); err != nil {
		return nil, fmt.Errorf("fsm: write snapshot: %w", err)
	}
	return &streamWriter{w: w, zip: zip, all: xxh3.New128()}, nil
}

func (s *streamWriter) row(key, value []byte) error {
	s.raw = binary.AppendUvarint(s.raw, uint64(len(key)))
	s.raw = append(s.raw, key...)
	s.raw = binary.AppendUvarint(s.raw, uint64(len(value)))
	s.raw = append(s.raw, value...)
	s.count++
	if len(s.raw) < frameTarget {
		return nil
	}
	return s.flush()
}

func (s *streamWriter) flush() error {
	if s.count == 0 {
		return nil
	}
	if len(s.raw) > maxFrameBytes {
		return fmt.Errorf("fsm: write snapshot: a row of %d bytes, at most %d", len(s.raw), maxFrameBytes)
	}
	s.rows += uint64(s.count)
	if _, err := s.all.Write(s.raw); err != nil {
		return fmt.Errorf("fsm: write snapshot: %w", err)
	}
	s.out = s.zip.EncodeAll(s.raw, s.out[:0])
	err := s.frame(frameRows, s.count, len(s.raw), s.out)
	s.raw, s.count = s.raw[:0], 0
	return err
}

func (s *streamWriter) frame(kind byte, rows uint32, rawLength int, payload []byte) error {
	head := make([]byte, 0, frameHeadBytes)
	head = append(head, kind)
	head = binary.BigEndian.AppendUint32(head, rows)
	head = binary.BigEndian.AppendUint32(head, uint32(rawLength))
	head = binary.BigEndian.AppendUint32(head, uint32(len(payload)))
	head = binary.BigEndian.AppendUint64(head, xxh3.Hash(payload))
	head = binary.BigEndian.AppendUint64(head, xxh3.Hash(head))
	for _, part := range [][]byte{head, payload} {
		if _, err := s.w.Write(part); err != nil {
			return fmt.Errorf("fsm: write snapshot: %w", err)
		}
	}
	return nil
}

func (s *streamWriter) finish() error {
	if err := s.flush(); err != nil {
		return err
	}
	trailer := binary.BigEndian.AppendUint64(nil, s.rows)
	sum := s.all.Sum128().Bytes()
	trailer = append(trailer, sum[:]...)
	return s.frame(frameTrailer, 0, len(trailer), trailer)
}

// readStream reads all frames and calls row for each row in order. It returns
// only after the trailer has vouched for everything and nothing follows it.
func readStream(r io.Reader, row func(key, value []byte) error) error {
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrameBytes))
	if err != nil {
		return fmt.Errorf("fsm: read snapshot: %w", err)
	}
	defer unzip.Close()
	var payload, raw []byte
	var rows uint64
	all := xxh3.New128()
	for n := 1; ; n++ {
		var head frameHead
		head, payload, err = readFrame(r, payload)
		if err != nil {
			return fmt.Errorf("frame %d: %w", n, err)
		}
		if head.kind == frameTrailer {
			return checkTrailer(r, payload, rows, all)
		}
		raw, err = unzip.DecodeAll(payload, raw[:0])
		if err != nil || len(raw) != int(head.rawLength) {
			return fmt.Errorf("%w: frame %d can't be decompressed", ErrBadSnapshot, n)
		}
		if _, err := all.Write(raw); err != nil {
			return fmt.Errorf("fsm: read snapshot: %w", err)
		}
		rows += uint64(head.rows)
		if err := splitRows(raw, head.rows, row); err != nil {
			return fmt.Errorf("frame %d: %w", n, err)
		}
	}
}

type frameHead struct {
	kind            byte
	rows, rawLength uint32
}

func readFrame(r io.Reader, buf []byte) (head frameHead, payload []byte, err error) {
	var raw [frameHeadBytes]byte
	if _, err := io.ReadFull(r, raw[:]); err != nil {
		return head, buf, cutShort("frames", err)
	}
	if xxh3.Hash(raw[:frameHeadBytes-8]) != binary.BigEndian.Uint64(raw[frameHeadBytes-8:]) {
		return head, buf, fmt.Errorf("%w: the frame's head fails its checksum", ErrBadSnapshot)
	}
	head = frameHead{
		kind:      raw[0],
		rows:      binary.BigEndian.Uint32(raw[1:]),
		rawLength: binary.BigEndian.Uint32(raw[5:]),
	}
	length := binary.BigEndian.Uint32(raw[9:])
	if head.kind != frameRows && head.kind != frameTrailer {
		return head, buf, fmt.Errorf("%w: frame of unknown kind %d", ErrNewerFormat, head.kind)
	}
	if length > maxFrameBytes || head.rawLength > maxFrameBytes {
		return head, buf, fmt.Errorf("%w: frame of %d bytes", ErrBadSnapshot, max(length, head.rawLength))
	}
	if cap(buf) < int(length) {
		buf = make([]byte, length)
	}
	payload = buf[:length]
	if _, err := io.ReadFull(r, payload); err != nil {
		return head, buf, cutShort("frames", err)
	}
	if xxh3.Hash(payload) != binary.BigEndian.Uint64(raw[13:]) {
		return head, buf, fmt.Errorf("%w: the frame's payload fails its checksum", ErrBadSnapshot)
	}
	return head, payload, nil
}

func splitRows(raw []byte, count uint32, row func(key, value []byte) error) error {
	for range count {
		key, rest, ok := cutBytes(raw)
		if !ok {
			return fmt.Errorf("%w: malformed row", ErrBadSnapshot)
		}
		value, rest, ok := cutBytes(rest)
		if !ok {
			return fmt.Errorf("%w: malformed row", ErrBadSnapshot)
		}
		if err := row(key, value); err != nil {
			return err
		}
		raw = rest
	}
	if len(raw) > 0 {
		return fmt.Errorf("%w: more bytes than rows", ErrBadSnapshot)
	}
	return nil
}

func cutBytes(in []byte) (out, rest []byte, ok bool) {
	length, n := binary.Uvarint(in)
	if n <= 0 || length > math.MaxInt32 || length > uint64(len(in)-n) {
		return nil, nil, false
	}
	in = in[n:]
	return in[:length], in[length:], true
}

func checkTrailer(r io.Reader, trailer []byte, rows uint64, all *xxh3.Hasher128) error {
	if len(trailer) != trailerBytes {
		return fmt.Errorf("%w: malformed trailer", ErrBadSnapshot)
	}
	if told := binary.BigEndian.Uint64(trailer); told != rows {
		return fmt.Errorf("%w: %d rows instead of %d", ErrBadSnapshot, rows, told)
	}
	if all.Sum128().Bytes() != [16]byte(trailer[8:]) {
		return fmt.Errorf("%w: the rows fail their checksum", ErrBadSnapshot)
	}
	var extra [1]byte
	switch _, err := io.ReadFull(r, extra[:]); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return fmt.Errorf("%w: bytes after its end", ErrBadSnapshot)
	default:
		return fmt.Errorf("fsm: read snapshot: %w", err)
	}
}
