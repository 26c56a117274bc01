package iceberg

import (
	"fmt"
	"strconv"
	"strings"
)

// MetadataFileName is the name of the metadata file of a version: 5 digits, so
// that names sort, and an id of its own, so that two writers never meet.
func MetadataFileName(version int, uuid string, gzip bool) string {
	if gzip {
		return fmt.Sprintf("%05d-%s.gz.metadata.json", version, uuid)
	}
	return fmt.Sprintf("%05d-%s.metadata.json", version, uuid)
}

// MetadataVersion is the version that the name of a metadata file begins with,
// or -1 if the file was not named by MetadataFileName.
func MetadataVersion(location string) int {
	name := location[strings.LastIndexByte(location, '/')+1:]
	digits, rest, ok := strings.Cut(name, "-")
	if !ok || !strings.HasSuffix(rest, ".metadata.json") && !strings.HasSuffix(rest, ".metadata.json.gz") {
		return -1
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return -1
	}
	version, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return -1
	}
	return int(version)
}
