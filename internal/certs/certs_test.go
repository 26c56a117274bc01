package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/certs"
)

var now = time.Date(2031, 5, 7, 12, 0, 0, 0, time.UTC)

func authority(t *testing.T, days int) (dir string, a *certs.Authority) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "deep", "ca")
	if _, err := certs.MakeAuthority(certs.AuthorityOptions{Dir: dir, Days: days, Now: now}); err != nil {
		t.Fatal(err)
	}
	a, err := certs.OpenAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return dir, a
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestNodeIsWhoTheAuthoritySays(t *testing.T) {
	t.Parallel()
	dir, a := authority(t, 0)
	out := filepath.Join(t.TempDir(), "node1")
	made, err := a.Issue(certs.NodeOptions{Dir: out, ID: "node1", Hosts: []string{"Node1.example.com", " 10.0.0.1", "[fd00::1]", "node_1", ""}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		dir: 0o700, filepath.Join(dir, "ca.key"): 0o600, filepath.Join(dir, "ca.crt"): 0o644,
		out: 0o700, made.Key: 0o600, made.Certificate: 0o644,
	} {
		if got := mode(t, path); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	pair, err := tls.LoadX509KeyPair(made.Certificate, made.Key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, host := range []string{"node1.example.com", "10.0.0.1", "fd00::1"} {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
			if err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if err := pair.Leaf.VerifyHostname("node2.example.com"); err == nil {
		t.Error("it is good for another name")
	}
	if got := pair.Leaf.Subject.CommonName; got != "node1" {
		t.Errorf("it is of %q", got)
	}

	described, err := certs.Describe(made.Certificate, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]certs.Info{made.Info}, described); diff != "" {
		t.Error(diff)
	}
	got := described[0]
	if diff := cmp.Diff([]string{"node1.example.com", "node_1", "10.0.0.1", "fd00::1"}, got.Hosts); diff != "" {
		t.Error(diff)
	}
	if got.Authority || !got.Server || !got.Client || got.State != certs.Valid || !strings.Contains(got.GoodFor(), "both sides") || got.Key != "ECDSA P-256" {
		t.Errorf("%+v", got)
	}
	if want := now.AddDate(0, 0, certs.DefaultNodeDays); !got.NotAfter.Equal(want) {
		t.Errorf("valid until %s, want %s", got.NotAfter, want)
	}
	ca, err := certs.Describe(filepath.Join(dir, "ca.crt"), now.AddDate(20, 0, 0))
	if err != nil || !ca[0].Authority || ca[0].State != certs.Expired || !strings.Contains(ca[0].GoodFor(), "signing") {
		t.Errorf("%v %+v", err, ca)
	}
}

// leftovers are files that a refused or finished command must not leave.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	dir, a := authority(t, 0)
	before, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs.MakeAuthority(certs.AuthorityOptions{Dir: dir, Now: now}); !errors.Is(err, certs.ErrExists) {
		t.Errorf("got %v", err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil || string(before) != string(after) {
		t.Errorf("%v: the key has changed", err)
	}
	if diff := cmp.Diff([]string{"ca.crt", "ca.key"}, leftovers(t, dir)); diff != "" {
		t.Error(diff)
	}
	// One file of a pair is enough, and the other one is not made.
	for _, there := range []string{"node.crt", "node.key"} {
		out := t.TempDir()
		if err := os.WriteFile(filepath.Join(out, there), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := a.Issue(certs.NodeOptions{Dir: out, ID: "n1", Hosts: []string{"n1"}, Now: now})
		if !errors.Is(err, certs.ErrExists) || !strings.Contains(err.Error(), there) {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff([]string{there}, leftovers(t, out)); diff != "" {
			t.Error(diff)
		}
	}
	// A link to nowhere is there, too.
	out := t.TempDir()
	if err := os.Symlink("/nonexistent/x", filepath.Join(out, "node.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(certs.NodeOptions{Dir: out, ID: "n1", Hosts: []string{"n1"}, Now: now}); !errors.Is(err, certs.ErrExists) {
		t.Errorf("got %v", err)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	_, a := authority(t, 0)
	out := t.TempDir()
	opts := certs.NodeOptions{Dir: out, ID: "n1", Hosts: []string{"n1"}, Renew: true, Now: now}
	if _, err := a.Issue(opts); err == nil || !strings.Contains(err.Error(), "nothing to renew") {
		t.Errorf("got %v", err)
	}
	opts.Renew = false
	first, err := a.Issue(opts)
	if err != nil {
		t.Fatal(err)
	}
	opts.Renew, opts.Now = true, now.AddDate(0, 6, 0)
	second, err := a.Issue(opts)
	if err != nil {
		t.Fatal(err)
	}
	if first.Info.Serial == second.Info.Serial || !second.Info.NotAfter.After(first.Info.NotAfter) {
		t.Errorf("%+v after %+v", second.Info, first.Info)
	}
	if _, err := tls.LoadX509KeyPair(second.Certificate, second.Key); err != nil {
		t.Error(err)
	}
	if got := mode(t, second.Key); got != 0o600 {
		t.Errorf("the key has mode %o", got)
	}
	opts.ID = "n2"
	if _, err := a.Issue(opts); err == nil || !strings.Contains(err.Error(), "n1") {
		t.Errorf("another node's files are replaced: %v", err)
	}
}

func TestWhatCanNotBeSigned(t *testing.T) {
	t.Parallel()
	_, a := authority(t, 100)
	for name, tc := range map[string]struct {
		opts certs.NodeOptions
		says string
	}{
		"an id of two words": {certs.NodeOptions{ID: "n 1", Hosts: []string{"n1"}}, "one word"},
		"no host":            {certs.NodeOptions{ID: "n1", Hosts: []string{""}}, "without host"},
		"a port":             {certs.NodeOptions{ID: "n1", Hosts: []string{"n1:8182"}}, "leave the port away: n1"},
		"an IP misspelled":   {certs.NodeOptions{ID: "n1", Hosts: []string{"10.0.0.999"}}, "expected a name or an address"},
		"a port of an IP":    {certs.NodeOptions{ID: "n1", Hosts: []string{"10.0.0.1:8182"}}, "leave the port away: 10.0.0.1"},
		"a URL":              {certs.NodeOptions{ID: "n1", Hosts: []string{"https://n1"}}, "https://n1"},
		"a space":            {certs.NodeOptions{ID: "n1", Hosts: []string{"n1 n2"}}, "n1 n2"},
		"every address":      {certs.NodeOptions{ID: "n1", Hosts: []string{"0.0.0.0"}}, "all addresses"},
		"no id":              {certs.NodeOptions{Hosts: []string{"n1"}}, "node's id"},
		"a long id":          {certs.NodeOptions{ID: strings.Repeat("n", 65), Hosts: []string{"n1"}}, "at most 64"},
		"a control sign":     {certs.NodeOptions{ID: "n\n1", Hosts: []string{"n1"}}, "node's id"},
		"beyond the CA":      {certs.NodeOptions{ID: "n1", Hosts: []string{"n1"}, Days: 101}, "the authority"},
		"beyond all reason":  {certs.NodeOptions{ID: "n1", Hosts: []string{"n1"}, Days: 1 << 30}, "1 to 36500"},
		"before it is valid": {certs.NodeOptions{ID: "n1", Hosts: []string{"n1"}, Days: -1}, "1 to 36500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.opts.Dir, tc.opts.Now = filepath.Join(t.TempDir(), "out"), now
			_, err := a.Issue(tc.opts)
			if !errors.Is(err, certs.ErrInput) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
			if _, err := os.Stat(tc.opts.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder was made: %v", err)
			}
		})
	}
	// A default that would outlive the authority ends with it.
	made, err := a.Issue(certs.NodeOptions{Dir: t.TempDir(), ID: "n1", Hosts: []string{"n1"}, Now: now})
	if err != nil || !made.Info.NotAfter.Equal(now.AddDate(0, 0, 100)) {
		t.Errorf("%v, valid until %s", err, made.Info.NotAfter)
	}
}

func TestAuthoritiesThatSignNothing(t *testing.T) {
	t.Parallel()
	dir, a := authority(t, 10)
	if _, err := certs.OpenAuthority(dir, now.AddDate(0, 0, 10)); !errors.Is(err, certs.ErrExpired) {
		t.Errorf("got %v", err)
	}
	if _, err := certs.OpenAuthority(t.TempDir(), now); err == nil || !strings.Contains(err.Error(), "floeberg cert ca") {
		t.Errorf("got %v", err)
	}
	other, _ := authority(t, 10)
	move := func(from, to string) {
		t.Helper()
		raw, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move(filepath.Join(dir, "ca.key"), filepath.Join(other, "ca.key"))
	if _, err := certs.OpenAuthority(other, now); !errors.Is(err, certs.ErrKeyMismatch) {
		t.Errorf("got %v", err)
	}
	node, err := a.Issue(certs.NodeOptions{Dir: t.TempDir(), ID: "n1", Hosts: []string{"n1"}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	move(node.Certificate, filepath.Join(other, "ca.crt"))
	if _, err := certs.OpenAuthority(other, now); !errors.Is(err, certs.ErrNotAuthority) {
		t.Errorf("got %v", err)
	}
	move(filepath.Join(dir, "ca.crt"), filepath.Join(other, "ca.crt"))
	if err := os.WriteFile(filepath.Join(other, "ca.key"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.OpenAuthority(other, now); err == nil || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("got %v", err)
	}
	if _, err := certs.Describe(node.Key, now); !errors.Is(err, certs.ErrNoCertificate) || !strings.Contains(err.Error(), "PRIVATE KEY") {
		t.Errorf("got %v", err)
	}
	if _, err := certs.Describe(filepath.Join(other, "ca.key"), now); !errors.Is(err, certs.ErrNoCertificate) {
		t.Errorf("got %v", err)
	}
	for _, opts := range []certs.AuthorityOptions{{Name: strings.Repeat("x", 65)}, {Name: " "}, {Days: -1}} {
		opts.Dir, opts.Now = filepath.Join(t.TempDir(), "ca"), now
		if _, err := certs.MakeAuthority(opts); !errors.Is(err, certs.ErrInput) {
			t.Errorf("%+v: got %v", opts, err)
		}
	}
}
