package manifest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg/manifest"
	"github.com/floeberg/floeberg/internal/iceberg/manifest/manifesttest"
)

func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestEntriesOfOtherWriters(t *testing.T) {
	t.Parallel()
	folder := func(version int) string { return fmt.Sprintf("file:///wh/ns/t%d/data/", version) }
	for _, tc := range []struct {
		file    string
		version int
		removed bool
		entries int
	}{
		{"pyiceberg_v1_manifest.avro", 1, false, 3},
		{"pyiceberg_v2_manifest.avro", 2, false, 3},
		{"pyiceberg_v1_removed.avro", 1, true, 1},
		{"pyiceberg_v2_removed.avro", 2, true, 1},
		{"fastavro_null_manifest.avro", 2, false, 3},
		{"fastavro_deflate_manifest.avro", 2, false, 3},
		{"fastavro_snappy_manifest.avro", 2, false, 3},
		{"fastavro_zstandard_manifest.avro", 2, false, 3},
	} {
		entries, err := collect(manifest.ReadEntries(bytes.NewReader(sample(t, tc.file))))
		if err != nil {
			t.Errorf("%s: %v", tc.file, err)
			continue
		}
		if len(entries) != tc.entries {
			t.Errorf("%s has %d entries, want %d", tc.file, len(entries), tc.entries)
		}
		for i, e := range entries {
			partition := []string{"cat=a", "cat=b", "cat=c%252F+d"}[i]
			if !strings.HasPrefix(e.Path, folder(tc.version)+partition+"/0000") || !strings.HasSuffix(e.Path, ".parquet") || e.Removed != tc.removed {
				t.Errorf("%s: entry %d is %+v", tc.file, i, e)
			}
		}
	}
}

func TestListsOfOtherWriters(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pyiceberg_v1_list.avro", "pyiceberg_v2_list.avro", "fastavro_null_list.avro"} {
		files, err := collect(manifest.ReadList(bytes.NewReader(sample(t, name))))
		if err != nil || len(files) != 2 {
			t.Errorf("%s: %v, %v", name, files, err)
			continue
		}
		for i, f := range files {
			marked := name == "fastavro_null_list.avro" && i == 0
			if !strings.HasPrefix(f.Path, "file:///wh/ns/t") || !strings.HasSuffix(f.Path, "-m0.avro") || f.Deletes != marked || f.Encrypted != marked {
				t.Errorf("%s: manifest %d is %+v", name, i, f)
			}
		}
	}
}

func TestManyBlocks(t *testing.T) {
	t.Parallel()
	var written []manifesttest.Entry
	var want []manifest.Entry
	for i := range 1234 {
		path := fmt.Sprintf("s3://b/t/data/%d.parquet", i)
		written = append(written, manifesttest.Entry{Path: path, Removed: i%7 == 0})
		want = append(want, manifest.Entry{Path: path, Removed: i%7 == 0})
	}
	raw := manifesttest.Manifest(1, written)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(raw), "byte by byte": iotest.OneByteReader(bytes.NewReader(raw)),
	} {
		got, err := collect(manifest.ReadEntries(r))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, err := range manifest.ReadEntries(bytes.NewReader(raw)) {
		if err != nil {
			t.Error(err)
		}
		break // A reader that has seen enough must not be called again.
	}
}

func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	if got, err := collect(manifest.ReadEntries(bytes.NewReader(manifesttest.Manifest(1, nil)))); err != nil || len(got) != 0 {
		t.Errorf("a manifest without entries: %v, %v", got, err)
	}
	if got, err := collect(manifest.ReadList(bytes.NewReader(manifesttest.List(1, nil)))); err != nil || len(got) != 0 {
		t.Errorf("a list without manifests: %v, %v", got, err)
	}
}

// A file that ends anywhere but behind a block must never look like a shorter
// one: what the rest names would be forgotten.
func TestCutFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pyiceberg_v2_manifest.avro", "fastavro_zstandard_manifest.avro", "fastavro_snappy_manifest.avro"} {
		raw := sample(t, name)
		whole, err := collect(manifest.ReadEntries(bytes.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		clean := 0
		for n := range len(raw) {
			got, err := collect(manifest.ReadEntries(bytes.NewReader(raw[:n])))
			if err == nil {
				clean++
			} else if !errors.Is(err, manifest.ErrMalformed) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
			if len(got) > len(whole) {
				t.Fatalf("%s cut to %d bytes has %d entries", name, n, len(got))
			}
		}
		// At the ends of blocks alone: of each object one, at most, and of the header.
		if clean > len(whole) {
			t.Errorf("%s: %d shorter files are taken for whole ones", name, clean)
		}
	}
}

func TestReaderFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("the store went away")
	raw := sample(t, "pyiceberg_v2_manifest.avro")
	for n := range len(raw) {
		r := io.MultiReader(bytes.NewReader(raw[:n]), iotest.ErrReader(broken))
		if _, err := collect(manifest.ReadEntries(r)); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: %v, want the reader's error", n, err)
		}
	}
}

// file is a container made by hand.
func file(schema, codec string, blocks ...[]byte) []byte {
	const sync = "0123456789abcdef"
	text := func(b []byte, s string) []byte {
		return append(binary.AppendVarint(b, int64(len(s))), s...)
	}
	out := binary.AppendVarint([]byte("Obj\x01"), 2)
	out = text(text(out, "avro.schema"), schema)
	out = text(text(out, "avro.codec"), codec)
	out = append(binary.AppendVarint(out, 0), sync...)
	for _, b := range blocks {
		out = append(append(out, b...), sync...)
	}
	return out
}

func block(objects, size int64, body []byte) []byte {
	return append(binary.AppendVarint(binary.AppendVarint(nil, objects), size), body...)
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	const (
		entry  = `{"type":"record","name":"e","fields":[{"name":"status","type":"int"},{"name":"data_file","type":{"type":"record","name":"f","fields":[{"name":"file_path","type":"string"}]}}]}`
		nulls  = `{"type":"record","name":"e","fields":[{"name":"x","type":{"type":"array","items":"null"}}]}`
		nested = `{"type":"record","name":"e","fields":[{"name":"e","type":["null","e"]}]}`
		itself = `{"type":"record","name":"e","fields":[{"name":"e","type":"e"}]}`
		empty  = `{"type":"record","name":"e","fields":[]}`
	)
	deep := strings.Repeat(`{"type":"array","items":`, 500) + `"int"` + strings.Repeat("}", 500)
	for name, raw := range map[string][]byte{
		"nothing":                  nil,
		"something else":           []byte("PAR1 is not what was asked for"),
		"no schema":                file("", "null"),
		"schema without type":      file("{}", "null"),
		"schema of a string":       file(`"string"`, "null"),
		"deep schema":              file(deep, "null"),
		"unknown name":             file(`{"type":"record","name":"e","fields":[{"name":"x","type":"y"}]}`, "null"),
		"fields of no use":         file(`{"type":"record","name":"e","fields":[null]}`, "null"),
		"negative fixed":           file(`{"type":"record","name":"e","fields":[{"name":"x","type":{"type":"fixed","name":"f","size":-1}}]}`, "null"),
		"huge block":               file(entry, "null", block(1, 1<<40, nil)),
		"announced, not there":     file(entry, "null", block(1, 1<<20, []byte{1})),
		"negative objects":         file(entry, "null", block(-1, 0, nil)),
		"endless number":           file(entry, "null", block(1, 11, bytes.Repeat([]byte{0xFF}, 11))),
		"path past its block":      file(entry, "null", block(1, 2, []byte{2, 100})),
		"negative length":          file(entry, "null", block(1, 2, []byte{2, 3})),
		"empty path":               file(entry, "null", block(1, 2, []byte{2, 0})),
		"bytes left over":          file(entry, "null", block(1, 4, []byte{2, 2, 'x', 0})),
		"more objects than bytes":  file(empty, "null", block(1<<50, 0, nil)),
		"nulls without end":        file(nulls, "null", block(1, 10, append(binary.AppendVarint(nil, 1<<50), 0, 0))),
		"deep value":               file(nested, "null", block(1, 4000, bytes.Repeat([]byte{2}, 4000))),
		"record in itself":         file(itself, "null", block(1, 0, nil)),
		"no such branch":           file(nested, "null", block(1, 1, []byte{4})),
		"not deflate":              file(entry, "deflate", block(1, 3, []byte{9, 9, 9})),
		"not snappy":               file(entry, "snappy", block(1, 6, []byte{9, 9, 9, 9, 9, 9})),
		"snappy without checksum":  file(entry, "snappy", block(1, 1, []byte{9})),
		"snappy of huge size":      file(entry, "snappy", block(1, 10, []byte{0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0, 0, 0})),
		"not zstd":                 file(entry, "zstandard", block(1, 3, []byte{9, 9, 9})),
		"status of another type":   file(`{"type":"record","name":"e","fields":[{"name":"status","type":"string"}]}`, "null", block(1, 1, []byte{0})),
		"data_file that is no one": file(`{"type":"record","name":"e","fields":[{"name":"data_file","type":"string"}]}`, "null", block(1, 1, []byte{0})),
	} {
		if got, err := collect(manifest.ReadEntries(bytes.NewReader(raw))); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("%s: %v, %v; want ErrMalformed", name, got, err)
		}
		if _, err := collect(manifest.ReadList(bytes.NewReader(raw))); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("%s as a list: %v, want ErrMalformed", name, err)
		}
	}
	_, err := collect(manifest.ReadEntries(bytes.NewReader(file(entry, "bzip2"))))
	if !errors.Is(err, manifest.ErrUnsupported) || !strings.Contains(err.Error(), "bzip2") {
		t.Errorf("an unknown codec: %v", err)
	}
	// A list is no manifest, and the other way round.
	if _, err := collect(manifest.ReadEntries(bytes.NewReader(sample(t, "pyiceberg_v2_list.avro")))); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("a list read as a manifest: %v", err)
	}
}

// A field that the writer's schema has as a reference to a name, in a namespace,
// in a union or as an enum is read like any other.
func TestSchemaForms(t *testing.T) {
	t.Parallel()
	const schema = `{"type":"record","name":"a.b.e","fields":[
		{"name":"kind","type":{"type":"enum","name":"k","symbols":["x","y"]}},
		{"name":"other","type":"k"},
		{"name":"again","type":["null","a.b.k"]},
		{"name":"counts","type":{"type":"map","values":{"type":"array","items":"long"}}},
		{"name":"sum","type":{"type":"fixed","name":"s","size":4}},
		{"name":"flag","type":"boolean"},{"name":"f","type":"float"},{"name":"d","type":{"type":"double"}},
		{"name":"status","type":["null","int"]},
		{"name":"data_file","type":["null",{"type":"record","name":"f","namespace":"q","fields":[{"name":"file_path","type":["null","string"]}]}]}]}`
	body := []byte{0, 2, 2, 0}
	body = append(body, 2, 2, 'm', 3, 4, 2, 4, 0, 0) // one pair; a run of two longs that says its size
	body = append(body, 1, 2, 3, 4)
	body = append(body, 1)
	body = append(body, make([]byte, 12)...)
	body = append(body, 2, 4)
	body = append(body, 2, 2, 6, 'a', '/', 'b')
	got, err := collect(manifest.ReadEntries(bytes.NewReader(file(schema, "null", block(1, int64(len(body)), body)))))
	if err != nil || len(got) != 1 || got[0] != (manifest.Entry{Path: "a/b", Removed: true}) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	samples, err := filepath.Glob("testdata/*.avro")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, name := range samples {
		f.Add(sample(f, filepath.Base(name)))
	}
	f.Add(manifesttest.Manifest(1, []manifesttest.Entry{{Path: "a"}, {Path: "b", Removed: true}}))
	f.Add(manifesttest.List(1, []manifesttest.File{{Path: "a", Key: []byte("k")}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, err := range []error{
			func() error { _, err := collect(manifest.ReadEntries(bytes.NewReader(raw))); return err }(),
			func() error { _, err := collect(manifest.ReadList(bytes.NewReader(raw))); return err }(),
		} {
			if err != nil && !errors.Is(err, manifest.ErrMalformed) && !errors.Is(err, manifest.ErrUnsupported) {
				t.Fatalf("an error of no class: %v", err)
			}
		}
	})
}
