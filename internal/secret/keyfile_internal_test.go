package secret

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreRead(t *testing.T) {
	text, name := NewKey()
	k, err := parseURL("file://"+keyFile(t, text), Cloud{})
	if err != nil || k.name != name || !k.local() {
		t.Fatalf("%+v, %v, want %s", k, err, name)
	}
	raw, err := parseKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for what, form := range map[string]string{
		"base64":            text,
		"without its end":   strings.TrimRight(text, "=\n"),
		"for URLs":          strings.NewReplacer("+", "-", "/", "_").Replace(text),
		"hex":               hex.EncodeToString(raw),
		"hex in capitals":   " " + strings.ToUpper(hex.EncodeToString(raw)) + "\r\n",
		"with space around": "\n " + text + "\n",
	} {
		t.Setenv("SEAL_TEST_KEY", form)
		k, err := parseURL("env://SEAL_TEST_KEY", Cloud{})
		if err != nil || k.name != name {
			t.Errorf("%s: %+v, %v", what, k, err)
		}
	}
}

// What is no key is told as such, with the mend, and never repeated: it may be one in
// the wrong place.
func TestBadKeys(t *testing.T) {
	secret, _ := NewKey()
	open := keyFile(t, secret)
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	short, long, empty := keyFile(t, secret[:30]), keyFile(t, secret[:43]+secret), keyFile(t, "\n")
	t.Setenv("SEAL_TEST_SHORT", secret[:22])
	t.Setenv("SEAL_TEST_EMPTY", "")
	for address, says := range map[string]string{
		"":                             "expected file:///PATH",
		strings.TrimSpace(secret):      "expected file:///PATH",
		"base64key://" + secret[:43]:   "unknown place base64key://",
		"file://relative/path":         "absolute path",
		"file:relative":                "absolute path",
		"file://" + open:               "chmod 0600",
		"file://" + short:              "expected 32 bytes",
		"file://" + long:               "expected 32 bytes",
		"file://" + empty:              "expected 32 bytes",
		"file://" + filepath.Dir(open): "is no file",
		"file:///nowhere/secret.key":   "no such file",
		"env://":                       "expected the name of a variable",
		"env://A/B":                    "expected the name of a variable",
		"env://SEAL_TEST_ABSENT":       "SEAL_TEST_ABSENT is not set",
		"env://SEAL_TEST_EMPTY":        "SEAL_TEST_EMPTY is not set",
		"env://SEAL_TEST_SHORT":        "expected 32 bytes",
		"env://FLOEBERG_SECRET":        "give it another name",
		"hashivault://":                "expected hashivault://KEY",
		"hashivault://k?token=x":       "the only parameter is engine",
		"awskms://alias/x?profile=y":   "the only parameters are region and endpoint",
		"awskms://alias/x?region=a&endpoint=http://kms.example":         "must be https://",
		"awskms://?region=eu-central-1":                                 "name is missing",
		"gcpkms://projects/p":                                           "expected gcpkms://projects/PROJECT",
		"azurekeyvault://v.vault.azure.net.evil.example/keys/k":         "expected azurekeyvault://VAULT",
		"azurekeyvault://v.vault.azure.net/secrets/k":                   "expected azurekeyvault://VAULT",
		"hashivault://root:" + strings.Repeat("s3cret", 4) + "@transit": "credentials don't belong",
	} {
		_, err := parseURL(address, Cloud{})
		if !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", address, err, says)
			continue
		}
		if quotes(err.Error(), secret) {
			t.Errorf("%s: the error has the key in it: %v", address, err)
		}
	}
}

func TestRemoteKeysAreNamed(t *testing.T) {
	t.Parallel()
	for address, name := range map[string]string{
		"awskms://alias/floeberg?region=eu-central-1":             "awskms://alias/floeberg",
		"awskms:///arn:aws:kms:eu-central-1:1:key/2":              "awskms:///arn:aws:kms:eu-central-1:1:key/2",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k": "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k",
		"azurekeyvault://v.vault.azure.net/keys/k":                "azurekeyvault://v.vault.azure.net/keys/k",
		"hashivault://floeberg?engine=transit":                    "hashivault://floeberg",
	} {
		k, err := parseURL(address, Cloud{})
		if err != nil || k.name != name || k.local() {
			t.Errorf("%s: %+v, %v", address, k, err)
		}
	}
}

// FuzzKey: what a file holds is a key of the right length, or none, and is not told.
func FuzzKey(f *testing.F) {
	text, _ := NewKey()
	f.Add(text)
	f.Add(strings.Repeat("ab", 32))
	f.Add("=")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseKey([]byte(text))
		if err == nil && len(key) != keyBytes {
			t.Fatalf("%d bytes", len(key))
		}
	})
}
