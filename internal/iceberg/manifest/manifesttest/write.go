// Package manifesttest writes manifests and manifest lists for tests: of format
// version 2, for unpartitioned tables, with the fields that the format requires.
package manifesttest

import (
	"encoding/binary"
	"strconv"
)

// File is an entry of a manifest list.
type File struct {
	Path    string
	Length  int64
	Deletes bool
	// Key, where it is given, is the manifest's key metadata.
	Key []byte
}

// Entry is an entry of a manifest.
type Entry struct {
	Path    string
	Removed bool
	// Deletes tells that the file holds deletes by position.
	Deletes bool
}

const listSchema = `{"type":"record","name":"manifest_file","fields":[
{"name":"manifest_path","type":"string","field-id":500},
{"name":"manifest_length","type":"long","field-id":501},
{"name":"partition_spec_id","type":"int","field-id":502},
{"name":"content","type":"int","field-id":517},
{"name":"sequence_number","type":"long","field-id":515},
{"name":"min_sequence_number","type":"long","field-id":516},
{"name":"added_snapshot_id","type":"long","field-id":503},
{"name":"added_files_count","type":"int","field-id":504},
{"name":"existing_files_count","type":"int","field-id":505},
{"name":"deleted_files_count","type":"int","field-id":506},
{"name":"added_rows_count","type":"long","field-id":512},
{"name":"existing_rows_count","type":"long","field-id":513},
{"name":"deleted_rows_count","type":"long","field-id":514},
{"name":"partitions","type":["null",{"type":"array","items":{"type":"record","name":"r508","fields":[
 {"name":"contains_null","type":"boolean","field-id":509}]},"element-id":508}],"default":null,"field-id":507},
{"name":"key_metadata","type":["null","bytes"],"default":null,"field-id":519}]}`

const manifestSchema = `{"type":"record","name":"manifest_entry","fields":[
{"name":"status","type":"int","field-id":0},
{"name":"snapshot_id","type":["null","long"],"default":null,"field-id":1},
{"name":"sequence_number","type":["null","long"],"default":null,"field-id":3},
{"name":"file_sequence_number","type":["null","long"],"default":null,"field-id":4},
{"name":"data_file","type":{"type":"record","name":"r2","fields":[
 {"name":"content","type":"int","field-id":134},
 {"name":"file_path","type":"string","field-id":100},
 {"name":"file_format","type":"string","field-id":101},
 {"name":"partition","type":{"type":"record","name":"r102","fields":[]},"field-id":102},
 {"name":"record_count","type":"long","field-id":103},
 {"name":"file_size_in_bytes","type":"long","field-id":104},
 {"name":"column_sizes","type":["null",{"type":"array","items":{"type":"record","name":"k117_v118","fields":[
  {"name":"key","type":"int","field-id":117},{"name":"value","type":"long","field-id":118}]},"logicalType":"map"}],"default":null,"field-id":108}
]},"field-id":2}]}`

const tableSchema = `{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","required":true,"type":"long"},{"id":2,"name":"data","required":false,"type":"string"}]}`

// perBlock is how many objects a block holds.
const perBlock = 100

// List writes a manifest list.
func List(snapshot int64, files []File) []byte {
	objects := make([][]byte, 0, len(files))
	for _, f := range files {
		var b []byte
		b = text(b, f.Path)
		b = number(b, f.Length)
		b = number(b, 0) // partition_spec_id
		b = number(b, flag(f.Deletes))
		b = number(b, 1) // sequence_number
		b = number(b, 1) // min_sequence_number
		b = number(b, snapshot)
		for range 6 {
			b = number(b, 1) // counts
		}
		b = number(b, 0) // partitions: null
		if f.Key == nil {
			b = number(b, 0)
		} else {
			b = text(number(b, 1), string(f.Key))
		}
		objects = append(objects, b)
	}
	return container(listSchema, map[string]string{
		"format-version": "2", "snapshot-id": strconv.FormatInt(snapshot, 10), "sequence-number": "1",
	}, objects)
}

// Manifest writes a manifest.
func Manifest(snapshot int64, entries []Entry) []byte {
	objects := make([][]byte, 0, len(entries))
	content := "data"
	for _, e := range entries {
		status := int64(1)
		if e.Removed {
			status = 2
		}
		if e.Deletes {
			content = "deletes"
		}
		var b []byte
		b = number(b, status)
		b = number(number(b, 1), snapshot)
		b = number(number(b, 1), 1) // sequence_number
		b = number(number(b, 1), 1) // file_sequence_number
		b = number(b, flag(e.Deletes))
		b = text(b, e.Path)
		b = text(b, "PARQUET")
		b = number(b, 1)    // record_count
		b = number(b, 1000) // file_size_in_bytes
		b = number(b, 1)    // column_sizes: one run of two, and the end
		b = number(b, 2)
		b = number(number(b, 1), 100)
		b = number(number(b, 2), 200)
		b = number(b, 0)
		objects = append(objects, b)
	}
	return container(manifestSchema, map[string]string{
		"format-version": "2", "content": content, "schema": tableSchema, "schema-id": "0",
		"partition-spec": "[]", "partition-spec-id": "0",
	}, objects)
}

func container(schema string, meta map[string]string, objects [][]byte) []byte {
	const sync = "floeberg-testing"
	out := []byte("Obj\x01")
	out = number(out, int64(len(meta)+2))
	out = text(text(out, "avro.schema"), schema)
	out = text(text(out, "avro.codec"), "null")
	for name, value := range meta {
		out = text(text(out, name), value)
	}
	out = append(number(out, 0), sync...)
	for len(objects) > 0 {
		n := min(perBlock, len(objects))
		var block []byte
		for _, o := range objects[:n] {
			block = append(block, o...)
		}
		objects = objects[n:]
		out = number(out, int64(n))
		out = append(text(out, string(block)), sync...)
	}
	return out
}

func number(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func text(b []byte, v string) []byte { return append(number(b, int64(len(v))), v...) }

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
