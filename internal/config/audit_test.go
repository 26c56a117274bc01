package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/ops/audit"
)

func TestWhereTheAuditLogGoes(t *testing.T) {
	t.Parallel()
	const own = "/srv/floe/audit/audit.jsonl"
	for value, want := range map[string]config.Audit{
		"":                                     {File: own},
		"none":                                 {},
		"stdout":                               {Stdout: true},
		"/var/log//floe.jsonl":                 {File: "/var/log/floe.jsonl"},
		"/a, stdout ,syslog://log.example.com": {File: "/a", Stdout: true, Syslog: "syslog://log.example.com"},
		"syslog+tcp://[2001:db8::1]:6514":      {Syslog: "syslog+tcp://[2001:db8::1]:6514"},
		"syslog+unix:///dev/log":               {Syslog: "syslog+unix:///dev/log"},
	} {
		cfg, err := load(t, config.Sources{Flags: map[string]string{"data-dir": "/srv/floe", "audit-log": value}})
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		want.OnFailure, want.FileMB, want.Files = audit.Refuse, 100, 20
		if diff := cmp.Diff(want, cfg.Audit); diff != "" {
			t.Errorf("%q:\n%s", value, diff)
		}
	}
}

func TestWhereTheAuditLogCannotGo(t *testing.T) {
	t.Parallel()
	for value, says := range map[string]string{
		"file":                       "an absolute path",
		"./audit.jsonl":              "an absolute path",
		"none,stdout":                "stands alone",
		",":                          "none turns it off",
		"/a,/b":                      "two files",
		"stdout,stdout":              "twice",
		"syslog://a,syslog://b":      "two syslogs",
		"syslog:":                    "syslog://HOST:PORT",
		"syslog://":                  "syslog://HOST:PORT",
		"syslog://a:x":               "syslog://HOST:PORT",
		"syslog://a:0":               "syslog://HOST:PORT",
		"syslog://user:password@a":   "syslog://HOST:PORT",
		"syslog://a/path":            "syslog://HOST:PORT",
		"syslog+tls://a":             "syslog://HOST:PORT",
		"syslog+unix://host/dev/log": "syslog://HOST:PORT",
		"https://a":                  "an absolute path",
	} {
		_, err := load(t, config.Sources{Flags: map[string]string{"audit-log": value}})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "--audit-log") {
			t.Errorf("%q: %v", value, err)
		}
	}
	for name, value := range map[string]string{"audit-files": "1", "audit-file-mb": "-1", "audit-file-age": "-1s", "audit-on-failure": "ignore"} {
		if _, err := load(t, config.Sources{Flags: map[string]string{name: value}}); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
}
