package app_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each series that the documentation names is looked at by a test, which fails where it
// is not there or stands still.
func TestDocumentedSeriesAreLookedAt(t *testing.T) {
	t.Parallel()
	var tests bytes.Buffer
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		tests.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`(floeberg_[a-z_]*[a-z])[`{_]").FindAllSubmatch(text, -1) {
			named++
			if !bytes.Contains(tests.Bytes(), m[1]) {
				t.Errorf("%s names %s, which no test looks at", filepath.Base(page), m[1])
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d series were found", named)
	}
}
