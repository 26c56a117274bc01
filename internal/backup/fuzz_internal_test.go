package backup

import (
	"errors"
	"strings"
	"testing"
)

// FuzzManifest: whatever lies in the store, it is a manifest that leads nowhere but to
// its own snapshot, or is refused for a reason that has a name.
func FuzzManifest(f *testing.F) {
	hash := strings.Repeat("0a", 32)
	f.Add(`{"format":1,"id":"a","object":"a.snapshot","compression":"zstd","cluster_id":"c","bytes":1,"sha256":"` + hash + `","state_checksum":"` + hash[:32] + `"}`)
	f.Add(`{"format":2}`)
	f.Add(`{"format":1,"encryption":{"method":"rot13"}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := decodeManifest("a", "c", []byte(text))
		switch {
		case err == nil:
			if m.ID != "a" || m.ClusterID != "c" || m.Object != objectName("a", m.Encryption != nil) || m.Bytes <= 0 {
				t.Fatalf("%+v", m)
			}
		case !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrNewerFormat):
			t.Fatal(err)
		}
	})
}

// FuzzKeys: a file of keys is one, or is refused without a word of what is in it.
func FuzzKeys(f *testing.F) {
	f.Add("# made by age\nAGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ\n")
	f.Add("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
	f.Add("\n\n#\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseKeys([]byte(text))
		if err == nil {
			return
		}
		for line := range strings.Lines(text) {
			_, secret, ok := strings.Cut(strings.TrimSpace(line), "AGE-SECRET-KEY-1")
			if ok && len(secret) > 8 && strings.Contains(err.Error(), secret) {
				t.Fatalf("%q is told: %v", text, err)
			}
		}
	})
}
