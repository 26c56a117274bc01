package config

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/floeberg/floeberg/ops/audit"
)

// Audit is what becomes of the audit log.
type Audit struct {
	// File is where it is kept; "" is in no file.
	File string
	// Stdout puts it on standard output.
	Stdout bool
	// Syslog is the collector that gets it; "" is none.
	Syslog string
	// OnFailure is what happens while it can't be written.
	OnFailure audit.OnFailure
	// FileMB and FileAge are when another file is begun, 0 is never; Files is how
	// many are kept.
	FileMB  int
	FileAge time.Duration
	Files   int
}

// defaultAudit is below the data folder.
func defaultAudit(dataDir string) string { return filepath.Join(dataDir, "audit", "audit.jsonl") }

const maxAuditFiles = 10_000

// auditSettings are the settings of the audit log.
func auditSettings() []Setting {
	return []Setting{
		{
			Name: "audit-log", Note: "<data-dir>/audit/audit.jsonl", Usage: "where the audit log goes, comma-separated: a file's path, stdout, syslog://HOST:PORT, syslog+tcp://…, syslog+unix:///PATH; or none",
			parse: auditSinks,
		},
		{
			Name: "audit-on-failure", Default: string(audit.Refuse), Usage: "while it can't be written: refuse changes, or count the records that are lost",
			parse: func(c *Config, value string) error {
				return oneOf(&c.Audit.OnFailure, value, audit.Refuse, audit.Count)
			},
		},
		{
			Name: "audit-file-mb", Default: "100", Usage: "size in MB at which another file of the audit log is begun; 0 is never",
			parse: count(func(c *Config) *int { return &c.Audit.FileMB }, 0, 1<<20),
		},
		{
			Name: "audit-file-age", Default: "0s", Usage: "age at which another file of the audit log is begun; 0s is never",
			parse: duration(func(c *Config) *time.Duration { return &c.Audit.FileAge }, 0, 366*24*time.Hour),
		},
		{
			Name: "audit-files", Default: "20", Usage: "how many files of the audit log are kept; 0 keeps all",
			parse: func(c *Config, value string) error {
				if value == "1" { // beginning another one would leave nothing
					return errors.New("expected 0 or at least 2")
				}
				return count(func(c *Config) *int { return &c.Audit.Files }, 0, maxAuditFiles)(c, value)
			},
		},
	}
}

// auditSinks reads where the audit log goes. Each kind of place can be there once: a
// sink goes by its kind wherever it is told of.
func auditSinks(c *Config, value string) error {
	var items []string
	if err := list(func(*Config) *[]string { return &items }, notEmpty)(c, value); err != nil {
		return err
	}
	c.Audit.File, c.Audit.Stdout, c.Audit.Syslog = "", false, ""
	if len(items) == 1 && items[0] == "none" {
		return nil
	}
	for _, item := range items {
		switch {
		case item == "none":
			return errors.New("none stands alone")
		case item == "stdout":
			if c.Audit.Stdout {
				return errors.New("names stdout twice")
			}
			c.Audit.Stdout = true
		case strings.HasPrefix(item, "syslog"):
			if _, _, err := audit.ParseSyslog(item); err != nil {
				return err
			}
			if c.Audit.Syslog != "" {
				return errors.New("names two syslogs: one is possible")
			}
			c.Audit.Syslog = item
		case filepath.IsAbs(item):
			if c.Audit.File != "" {
				return errors.New("names two files: one is possible")
			}
			c.Audit.File = filepath.Clean(item)
		default:
			return errors.New("expected an absolute path, stdout, syslog://HOST:PORT, syslog+tcp://HOST:PORT, syslog+unix:///PATH, or none")
		}
	}
	if len(items) == 0 {
		return errors.New("must not be empty: none turns it off")
	}
	return nil
}
