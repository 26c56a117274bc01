package iceberg_test

import (
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

func TestMetadataFileNames(t *testing.T) {
	t.Parallel()
	if got, want := iceberg.MetadataFileName(3, "u-1", false), "00003-u-1.metadata.json"; got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	if got, want := iceberg.MetadataFileName(123456, "u", true), "123456-u.gz.metadata.json"; got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	for location, want := range map[string]int{
		"s3://b/t/metadata/00003-5f0a.metadata.json": 3,
		"00012-x.gz.metadata.json":                   12,
		"s3://b/00007-x/00012-x.metadata.json.gz":    12,
		"123456-x.metadata.json":                     123456,
		"s3://b/t/metadata/v3.metadata.json":         -1,
		"s3://b/t/metadata/latest.json":              -1,
		"s3://b/t/metadata/00003-5f0a.json":          -1,
		"s3://b/t/00003-x/":                          -1,
		"-x.metadata.json":                           -1,
		"+3-x.metadata.json":                         -1,
		"99999999999999999999-x.metadata.json":       -1,
		"":                                           -1,
	} {
		if got := iceberg.MetadataVersion(location); got != want {
			t.Errorf("version of %q is %d, want %d", location, got, want)
		}
	}
}
