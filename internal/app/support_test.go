package app_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/config"
)

// TestSupportHasNoSecrets plants a secret in every setting that holds one and in
// requests, and looks for them in all that nodes tell, compressed or not.
func TestSupportHasNoSecrets(t *testing.T) {
	t.Parallel()
	ca, files := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(files, name) }
	ca.issue(t, at("cert"), at("key"), "node")
	write(t, at("ca"), ca.pem)
	const gossip = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	set := flags{
		"bootstrap-key": adminKey, "gossip-key": gossip,
		"cluster-ca": at("ca"), "cluster-cert": at("cert"), "cluster-key": at("key"),
		"s3-access-key-id": "AKIDPLANTED", "s3-secret-access-key": "planted-s3-secret", "s3-endpoint": "http://user:planted-password@127.0.0.1:1",
		"azure-account-key": base64.StdEncoding.EncodeToString([]byte("planted-azure-account-key")), "log-level": "debug",
	}
	clusterKey, _ := makeKey(t)
	earlierKey, _ := makeKey(t)
	set["secret-key"], set["secret-key-previous"] = "file://"+clusterKey, "file://"+earlierKey
	secrets := []string{adminKey, gossip, "0123456789abcdef0123456789abcdef", "planted-s3-secret", "planted-password", set["azure-account-key"], "fb_planted_bearer_0123456789"}
	for _, s := range config.Settings() {
		if s.Secret && set[s.Name] == "" && s.Name != "azure-sas-token" { // that one excludes the other of its store
			t.Errorf("no secret is planted in %s", s.Name)
		}
	}
	raw, err := os.ReadFile(at("key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	secrets = append(secrets, string(block.Bytes[:40]), strings.Split(string(raw), "\n")[1])

	for _, file := range []string{clusterKey, earlierKey} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.TrimSpace(string(raw)))
	}

	nodes := threeNodes(t, set)
	stranger := *nodes[0]
	stranger.key = "fb_planted_bearer_0123456789"
	for _, n := range nodes {
		n.must(t, 200, "GET", namespaces, "")
	}
	stranger.must(t, 401, "GET", namespaces, "")
	stranger.must(t, 401, "GET", "/management/v1/support", "")

	answer := nodes[1].must(t, 200, "GET", "/management/v1/support", "")
	var got management.SupportBundle
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != 3 {
		t.Fatalf("%d nodes", len(got.Nodes))
	}
	for _, n := range got.Nodes {
		if len(n.Missing) > 0 {
			t.Errorf("%s: %+v", n.Node, n.Missing)
		}
		var names []string
		for _, f := range n.Files {
			names = append(names, f.Name)
			data := f.Data
			if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
				packed, err := gzip.NewReader(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if data, err = io.ReadAll(packed); err != nil {
					t.Fatal(err)
				}
			}
			if len(data) == 0 {
				t.Errorf("%s of %s is empty", f.Name, n.Node)
			}
			for _, secret := range secrets {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s of %s holds %q", f.Name, n.Node, secret)
				}
			}
		}
		want := []string{"cluster.json", "files.txt", "goroutines.txt", "heap.pprof", "log.txt", "metrics.txt", "settings.json", "status.json", "version.json"}
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Errorf("%s tells %v", n.Node, names)
		}
	}
	text := func(name string) string {
		for _, f := range got.Nodes[2].Files {
			if f.Name == name {
				return string(f.Data)
			}
		}
		return ""
	}
	for name, says := range map[string]string{
		"settings.json": config.Hidden, "log.txt": "the node has started", "metrics.txt": "floeberg_pebble_disk_bytes",
		"files.txt": "gossip.keyring", "goroutines.txt": "goroutine profile", "cluster.json": "FailureTolerance",
	} {
		if !strings.Contains(text(name), says) {
			t.Errorf("%s does not say %q", name, says)
		}
	}
	if settings := text("settings.json"); !strings.Contains(settings, "AKIDPLANTED") {
		t.Error(settings)
	}
}
