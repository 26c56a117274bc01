package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A check refuses a value, saying what is expected.
type check func(value string) error

var errEmpty = errors.New("must not be empty")

func text(field func(*Config) *string, checks ...check) func(*Config, string) error {
	return func(c *Config, value string) error {
		for _, ok := range checks {
			if err := ok(value); err != nil {
				return err
			}
		}
		*field(c) = value
		return nil
	}
}

func list(field func(*Config) *[]string, each ...check) func(*Config, string) error {
	return func(c *Config, value string) error {
		var items []string
		for item := range strings.SplitSeq(value, ",") {
			item = strings.TrimSpace(item)
			// A trailing comma, as scripts produce them, means nothing.
			if item == "" {
				continue
			}
			for _, ok := range each {
				if err := ok(item); err != nil {
					return err
				}
			}
			items = append(items, item)
		}
		*field(c) = items
		return nil
	}
}

func truth(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, value string) error {
		switch strings.ToLower(value) {
		case "true", "on", "yes", "1":
			*field(c) = true
		case "false", "off", "no", "0":
			*field(c) = false
		default:
			return errors.New("expected on or off")
		}
		return nil
	}
}

func count(field func(*Config) *int, least, most int) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return fmt.Errorf("expected a number from %d to %d", least, most)
		}
		*field(c) = n
		return nil
	}
}

func duration(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < least || d > most {
			return fmt.Errorf("expected a time from %s to %s, such as 5s", least, most)
		}
		*field(c) = d
		return nil
	}
}

func oneOf[T ~string](field *T, value string, known ...T) error {
	names := make([]string, len(known))
	for i, k := range known {
		if value == string(k) {
			*field = k
			return nil
		}
		names[i] = string(k)
	}
	return fmt.Errorf("expected %s", orList(names))
}

func level(field func() *slog.Level, value string) error {
	known := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	l, ok := known[strings.ToLower(value)]
	if !ok {
		return errors.New("expected debug, info, warn or error")
	}
	*field() = l
	return nil
}

func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func notEmpty(value string) error {
	if value == "" {
		return errEmpty
	}
	return nil
}

// oneWord refuses what can't be in a header, a label or a log line.
func oneWord(value string) error {
	if value == "" {
		return errEmpty
	}
	for _, r := range value {
		if r <= ' ' || r == 0x7F {
			return errors.New("must not hold spaces or control characters")
		}
	}
	if len(value) > 255 {
		return errors.New("must not be longer than 255 bytes")
	}
	return nil
}

// reservedNames would be taken for the fixed parts of the protocol's paths.
var reservedNames = map[string]bool{"config": true, "oauth": true, "namespaces": true, "tables": true, "views": true, "transactions": true}

// CheckWarehouseName refuses names that a warehouse can't have. Its error goes on after the name.
func CheckWarehouseName(value string) error {
	if err := oneWord(value); err != nil {
		return err
	}
	if strings.ContainsAny(value, "/%?#\\") || value == "." || value == ".." {
		return errors.New("must be one plain segment of a path")
	}
	if reservedNames[value] {
		return errors.New("is a fixed part of the protocol's paths: choose another name")
	}
	return nil
}

func splitAddress(value string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(value)
	if err != nil {
		return "", 0, errors.New("expected HOST:PORT")
	}
	port, err = strconv.Atoi(service)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, errors.New("expected a port from 0 to 65535")
	}
	return host, port, nil
}

func listenAddress(value string) error {
	_, _, err := splitAddress(value)
	return err
}

func advertiseAddress(value string) error {
	host, port, err := splitAddress(value)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return errors.New("expected an address that others can reach")
	}
	if port == 0 {
		return errors.New("expected a port from 1 to 65535")
	}
	return nil
}

func storeURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" {
		return errors.New("expected file:///PATH, s3://BUCKET/PATH, gs://BUCKET/PATH or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH")
	}
	switch scheme := strings.ToLower(u.Scheme); scheme {
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return errors.New("expected an absolute path, file:///PATH")
		}
	case "s3", "s3a", "s3n":
		if u.Host == "" {
			return errors.New("expected s3://BUCKET/PATH")
		}
	case "gs":
		if u.Host == "" {
			return errors.New("expected gs://BUCKET/PATH")
		}
	case "abfss", "abfs":
		// Container and account have the form of a user at a host.
		if u.User.Username() == "" || !strings.Contains(u.Host, ".dfs.") {
			return errors.New("expected abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH")
		}
	case "wasb", "wasbs":
		return fmt.Errorf("%s:// is the older name of it: use abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH", scheme)
	default:
		return fmt.Errorf("unknown store %s://: use file://, s3://, gs:// or abfss://", scheme)
	}
	return nil
}

func accountKey(value string) error {
	if _, err := base64.StdEncoding.DecodeString(value); err != nil {
		return errors.New("expected base64, as Azure shows the account's keys")
	}
	return nil
}

func sasToken(value string) error {
	query, err := url.ParseQuery(strings.TrimPrefix(value, "?"))
	if err != nil || query.Get("sig") == "" {
		return errors.New("expected a shared access signature, sv=…&sig=…")
	}
	return nil
}

func httpURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("expected a URL, http://… or https://…")
	}
	return nil
}

func gossipKey(c *Config, value string) error {
	k, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(k) != 16 && len(k) != 24 && len(k) != 32 {
		return errors.New("expected base64 of 16, 24 or 32 bytes, such as from: floeberg cluster keyring generate")
	}
	c.GossipKey = k
	return nil
}
