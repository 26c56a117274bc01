package serve

import (
	"bytes"
	stdgzip "compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// unpack reads a compressed body as strictly as a decoder can: one stream and
// nothing behind it.
func unpack(t rapid.TB, e encoding, body []byte) []byte {
	t.Helper()
	in := bytes.NewReader(body)
	var plain []byte
	if e == encodingZstd {
		r, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if plain, err = io.ReadAll(r); err != nil {
			t.Fatalf("zstd: %v", err)
		}
		return plain
	}
	r, err := stdgzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	if plain, err = io.ReadAll(r); err != nil {
		t.Fatalf("gzip: %v", err)
	}
	if in.Len() != 0 {
		t.Fatalf("%d bytes behind the stream", in.Len())
	}
	return plain
}

// snapshots is JSON of about so many bytes as tables have it.
func snapshots(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var out bytes.Buffer
	for i := 0; out.Len() < size; i++ {
		fmt.Fprintf(&out, `{"snapshot-id":%d,"parent-snapshot-id":%d,"sequence-number":%d,"timestamp-ms":%d,"manifest-list":"s3://lake/wh/ns/t/metadata/snap-%d-1-%016x.avro","summary":{"operation":"append","added-records":"%d"},"schema-id":0},`,
			random.Uint64()>>1, random.Uint64()>>1, i, 1760000000000+i*60000, random.Uint64()>>1, random.Uint64(), random.IntN(5000))
	}
	return out.Bytes()
}

// Whatever a body consists of, it comes out of one stream, and what was kept
// fits between any other pieces.
func TestPackedBodiesAreOneStream(t *testing.T) {
	t.Parallel()
	p, err := newPacker(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	stock := snapshots(400_000)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, len(stock)).Draw(t, "document")
		from := rapid.IntRange(0, len(stock)-size).Draw(t, "from")
		document := stock[from : from+size]
		if rapid.Bool().Draw(t, "one byte only") {
			document = bytes.Repeat([]byte("x"), size)
		}
		name := Document{Name: fmt.Sprintf("%p %d", document, size), Revision: 1}
		for range 2 {
			pieces := [][]byte{
				[]byte(strings.Repeat("h", rapid.IntRange(0, size).Draw(t, "before"))), document,
				[]byte(strings.Repeat("t", rapid.IntRange(0, size).Draw(t, "after"))),
			}
			if longest(pieces) != 1 {
				name = Document{}
			}
			for _, e := range []encoding{encodingGzip, encodingZstd} {
				packed, err := p.pack(e, pieces, name)
				if err != nil {
					t.Fatal(err)
				}
				if got := unpack(t, e, bytes.Join(packed, nil)); !bytes.Equal(got, bytes.Join(pieces, nil)) {
					t.Fatalf("%s: %d bytes became %d others", e.token(), len(bytes.Join(pieces, nil)), len(got))
				}
			}
		}
	})
}

func TestJoinedSums(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		want := crc32.ChecksumIEEE(append(bytes.Clone(a), b...))
		if got := joinSums(crc32.ChecksumIEEE(a), crc32.ChecksumIEEE(b), len(b)); got != want {
			t.Fatalf("%08x, want %08x", got, want)
		}
	})
}

func TestAccept(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]struct {
		best encoding
		only bool
		none bool
	}{
		"":                                    {},
		"identity":                            {},
		"gzip":                                {best: encodingGzip},
		"x-gzip":                              {best: encodingGzip},
		"GZIP;Q=0.5":                          {best: encodingGzip},
		"gzip, deflate":                       {best: encodingGzip},
		"gzip, deflate, br, zstd":             {best: encodingZstd},
		"zstd;q=0.4, gzip;q=0.8":              {best: encodingGzip},
		"gzip;q=0.001":                        {best: encodingGzip},
		"gzip;q=0":                            {},
		"gzip;q=0, zstd":                      {best: encodingZstd},
		"*":                                   {best: encodingZstd},
		"*;q=0.1":                             {best: encodingZstd},
		"zstd;q=0, *":                         {best: encodingGzip},
		"gzip;q=0.5, identity;q=0.8":          {},
		"gzip, identity;q=0":                  {best: encodingGzip, only: true},
		"gzip, *;q=0":                         {best: encodingGzip, only: true},
		"identity;q=0":                        {none: true},
		"*;q=0":                               {none: true},
		"br, identity;q=0":                    {none: true},
		"br":                                  {},
		"gzip;q=2":                            {},
		"gzip;q=NaN":                          {},
		"gzip;q=-1, zstd;level=3":             {},
		"gzip;q=":                             {},
		",,;q=1, ;;,gzip":                     {best: encodingGzip},
		"\xff\xfe, gzip ; q = 0.3 , identity": {},
	} {
		got, err := accept(http.Header{"Accept-Encoding": {header}})
		if (err != nil) != want.none || err == nil && (got.best != want.best || got.only != want.only) {
			t.Errorf("%q: %+v, %v", header, got, err)
		}
	}
	if got, err := accept(http.Header{"Accept-Encoding": {"zstd;q=0", "gzip"}}); err != nil || got.best != encodingGzip {
		t.Errorf("two lines: %+v, %v", got, err)
	}
	if got, err := accept(nil); err != nil || got != (accepted{}) {
		t.Errorf("no line: %+v, %v", got, err)
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("gzip;q=0.5, zstd, identity;q=0", "*;q=0")
	f.Add("gzip;q=1e400;q=0", "\x00,=;=")
	f.Fuzz(func(t *testing.T, one, two string) {
		got, err := accept(http.Header{"Accept-Encoding": {one, two}})
		if err == nil && got.only && got.best == encodingNone {
			t.Fatalf("%q, %q: nothing is both wanted and refused", one, two)
		}
	})
}

// BenchmarkPack is what the first answer with a document pays for all others.
func BenchmarkPack(b *testing.B) {
	p, err := newPacker(1 << 20)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		doc := snapshots(size)
		for _, e := range []encoding{encodingGzip, encodingZstd} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, e.token()), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(doc)))
				size := 0
				for b.Loop() {
					packed, err := p.pack(e, [][]byte{doc}, Document{})
					if err != nil {
						b.Fatal(err)
					}
					size = len(bytes.Join(packed, nil))
				}
				b.ReportMetric(float64(size)/float64(len(doc)), "ratio")
			})
		}
	}
}
