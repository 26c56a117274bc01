package iceberg

import "encoding/base64"

// statistics is what the rules need of a statistics file, of a table or of its
// partitions.
type statistics struct {
	snapshotID int64
	path       string
}

// parseStatistics reads and checks an element of statistics.
func parseStatistics(raw []byte) (statistics, error) {
	r := readObject(raw, "statistics file")
	s := statistics{r.long("snapshot-id"), r.string("statistics-path")}
	r.long("file-size-in-bytes")
	r.long("file-footer-size-in-bytes")
	r.optString("key-metadata")
	for _, elem := range r.array("blob-metadata") {
		blob := readObject(elem, "blob metadata")
		blob.string("type")
		blob.long("snapshot-id")
		blob.long("sequence-number")
		blob.ints("fields", blob.array("fields"))
		if properties, ok := blob.optional("properties"); ok {
			blob.toStringMap("properties", properties)
		}
		if r.err == nil {
			r.err = blob.err
		}
	}
	return s, r.err
}

// parsePartitionStatistics reads and checks an element of partition-statistics.
func parsePartitionStatistics(raw []byte) (statistics, error) {
	r := readObject(raw, "partition statistics file")
	s := statistics{r.long("snapshot-id"), r.string("statistics-path")}
	r.long("file-size-in-bytes")
	return s, r.err
}

type encryptionKey struct {
	id  string
	raw []byte
}

// parseEncryptionKey reads and checks an element of encryption-keys.
func parseEncryptionKey(raw []byte) (encryptionKey, error) {
	r := readObject(raw, "encryption key")
	k := encryptionKey{id: r.string("key-id")}
	metadata := r.string("encrypted-key-metadata")
	r.optString("encrypted-by-id")
	if properties, ok := r.optional("properties"); ok {
		r.toStringMap("properties", properties)
	}
	if r.err != nil {
		return k, r.err
	}
	if _, err := base64.StdEncoding.DecodeString(metadata); err != nil {
		return k, invalidf("Cannot parse encrypted-key-metadata: not base64: %s", excerpt([]byte(metadata)))
	}
	k.raw = appendWithoutNulls(nil, raw)
	return k, nil
}
