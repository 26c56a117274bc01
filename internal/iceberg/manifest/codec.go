package manifest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// expander appends the uncompressed form of a block.
type expander func(dst, block []byte) ([]byte, error)

func expanderOf(codec string) (expander, error) {
	switch codec {
	case "", "null":
		return func(dst, block []byte) ([]byte, error) { return append(dst, block...), nil }, nil
	case "deflate":
		return inflate, nil
	case "snappy":
		return unsnap, nil
	case "zstandard":
		return unzstd, nil
	}
	const shown = 32
	if len(codec) > shown {
		codec = codec[:shown]
	}
	return nil, fmt.Errorf("%w: its codec is %q; null, deflate, snappy and zstandard are possible", ErrUnsupported, strings.ToValidUTF8(codec, "?"))
}

func tooLarge() error { return malformed("a block has more than %d bytes", maxBlockBytes) }

func inflate(dst, block []byte) ([]byte, error) {
	in := flate.NewReader(bytes.NewReader(block))
	out := bytes.NewBuffer(dst)
	n, err := io.Copy(out, io.LimitReader(in, maxBlockBytes+1))
	switch {
	case err != nil:
		return nil, malformed("a block can't be decompressed: %v", err)
	case n > maxBlockBytes:
		return nil, tooLarge()
	}
	return out.Bytes(), nil
}

// unsnap reads a snappy block and the checksum behind it.
func unsnap(dst, block []byte) ([]byte, error) {
	const sumBytes = 4
	if len(block) < sumBytes {
		return nil, malformed("a block has no checksum")
	}
	body, sum := block[:len(block)-sumBytes], binary.BigEndian.Uint32(block[len(block)-sumBytes:])
	n, err := snappy.DecodedLen(body)
	switch {
	case err != nil:
		return nil, malformed("a block can't be decompressed: %v", err)
	case n > maxBlockBytes:
		return nil, tooLarge()
	}
	out, err := snappy.Decode(dst[:cap(dst)], body)
	switch {
	case err != nil:
		return nil, malformed("a block can't be decompressed: %v", err)
	case crc32.ChecksumIEEE(out) != sum:
		return nil, malformed("a block's checksum does not hold")
	}
	return out, nil
}

// zstdDecoder is made by the first file that needs it.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlockBytes), zstd.WithDecoderLowmem(true))
})

func unzstd(dst, block []byte) ([]byte, error) {
	d, err := zstdDecoder()
	if err != nil {
		return nil, err
	}
	out, err := d.DecodeAll(block, dst)
	if err != nil {
		return nil, malformed("a block can't be decompressed: %v", err)
	}
	return out, nil
}
