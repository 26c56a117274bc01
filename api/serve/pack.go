package serve

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/singleflight"

	"github.com/floeberg/floeberg/internal/newest"
)

const (
	// minPacked is the least that is worth compressing: what fits into one packet
	// travels no faster.
	minPacked = 1400
	// zstdWindow is how far a zstd body refers back, which every client must hold
	// in memory. Browsers and libraries allow eight times as much.
	zstdWindow = 1 << 20
	// gzipLevel takes a third of the default's time for a tenth more bytes.
	gzipLevel = 2
)

// packer compresses answers. What an answer consists of besides its document is
// small and differs from client to client, so it is put around the compressed
// document as it is, and the document's compressed form is kept: one stream
// comes of it, as every client reads it.
type packer struct {
	kept     *newest.Cache[packed]
	packing  singleflight.Group
	deflates sync.Pool // of *flate.Writer
	gzips    sync.Pool // of *gzip.Writer, for streams
	zstds    sync.Pool // of *zstd.Encoder, for streams
	zstd     *zstd.Encoder
}

// packed is a compressed document.
type packed struct {
	// blocks are those of an encoding, none of them the last of a stream.
	blocks []byte
	// sum is the checksum of what is in them, where the encoding has one.
	sum uint32
}

func newPacker(keepBytes int64) (*packer, error) {
	kept, err := newest.New[packed](keepBytes)
	if err != nil {
		return nil, fmt.Errorf("serve: cache of compressed documents: %w", err)
	}
	encoder, err := zstd.NewWriter(nil, zstdOptions()...)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	return &packer{kept: kept, zstd: encoder}, nil
}

func zstdOptions() []zstd.EOption {
	return []zstd.EOption{
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true), zstd.WithLowerEncoderMem(true),
	}
}

// longest is the place of the longest piece: the document, where there is one.
func longest(pieces [][]byte) int {
	at := 0
	for i, piece := range pieces {
		if len(piece) > len(pieces[at]) {
			at = i
		}
	}
	return at
}

// Document names the document in an answer, of which there is one newest
// revision. Equal names and revisions have equal bytes. The zero value names none.
type Document struct {
	Name     string
	Revision uint64
}

// pack compresses a body. The compressed document, which is the longest piece, is
// kept where it has a name.
func (p *packer) pack(e encoding, pieces [][]byte, document Document) ([][]byte, error) {
	at := longest(pieces)
	doc, err := p.document(e, pieces[at], document)
	if err != nil {
		return nil, err
	}
	before, after := bytes.Join(pieces[:at], nil), bytes.Join(pieces[at+1:], nil)
	if e == encodingZstd {
		return [][]byte{appendRawBlocks(zstdHead(), before, false), doc.blocks, appendRawBlocks(nil, after, true)}, nil
	}
	sum := joinSums(crc32.ChecksumIEEE(before), doc.sum, len(pieces[at]))
	sum = crc32.Update(sum, crc32.IEEETable, after)
	tail := appendStored(nil, after, true)
	tail = binary.LittleEndian.AppendUint32(tail, sum)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(before)+len(pieces[at])+len(after)))
	return [][]byte{appendStored(gzipHead(), before, false), doc.blocks, tail}, nil
}

// document compresses a document, or finds it compressed. Of those who want the
// same one at the same time one compresses it.
func (p *packer) document(e encoding, plain []byte, of Document) (packed, error) {
	compress := p.deflate
	if e == encodingZstd {
		compress = p.zstdBlocks
	}
	if of.Name == "" {
		return compress(plain)
	}
	name := e.token() + " " + of.Name
	if doc, ok := p.kept.Get(name, of.Revision); ok {
		return doc, nil
	}
	made, err, _ := p.packing.Do(fmt.Sprintf("%d %s", of.Revision, name), func() (any, error) {
		doc, err := compress(plain)
		if err == nil {
			p.kept.Keep(name, of.Revision, doc, len(doc.blocks))
		}
		return doc, err
	})
	doc, _ := made.(packed)
	return doc, err
}

// deflate compresses into blocks of DEFLATE that end on a whole byte.
func (p *packer) deflate(plain []byte) (packed, error) {
	var out bytes.Buffer
	w, ok := p.deflates.Get().(*flate.Writer)
	if ok {
		w.Reset(&out)
	} else {
		var err error
		if w, err = flate.NewWriter(&out, gzipLevel); err != nil {
			return packed{}, fmt.Errorf("serve: %w", err)
		}
	}
	defer p.deflates.Put(w)
	if _, err := w.Write(plain); err != nil {
		return packed{}, fmt.Errorf("serve: compress: %w", err)
	}
	if err := w.Flush(); err != nil {
		return packed{}, fmt.Errorf("serve: compress: %w", err)
	}
	return packed{blocks: bytes.Clone(out.Bytes()), sum: crc32.ChecksumIEEE(plain)}, nil
}

// gzipHead is the head of a gzip stream that says nothing of a file.
func gzipHead() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} }

// joinSums is the CRC-32 of bytes with the first sum, followed by size bytes with
// the second: the first is moved up by so many zero bytes, which is a
// multiplication of polynomials.
func joinSums(first, second uint32, size int) uint32 {
	const one = uint32(1) << 31 // the lowest power comes first in this CRC
	shift, square := one, one>>8
	for n := size; n > 0; n >>= 1 {
		if n&1 == 1 {
			shift = multiply(shift, square)
		}
		square = multiply(square, square)
	}
	return multiply(first, shift) ^ second
}

// multiply multiplies two polynomials modulo that of CRC-32.
func multiply(a, b uint32) uint32 {
	product := uint32(0)
	for bit := uint32(1) << 31; bit > 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.IEEE
		}
	}
	return product
}

// appendStored adds bytes as DEFLATE's blocks that are not compressed.
func appendStored(dst, plain []byte, last bool) []byte {
	const most = 1<<16 - 1
	for {
		block := plain[:min(len(plain), most)]
		plain = plain[len(block):]
		final := byte(0)
		if last && len(plain) == 0 {
			final = 1
		}
		dst = append(dst, final)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(block)))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(len(block)))
		dst = append(dst, block...)
		if len(plain) == 0 {
			return dst
		}
	}
}

// zstdHead is the head of a frame of unknown size with our window.
func zstdHead() []byte {
	const windowOf1MiB = 10 << 3 // 1 KiB, doubled ten times
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0, windowOf1MiB}
}

const (
	zstdBlockHead = 3
	// zstdRepeated is the kind of block that is one byte many times.
	zstdRepeated = 1
)

// appendRawBlocks adds bytes as zstd's blocks that are not compressed. Such
// blocks leave the decoder's state as it is, so blocks that were compressed as a
// frame of their own may follow them.
func appendRawBlocks(dst, plain []byte, last bool) []byte {
	const most = 128 << 10
	for {
		block := plain[:min(len(plain), most)]
		plain = plain[len(block):]
		head := uint32(len(block)) << 3
		if last && len(plain) == 0 {
			head |= 1
		}
		dst = append(dst, byte(head), byte(head>>8), byte(head>>16))
		dst = append(dst, block...)
		if len(plain) == 0 {
			return dst
		}
	}
}

// zstdBlocks compresses into the blocks of a frame, none of them marked as its
// last.
func (p *packer) zstdBlocks(plain []byte) (packed, error) {
	frame := p.zstd.EncodeAll(plain, nil)
	var head zstd.Header
	if err := head.Decode(frame); err != nil {
		return packed{}, fmt.Errorf("serve: compress: %w", err)
	}
	blocks := bytes.Clone(frame[head.HeaderSize:])
	for at := 0; ; {
		if len(blocks) < at+zstdBlockHead {
			return packed{}, fmt.Errorf("serve: compress: a frame of %d bytes ends in a block's head", len(frame))
		}
		info := uint32(blocks[at]) | uint32(blocks[at+1])<<8 | uint32(blocks[at+2])<<16
		size := int(info >> 3)
		if kind := info >> 1 & 3; kind == zstdRepeated {
			size = 1 // the byte that is repeated
		}
		last := info&1 == 1
		blocks[at] &^= 1
		at += zstdBlockHead + size
		if last {
			if at != len(blocks) {
				return packed{}, fmt.Errorf("serve: compress: a frame of %d bytes has %d after its last block", len(frame), len(blocks)-at)
			}
			return packed{blocks: blocks}, nil
		}
	}
}
