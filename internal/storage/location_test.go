package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/storage"
)

func TestCanonicalSpellings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"file:///warehouse", "file:///warehouse"},
		{"file:///warehouse/", "file:///warehouse"},
		{"file:/warehouse", "file:///warehouse"},
		{"file:/warehouse/", "file:///warehouse"},
		{"FILE:///Warehouse", "file:///Warehouse"},
		{"file://localhost/warehouse", "file:///warehouse"},
		{"file://LocalHost/warehouse/a", "file:///warehouse/a"},
		{"file:///", "file:///"},
		{"file:/", "file:///"},
		{"file:////", ""},
		{"s3://bucket", "s3://bucket"},
		{"s3://bucket/", "s3://bucket"},
		{"s3://bucket/wh/ns/t", "s3://bucket/wh/ns/t"},
		{"s3://bucket/wh/ns/t/", "s3://bucket/wh/ns/t"},
		{"s3a://bucket/wh", "s3://bucket/wh"},
		{"s3n://bucket/wh", "s3://bucket/wh"},
		{"S3A://bucket/wh/", "s3://bucket/wh"},
		{"s3://my.bucket-1/wh", "s3://my.bucket-1/wh"},
		{"s3://Old_Bucket/wh", "s3://Old_Bucket/wh"},
		{"s3://bucket/a b/ü/日本", "s3://bucket/a b/ü/日本"},
		{"s3://bucket/a%20b/%2F/%2e%2e", "s3://bucket/a%20b/%2F/%2e%2e"},
		{"s3://bucket/a+b=c:d@e&f,g;h!i*j'k(l)", "s3://bucket/a+b=c:d@e&f,g;h!i*j'k(l)"},
		{"s3://bucket/.hidden/..more/a..b", "s3://bucket/.hidden/..more/a..b"},
		{"file:///a:b", "file:///a:b"},
		{"gs://bucket/wh/", "gs://bucket/wh"},
		{"GS://bucket", "gs://bucket"},
		{"gs://data.example.com/wh/a b%20c", "gs://data.example.com/wh/a b%20c"},
		{"gs://" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + ".com/x", "gs://" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + ".com/x"},
		{"abfss://box@acme.dfs.core.windows.net", "abfss://box@acme.dfs.core.windows.net"},
		{"abfss://box@acme.dfs.core.windows.net/", "abfss://box@acme.dfs.core.windows.net"},
		{"abfs://box@ACME.dfs.core.windows.net/wh/a@b/", "abfss://box@acme.dfs.core.windows.net/wh/a@b"},
		{"ABFSS://box@acme.dfs.core.usgovcloudapi.net/.hidden/a.b", "abfss://box@acme.dfs.core.usgovcloudapi.net/.hidden/a.b"},
		{"abfss://workspace@onelake.dfs.fabric.microsoft.com/x", "abfss://workspace@onelake.dfs.fabric.microsoft.com/x"},
		{"s3://bucket/" + strings.Repeat("k", 1024), "s3://bucket/" + strings.Repeat("k", 1024)},
	} {
		got, err := storage.Canonical(tc.in)
		if tc.want == "" {
			if !errors.Is(err, storage.ErrInvalidLocation) {
				t.Errorf("Canonical(%q) = %q, %v, want ErrInvalidLocation", tc.in, got, err)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("Canonical(%q) = %q, %v, want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty":                  "",
		"no scheme":              "/warehouse",
		"relative":               "warehouse/t",
		"only a scheme":          "s3:",
		"scheme and slashes":     "s3://",
		"other scheme":           "http://host/x",
		"later scheme":           "hdfs://host/x",
		"space before scheme":    " s3://bucket/x",
		"digit first":            "3s://bucket/x",
		"empty scheme":           "://bucket/x",
		"s3 without authority":   "s3:/bucket/x",
		"s3 three slashes":       "s3:///bucket/x",
		"file host":              "file://host/x",
		"file host only":         "file://host",
		"file relative":          "file:x",
		"file userinfo":          "file://me@localhost/x",
		"doubled slash":          "s3://bucket/a//b",
		"doubled slash first":    "s3://bucket//b",
		"only a doubled slash":   "s3://bucket//",
		"doubled slash last":     "s3://bucket/a//",
		"doubled slash in file":  "file:///a//b",
		"dot":                    "s3://bucket/a/./b",
		"dot dot":                "s3://bucket/a/../b",
		"dot dot last":           "s3://bucket/a/..",
		"dot dot with slash":     "file:///a/../",
		"dot dot first":          "file:///../etc",
		"bucket dot dot":         "s3://../x",
		"backslash":              `s3://bucket/a\b`,
		"backslash as separator": `file:///a\..\b`,
		"question mark":          "s3://bucket/a?versionId=1",
		"fragment":               "s3://bucket/a#b",
		"newline":                "s3://bucket/a\nb",
		"nul":                    "file:///a\x00b",
		"delete character":       "file:///a\x7fb",
		"C1 control":             "file:///a\u0085b",
		"invalid UTF-8":          "file:///a\xffb",
		"port":                   "s3://bucket:9000/x",
		"credentials":            "s3://key:secret@bucket/x",
		"short bucket":           "s3://ab/x",
		"long bucket":            "s3://" + strings.Repeat("b", 64) + "/x",
		"bucket dots":            "s3://a..b/x",
		"bucket edge":            "s3://-bucket/x",
		"bucket end":             "s3://bucket./x",
		"bucket escape":          "s3://buck%65t/x",
		"gs capitals":            "gs://Bucket/x",
		"gs port":                "gs://bucket:80/x",
		"gs doubled slash":       "gs://bucket//x",
		"gs no authority":        "gs:/bucket/x",
		"gs long part":           "gs://" + strings.Repeat("b", 64) + ".com/x",
		"gs long bucket":         "gs://" + strings.Repeat("b.", 111) + "com/x",
		"abfss no account":       "abfss://box/x",
		"abfss no container":     "abfss://@acme.dfs.core.windows.net/x",
		"abfss blob host":        "abfss://box@acme.blob.core.windows.net/x",
		"abfss any host":         "abfss://box@dfs.example.com/x",
		"abfss port":             "abfss://box@acme.dfs.core.windows.net:80/x",
		"abfss password":         "abfss://box:secret@acme.dfs.core.windows.net/x",
		"abfss two at signs":     "abfss://box@a@acme.dfs.core.windows.net/x",
		"abfss dot last":         "abfss://box@acme.dfs.core.windows.net/a.",
		"abfss dot in between":   "abfss://box@acme.dfs.core.windows.net/a./b",
		"abfss dot dot":          "abfss://box@acme.dfs.core.windows.net/../b",
		"abfss deep":             "abfss://box@acme.dfs.core.windows.net/" + strings.Repeat("k/", 255) + "k",
		"abfss empty label":      "abfss://box@acme..dfs.core.windows.net/x",
		"abfss authority only":   "abfss:box@acme.dfs.core.windows.net/x",
		"wasbs":                  "wasbs://box@acme.blob.core.windows.net/x",
		"long key":               "s3://bucket/" + strings.Repeat("k", 1025),
		"long segment":           "file:///" + strings.Repeat("k", 256),
		"long path":              "file:///" + strings.Repeat("k/", 2100),
		"huge":                   "file:///" + strings.Repeat("k/", 1<<20),
	} {
		got, err := storage.Canonical(in)
		if !errors.Is(err, storage.ErrInvalidLocation) {
			t.Errorf("%s: Canonical = %q, %v, want ErrInvalidLocation", name, got, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		root, location string
		want           bool
	}{
		{"s3://bucket/wh", "s3://bucket/wh", true},
		{"s3://bucket/wh", "s3://bucket/wh/t", true},
		{"s3://bucket/wh", "s3://bucket/wh/t/metadata/v1.json", true},
		{"s3://bucket/wh", "s3://bucket/wh2", false},
		{"s3://bucket/wh", "s3://bucket/wh-evil/t", false},
		{"s3://bucket/wh", "s3://bucket/WH/t", false},
		{"s3://bucket/wh", "s3://bucket", false},
		{"s3://bucket/wh", "s3://bucket2/wh/t", false},
		{"s3://bucket", "s3://bucket/t", true},
		{"s3://bucket", "s3://bucket2/t", false},
		{"file:///", "file:///", true},
		{"abfss://box@acme.dfs.core.windows.net/wh", "abfss://box@acme.dfs.core.windows.net/wh/t", true},
		{"abfss://box@acme.dfs.core.windows.net", "abfss://box2@acme.dfs.core.windows.net/t", false},
		{"abfss://box@acme.dfs.core.windows.net/wh", "abfss://box@other.dfs.core.windows.net/wh/t", false},
		{"gs://bucket/wh", "s3://bucket/wh/t", false},
		{"file:///", "file:///etc", true},
		{"file:///wh", "file:///wh/t", true},
		{"file:///wh", "file:///wh2", false},
		{"file:///wh", "s3://wh/t", false},
		// Whatever is not canonical is within nothing, and nothing is within it.
		{"s3://bucket/wh", "s3://bucket/wh/../other", false},
		{"s3://bucket/wh", "s3a://bucket/wh/t", false},
		{"s3://bucket/wh", "s3://bucket/wh/t/", false},
		{"s3://bucket/wh/", "s3://bucket/wh/t", false},
		{"", "", false},
		{"", "s3://bucket/wh", false},
	} {
		if got := storage.Within(tc.root, tc.location); got != tc.want {
			t.Errorf("Within(%q, %q) = %v, want %v", tc.root, tc.location, got, tc.want)
		}
	}
}

func TestAncestors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		root, location string
		want           []string
	}{
		{"s3://bucket/wh", "s3://bucket/wh/a/b/c", []string{"s3://bucket/wh/a", "s3://bucket/wh/a/b"}},
		{"s3://bucket", "s3://bucket/a/b", []string{"s3://bucket/a"}},
		{"file:///", "file:///a/b", []string{"file:///a"}},
		{"s3://bucket/wh", "s3://bucket/wh/a", nil},
		{"s3://bucket/wh", "s3://bucket/wh", nil},
		{"s3://bucket/wh", "s3://bucket/wh2/a/b", nil},
		{"s3://bucket/wh", "s3://bucket/wh/a/../b", nil},
	} {
		if diff := cmp.Diff(tc.want, storage.Ancestors(tc.root, tc.location)); diff != "" {
			t.Errorf("Ancestors(%q, %q) (-want +got):\n%s", tc.root, tc.location, diff)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		"s3://bucket/a/b/", "s3a://bucket", "file:/x/y", "file://localhost/x", "s3://bucket/a//b",
		"file:///a/../b", "S3://bucket/%2e%2e/x", "file:////", "s3://b\\c/x", "s3://bucket/é",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		canonical, err := storage.Canonical(in)
		if err != nil {
			if !errors.Is(err, storage.ErrInvalidLocation) {
				t.Fatalf("Canonical(%q): %v is not ErrInvalidLocation", in, err)
			}
			return
		}
		again, err := storage.Canonical(canonical)
		if err != nil || again != canonical {
			t.Fatalf("Canonical(%q) = %q, which is not canonical: %q, %v", in, canonical, again, err)
		}
		if slashed, err := storage.Canonical(canonical + "/"); canonical != "file:///" && (err != nil || slashed != canonical) {
			t.Fatalf("with a slash, %q becomes %q, %v", canonical, slashed, err)
		}
		path := canonical[strings.Index(canonical, "://")+3:]
		for _, bad := range []string{"//", "/../", "/./", "\\", "?", "#", "\x00"} {
			if strings.Contains(path+"/", bad) && path != "/" {
				t.Fatalf("Canonical(%q) = %q holds %q", in, canonical, bad)
			}
		}
		if !storage.Within(canonical, canonical) {
			t.Fatalf("%q is not within itself", canonical)
		}
	})
}
