package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestCertCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, node := filepath.Join(dir, "ca"), filepath.Join(dir, "node1")
	code, stdout, stderr := command(t, "cert", "ca", "--out", ca)
	if code != exitDone || stderr != "" || !strings.Contains(stdout, filepath.Join(ca, "ca.key")) {
		t.Fatalf("exit code %d, %q %q", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, "cert", "node", "--ca", ca, "--id", "node1", "--host", "node1,127.0.0.1", "--out", node, "--output", "json")
	var made madeInfo
	if err := json.Unmarshal([]byte(stdout), &made); err != nil || code != exitDone || stderr != "" {
		t.Fatalf("exit code %d, %v, %q %q", code, err, stdout, stderr)
	}
	if made.CertificateFile != filepath.Join(node, "node.crt") || made.KeyFile != filepath.Join(node, "node.key") || strings.Join(made.Hosts, " ") != "node1 127.0.0.1" {
		t.Errorf("%+v", made)
	}
	code, stdout, _ = command(t, "cert", "show", made.CertificateFile)
	if code != exitDone || !strings.Contains(stdout, "CN=node1") || !strings.Contains(stdout, "node1, 127.0.0.1") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
	code, stdout, _ = command(t, "cert", "show", filepath.Join(ca, "ca.crt"), "--output", "json")
	var shown []certInfo
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || code != exitDone || len(shown) != 1 || !shown[0].Authority {
		t.Errorf("exit code %d, %v, %q", code, err, stdout)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no folder":       {[]string{"cert", "ca"}, exitUsage, "--out"},
		"no days":         {[]string{"cert", "ca", "--out", dir, "--days", "0"}, exitUsage, "--days"},
		"there already":   {[]string{"cert", "ca", "--out", ca}, exitFailed, "is there already"},
		"no authority":    {[]string{"cert", "node", "--ca", dir, "--id", "n", "--host", "n", "--out", node}, exitFailed, "floeberg cert ca"},
		"no host":         {[]string{"cert", "node", "--ca", ca, "--id", "n", "--out", node}, exitUsage, "--host"},
		"a port":          {[]string{"cert", "node", "--ca", ca, "--id", "n", "--host", "n:1", "--out", filepath.Join(dir, "n")}, exitUsage, "leave the port away"},
		"node is there":   {[]string{"cert", "node", "--ca", ca, "--id", "node1", "--host", "n", "--out", node}, exitFailed, "node.key"},
		"nothing to show": {[]string{"cert", "show"}, exitUsage, "a file"},
		"no such file":    {[]string{"cert", "show", filepath.Join(dir, "nothing")}, exitFailed, "nothing"},
		"a key to show":   {[]string{"cert", "show", made.KeyFile}, exitFailed, "PRIVATE KEY"},
	} {
		code, stdout, stderr := command(t, tc.args...)
		if code != tc.code || !strings.Contains(stderr, tc.says) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%s: exit code %d, %q %q; want %d and %q", name, code, stdout, stderr, tc.code, tc.says)
		}
	}
	if code, _, stderr := command(t, "cert", "node", "--ca", ca, "--id", "node1", "--host", "node1", "--out", node, "--renew"); code != exitDone {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
