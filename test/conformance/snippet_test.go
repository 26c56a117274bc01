package conformance_test

import (
	"os"
	"strings"
	"testing"
)

// snippet is the first block of code below a heading of docs/clients.md, with
// the address and the key of a running cluster in place of the ones that the
// page shows, where it shows a key: what a user copies from there is what is tested here.
func snippet(t *testing.T, heading, url, key string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "# "+heading+"\n")
	if !found {
		t.Fatalf("docs/clients.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n##")
	_, block, found := strings.Cut("\n"+section, "\n```")
	if !found {
		t.Fatalf("the section %q of docs/clients.md has no code", heading)
	}
	_, code, _ := strings.Cut(block, "\n") // the name of the language
	code, _, closed := strings.Cut(code, "\n```")
	if !closed {
		t.Fatalf("the code in section %q of docs/clients.md does not end", heading)
	}
	const address = "http://127.0.0.1:8181"
	if !strings.Contains(code, address) {
		t.Fatalf("the code in section %q of docs/clients.md does not name %s", heading, address)
	}
	return strings.NewReplacer(address, url, "fb_…", key).Replace(code) + "\n"
}

// properties reads a snippet of lines key=value, as Spark and Trino have them.
func properties(t *testing.T, text string) map[string]string {
	t.Helper()
	read := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			t.Fatalf("docs/clients.md: %q is no key=value", line)
		}
		read[key] = value
	}
	return read
}
