package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/config"
	"github.com/floeberg/floeberg/ops/audit"
)

const gossipKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func load(t *testing.T, from config.Sources) (*config.Config, error) {
	t.Helper()
	if from.HostName == nil {
		from.HostName = func() (string, error) { return "iceland", nil }
	}
	return config.Load(from)
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "floeberg.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// want is, for each setting, a value unlike its default, how the file spells it,
// what else it needs, and what it must do.
type want struct {
	value, inFile string
	with          map[string]string
	got           func(*config.Config) any
	want          any
}

func wants(t *testing.T) map[string]want {
	t.Helper()
	pem := file(t, "pem")
	str := func(v string, got func(*config.Config) any, with ...string) want {
		w := want{value: v, inFile: fmt.Sprintf("%q", v), got: got, want: v, with: map[string]string{}}
		for i := 0; i < len(with); i += 2 {
			w.with[with[i]] = with[i+1]
		}
		return w
	}
	on := func(got func(*config.Config) any) want {
		return want{value: "true", inFile: "true", got: got, want: true}
	}
	return map[string]want{
		"node-id":              str("n7", func(c *config.Config) any { return c.NodeID }),
		"data-dir":             str("/srv/floe", func(c *config.Config) any { return c.DataDir }),
		"http-listen":          str("127.0.0.1:9001", func(c *config.Config) any { return c.HTTP.Listen }),
		"http-advertise":       str("floe1:9001", func(c *config.Config) any { return c.HTTP.Advertise }),
		"cluster-listen":       str("127.0.0.1:9002", func(c *config.Config) any { return c.Cluster.Listen }),
		"cluster-advertise":    str("floe1:9002", func(c *config.Config) any { return c.Cluster.Advertise }),
		"gossip-listen":        str("127.0.0.1:9003", func(c *config.Config) any { return c.Gossip.Listen }),
		"gossip-advertise":     str("floe1:9003", func(c *config.Config) any { return c.Gossip.Advertise }),
		"join":                 {value: "a:1,b:2", inFile: `["a:1", "b:2"]`, got: func(c *config.Config) any { return c.Join }, want: []string{"a:1", "b:2"}},
		"bootstrap-expect":     {value: "3", inFile: "3", got: func(c *config.Config) any { return c.BootstrapExpect }, want: 3},
		"nonvoter":             {value: "true", inFile: "true", got: func(c *config.Config) any { return c.Nonvoter }, want: true, with: map[string]string{"join": "a:1"}},
		"stabilize-after":      {value: "3s", inFile: `"3s"`, got: func(c *config.Config) any { return c.StabilizeAfter }, want: 3 * time.Second},
		"remove-dead-after":    {value: "1h", inFile: `"1h"`, got: func(c *config.Config) any { return c.RemoveDeadAfter }, want: time.Hour},
		"warehouse":            str("s3://bucket/wh", func(c *config.Config) any { return c.Warehouse }),
		"warehouse-name":       str("prod", func(c *config.Config) any { return c.WarehouseName }),
		"s3-endpoint":          str("http://minio:9000", func(c *config.Config) any { return c.S3.Endpoint }),
		"s3-region":            str("eu-west-1", func(c *config.Config) any { return c.S3.Region }),
		"s3-access-key-id":     str("AKIA", func(c *config.Config) any { return c.S3.AccessKeyID }, "s3-secret-access-key", "s"),
		"s3-secret-access-key": str("hush", func(c *config.Config) any { return c.S3.SecretAccessKey }, "s3-access-key-id", "AKIA"),
		"s3-path-style":        on(func(c *config.Config) any { return c.S3.PathStyle }),
		"gcs-endpoint":         str("https://storage.example.com", func(c *config.Config) any { return c.GCS.Endpoint }),
		"gcs-credentials-file": str(pem, func(c *config.Config) any { return c.GCS.CredentialsFile }),
		"gcs-no-auth":          on(func(c *config.Config) any { return c.GCS.NoAuth }),
		"azure-endpoint":       str("https://blobs.example.com", func(c *config.Config) any { return c.Azure.Endpoint }),
		"azure-account-key":    str("a2V5", func(c *config.Config) any { return c.Azure.AccountKey }),
		"azure-sas-token":      str("sv=2021-12-02&sig=x", func(c *config.Config) any { return c.Azure.SASToken }),
		"warehouse-locations":  {value: "s3://other/x", inFile: `["s3://other/x"]`, got: func(c *config.Config) any { return c.WarehouseLocations }, want: []string{"s3://other/x"}},
		"allow-locations":      {value: "s3://other/x", inFile: `["s3://other/x"]`, got: func(c *config.Config) any { return c.AllowLocations }, want: []string{"s3://other/x"}},
		"auth":                 {value: "off", inFile: "false", got: func(c *config.Config) any { return c.Auth }, want: false},
		"insecure-no-auth":     on(func(c *config.Config) any { return c.InsecureNoAuth }),
		"bootstrap-key":        str("fb_0123456789abcdef", func(c *config.Config) any { return c.BootstrapKey }),
		"tls-cert":             str(pem, func(c *config.Config) any { return c.TLS.CertFile }, "tls-key", pem),
		"tls-key":              str(pem, func(c *config.Config) any { return c.TLS.KeyFile }, "tls-cert", pem),
		"tls-client-ca":        str(pem, func(c *config.Config) any { return c.TLS.CAFile }, "tls-cert", pem, "tls-key", pem),
		"oidc-issuer":          {value: "https://a.example,https://b.example/x", inFile: `["https://a.example", "https://b.example/x"]`, got: func(c *config.Config) any { return c.OIDC.Issuers }, want: []string{"https://a.example", "https://b.example/x"}, with: map[string]string{"oidc-audience": "floeberg"}},
		"oidc-audience":        {value: "floeberg,lake", inFile: `["floeberg", "lake"]`, got: func(c *config.Config) any { return c.OIDC.Audiences }, want: []string{"floeberg", "lake"}, with: map[string]string{"oidc-issuer": "https://a.example"}},
		"oidc-ca":              str(pem, func(c *config.Config) any { return c.OIDC.CAFile }),
		"oidc-tenant-claim":    str("org", func(c *config.Config) any { return c.OIDC.TenantClaim }),
		"oidc-groups-claim":    str("realm_access.roles", func(c *config.Config) any { return c.OIDC.GroupsClaim }),
		"oidc-groups-map": {value: "/lake=admins=admin,a=reader,a=b", inFile: `["/lake=admins=admin", "a=reader", "a=b"]`, got: func(c *config.Config) any { return c.OIDC.GroupsMap },
			want: map[string][]string{"/lake=admins": {"admin"}, "a": {"reader", "b"}}},
		"oidc-type-claim": str("idtyp", func(c *config.Config) any { return c.OIDC.TypeClaim }),
		"oidc-type-map": {value: "app=service,a=b=user,app=service", inFile: `["app=service", "a=b=user"]`, got: func(c *config.Config) any { return c.OIDC.TypeMap },
			want: map[string]authz.PrincipalType{"app": authz.TypeService, "a=b": authz.TypeUser}, with: map[string]string{"oidc-type-claim": "idtyp"}},
		"tls-client-name": str("uri", func(c *config.Config) any { return string(c.ClientName) }, "tls-client-ca", pem, "tls-cert", pem, "tls-key", pem),
		"tls-client-groups": {value: "spark=writer,CN=x=reader", inFile: `["spark=writer", "CN=x=reader"]`, got: func(c *config.Config) any { return c.ClientGroups },
			want: map[string][]string{"spark": {"writer"}, "CN=x": {"reader"}}, with: map[string]string{"tls-client-name": "cn", "tls-client-ca": pem, "tls-cert": pem, "tls-key": pem}},
		"tls-min-version": str("1.3", func(c *config.Config) any { return string(c.Walls.TLSMinVersion) }),
		"http-trusted-proxies": {value: "10.0.0.5,fd00::/8", inFile: `["10.0.0.5", "fd00::/8"]`, got: func(c *config.Config) any { return fmt.Sprint(c.Walls.TrustedProxies) },
			want: "[10.0.0.5/32 fd00::/8]"},
		"http-forwarded-header":            str("forwarded", func(c *config.Config) any { return string(c.Walls.ForwardedHeader) }),
		"http-cors-origins":                {value: "https://a.example,http://b:1", inFile: `["https://a.example", "http://b:1"]`, got: func(c *config.Config) any { return c.Walls.CORSOrigins }, want: []string{"https://a.example", "http://b:1"}},
		"http-max-connections":             {value: "7", inFile: "7", got: func(c *config.Config) any { return c.Walls.MaxConnections }, want: 7},
		"http-max-connections-per-address": {value: "7", inFile: "7", got: func(c *config.Config) any { return c.Walls.MaxConnectionsPerAddress }, want: 7},
		"rate-limit-principal":             {value: "7", inFile: "7", got: func(c *config.Config) any { return c.Walls.PrincipalRate }, want: 7},
		"rate-limit-address":               {value: "7", inFile: "7", got: func(c *config.Config) any { return c.Walls.AddressRate }, want: 7},
		"rate-limit-failures":              {value: "7", inFile: "7", got: func(c *config.Config) any { return c.Walls.FailureRate }, want: 7},
		"cluster-ca":                       str(pem, func(c *config.Config) any { return c.ClusterTLS.CAFile }, "cluster-cert", pem, "cluster-key", pem),
		"cluster-cert":                     str(pem, func(c *config.Config) any { return c.ClusterTLS.CertFile }, "cluster-ca", pem, "cluster-key", pem),
		"cluster-key":                      str(pem, func(c *config.Config) any { return c.ClusterTLS.KeyFile }, "cluster-ca", pem, "cluster-cert", pem),
		"gossip-key":                       {value: gossipKey, inFile: fmt.Sprintf("%q", gossipKey), got: func(c *config.Config) any { return string(c.GossipKey) }, want: "0123456789abcdef0123456789abcdef"},
		"verify-metadata":                  on(func(c *config.Config) any { return c.VerifyMetadata }),
		"read-restrictions":                on(func(c *config.Config) any { return c.ReadRestrictions }),
		"snapshot-store":                   str("s3://bucket/snapshots", func(c *config.Config) any { return c.SnapshotStore }),
		"snapshot-key":                     str(pem, func(c *config.Config) any { return c.SnapshotKey }, "snapshot-store", "s3://bucket/snapshots"),
		"snapshot-upload-interval":         {value: "90m", inFile: `"90m"`, got: func(c *config.Config) any { return c.SnapshotUploadInterval }, want: 90 * time.Minute},
		"snapshot-keep":                    {value: "7", inFile: `7`, got: func(c *config.Config) any { return c.SnapshotKeep }, want: 7},
		"log-archive-interval":             {value: "30s", inFile: `"30s"`, got: func(c *config.Config) any { return c.LogArchiveInterval }, want: 30 * time.Second},
		"snapshot-max-age":                 {value: "720h", inFile: `"720h"`, got: func(c *config.Config) any { return c.SnapshotMaxAge }, want: 720 * time.Hour},
		"raft-snapshot-threshold":          {value: "1000", inFile: `1000`, got: func(c *config.Config) any { return c.RaftSnapshotThreshold }, want: 1000},
		"raft-snapshot-interval":           {value: "10s", inFile: `"10s"`, got: func(c *config.Config) any { return c.RaftSnapshotInterval }, want: 10 * time.Second},
		"raft-trailing-logs":               {value: "500", inFile: `500`, got: func(c *config.Config) any { return c.RaftTrailingLogs }, want: 500},
		"secret-key":                       str("awskms://alias/floeberg?region=eu-central-1", func(c *config.Config) any { return c.SecretKey }),
		"secret-key-previous": {value: "hashivault://a,hashivault://b", inFile: `["hashivault://a", "hashivault://b"]`, got: func(c *config.Config) any { return c.SecretKeysPrevious },
			want: []string{"hashivault://a", "hashivault://b"}, with: map[string]string{"secret-key": "hashivault://c"}},
		"insecure-cluster": on(func(c *config.Config) any { return c.InsecureCluster }),
		"read-consistency": {value: "bounded", inFile: `"bounded"`, got: func(c *config.Config) any { return c.ReadConsistency }, want: config.Bounded},
		"token-lifetime":   {value: "10m", inFile: `"10m"`, got: func(c *config.Config) any { return c.TokenLifetime }, want: 10 * time.Minute},
		"max-staleness":    {value: "250ms", inFile: `"250ms"`, got: func(c *config.Config) any { return c.MaxStaleness }, want: 250 * time.Millisecond},
		"verify-interval":  {value: "1h30m", inFile: `"1h30m"`, got: func(c *config.Config) any { return c.VerifyInterval }, want: 90 * time.Minute},
		"log-level":        {value: "warn", inFile: `"warn"`, got: func(c *config.Config) any { return c.LogLevel }, want: slog.LevelWarn},
		"log-format":       {value: "json", inFile: `"json"`, got: func(c *config.Config) any { return c.LogFormat }, want: config.LogJSON},
		"audit-log":        {value: "stdout,/a/b", inFile: `["stdout", "/a/b"]`, got: func(c *config.Config) any { return []any{c.Audit.File, c.Audit.Stdout, c.Audit.Syslog} }, want: []any{"/a/b", true, ""}},
		"audit-on-failure": {value: "count", inFile: `"count"`, got: func(c *config.Config) any { return c.Audit.OnFailure }, want: audit.Count},
		"audit-file-mb":    {value: "7", inFile: `7`, got: func(c *config.Config) any { return c.Audit.FileMB }, want: 7},
		"audit-file-age":   {value: "24h", inFile: `"24h"`, got: func(c *config.Config) any { return c.Audit.FileAge }, want: 24 * time.Hour},
		"audit-files":      {value: "0", inFile: `0`, got: func(c *config.Config) any { return c.Audit.Files }, want: 0},
	}
}

func TestEverySettingInItsThreeSpellings(t *testing.T) {
	t.Parallel()
	table := wants(t)
	defaults, err := load(t, config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings() {
		w, ok := table[s.Name]
		if !ok {
			t.Errorf("no test of %s", s.Name)
			continue
		}
		for _, spelling := range []string{"flag", "environment", "file", "file, flat"} {
			t.Run(s.Name+"/"+spelling, func(t *testing.T) {
				t.Parallel()
				from := config.Sources{Flags: map[string]string{}}
				for name, value := range w.with {
					from.Flags[name] = value
				}
				switch spelling {
				case "flag":
					from.Flags[s.Name] = w.value
				case "environment":
					from.Environ = []string{s.Env() + "=" + w.value}
				case "file":
					from.Flags["config"] = file(t, s.Key()+" = "+w.inFile+"\n")
				case "file, flat":
					from.Flags["config"] = file(t, s.Name+" = "+w.inFile+"\n")
				}
				cfg, err := load(t, from)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(w.want, w.got(cfg)); diff != "" {
					t.Error(diff)
				}
				if cmp.Equal(w.want, w.got(defaults)) {
					t.Errorf("the value is the default: %v", w.want)
				}
			})
		}
	}
}

func TestFlagBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Parallel()
	path := file(t, "node-id = \"f\"\nhttp.listen = \"127.0.0.1:1\"\njoin = [\"f:1\"]\n[log]\nlevel = \"error\"\n")
	cfg, err := load(t, config.Sources{
		Flags:   map[string]string{"http-listen": "127.0.0.1:3", "join": ""},
		Environ: []string{"FLOEBERG_CONFIG=" + path, "FLOEBERG_HTTP_LISTEN=127.0.0.1:2", "FLOEBERG_NODE_ID=e", "FLOEBERG_LOG_FORMAT="},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.HTTP.Listen, cfg.NodeID, cfg.LogLevel, cfg.LogFormat, len(cfg.Join)}
	if diff := cmp.Diff([]any{"127.0.0.1:3", "e", slog.LevelError, config.LogText, 0}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(t, config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		NodeID: "iceland", DataDir: "/var/lib/floeberg",
		HTTP:            config.Endpoint{Listen: "127.0.0.1:8181"},
		Cluster:         config.Endpoint{Listen: "127.0.0.1:8182"},
		Gossip:          config.Endpoint{Listen: "127.0.0.1:8183"},
		BootstrapExpect: 1, StabilizeAfter: 10 * time.Second,
		Warehouse: "file:///var/lib/floeberg/warehouse", WarehouseName: "default",
		Auth: true, ReadConsistency: config.Linearizable, TokenLifetime: time.Hour, MaxStaleness: 5 * time.Second, SnapshotUploadInterval: time.Hour, SnapshotKeep: 24,
		RaftSnapshotThreshold: 32768, RaftSnapshotInterval: 2 * time.Minute, RaftTrailingLogs: 65536,
		VerifyInterval: 10 * time.Minute, LogArchiveInterval: 5 * time.Second,
		OIDC: config.OIDC{GroupsClaim: "groups"},
		Walls: config.Walls{
			ForwardedHeader: config.XForwardedFor, MaxConnections: 16384, MaxConnectionsPerAddress: 4096,
			TLSMinVersion: config.TLS12, FailureRate: 100,
		},
		Audit:    config.Audit{File: "/var/lib/floeberg/audit/audit.jsonl", OnFailure: audit.Refuse, FileMB: 100, Files: 20},
		LogLevel: slog.LevelInfo, LogFormat: config.LogText,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestWhatStopsAStart(t *testing.T) {
	t.Parallel()
	pem := file(t, "pem")
	flags := func(pairs ...string) config.Sources {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return config.Sources{Flags: m}
	}
	inFile := func(text string) config.Sources { return flags("config", file(t, text)) }
	open := []string{"insecure-cluster", "true"}
	for name, tc := range map[string]struct {
		from config.Sources
		want []string
	}{
		"unknown key":                {inFile("[http]\nlisten_adress = \"x\"\n"), []string{"http.listen_adress", "no such setting"}},
		"near miss":                  {inFile("[http]\nlistn = \"x\"\n"), []string{"http.listn", "http.listen"}},
		"unknown variable":           {config.Sources{Environ: []string{"FLOEBERG_HTTP_LISTN=x"}}, []string{"FLOEBERG_HTTP_LISTN", "FLOEBERG_HTTP_LISTEN"}},
		"twice in the file":          {inFile("http-listen = \"127.0.0.1:1\"\n[http]\nlisten = \"127.0.0.1:2\"\n"), []string{"http.listen", "http-listen", "remove one"}},
		"no file":                    {flags("config", "/nonexistent/floeberg.toml"), []string{"--config", "can't read the file"}},
		"no file, by variable":       {config.Sources{Environ: []string{"FLOEBERG_CONFIG=/nonexistent/x"}}, []string{"FLOEBERG_CONFIG"}},
		"broken file":                {inFile("a = \n"), []string{"line 1"}},
		"wrong type":                 {inFile("join = [1]\n"), []string{"join", "list of strings"}},
		"date":                       {inFile("node-id = 2026-01-01\n"), []string{"node-id", "expected a string"}},
		"table for a value":          {inFile("[log]\nlevel = 1.5\n"), []string{"log.level", "expected a string"}},
		"no port":                    {flags("http-listen", "127.0.0.1"), []string{"--http-listen", "HOST:PORT", `"127.0.0.1"`}},
		"large port":                 {flags("http-listen", "127.0.0.1:70000"), []string{"--http-listen", "65535"}},
		"empty address":              {flags("http-listen", ""), []string{"--http-listen"}},
		"empty data folder":          {flags("data-dir", ""), []string{"--data-dir", "must not be empty"}},
		"advertised wildcard":        {flags("http-advertise", "0.0.0.0:1"), []string{"--http-advertise", "others can reach"}},
		"advertised port 0":          {flags("http-advertise", "a:0"), []string{"--http-advertise"}},
		"join without port":          {flags("join", "a:1,b"), []string{"--join", "HOST:PORT"}},
		"no voters":                  {flags("bootstrap-expect", "-1"), []string{"--bootstrap-expect", "0 to 9"}},
		"read replica of nothing":    {flags("nonvoter", "on"), []string{"join", "--nonvoter"}},
		"dead before they died":      {flags("remove-dead-after", "-1s"), []string{"--remove-dead-after"}},
		"number in words":            {config.Sources{Environ: []string{"FLOEBERG_BOOTSTRAP_EXPECT=three"}}, []string{"FLOEBERG_BOOTSTRAP_EXPECT", "three"}},
		"unknown store":              {flags("warehouse", "ftp://x/y"), []string{"--warehouse", "ftp"}},
		"plain path":                 {flags("warehouse", "/srv/wh"), []string{"--warehouse", "file:///PATH"}},
		"relative file":              {flags("warehouse", "file://srv/wh"), []string{"--warehouse", "absolute"}},
		"no bucket":                  {flags("warehouse", "s3:///wh"), []string{"--warehouse", "BUCKET"}},
		"gs without bucket":          {flags("warehouse", "gs:///x"), []string{"--warehouse", "gs://BUCKET"}},
		"abfss without account":      {flags("allow-locations", "abfss://b/x"), []string{"--allow-locations", "CONTAINER@ACCOUNT"}},
		"abfss of another host":      {flags("warehouse", "abfss://b@acme.blob.core.windows.net/x"), []string{"--warehouse", "ACCOUNT.dfs."}},
		"older name of abfss":        {flags("warehouse", "wasbs://b@acme.blob.core.windows.net/x"), []string{"--warehouse", "use abfss://"}},
		"gcs token in the clear":     {flags("gcs-endpoint", "http://emulator:4443"), []string{"gcs-endpoint", "--gcs-no-auth"}},
		"gcs with and without":       {flags("gcs-no-auth", "on", "gcs-credentials-file", "/x"), []string{"gcs-no-auth", "--gcs-credentials-file"}},
		"gcs file missing":           {flags("gcs-credentials-file", "/nowhere/x"), []string{"gcs-credentials-file", "/nowhere/x"}},
		"azure key":                  {flags("azure-account-key", "not base64!"), []string{"--azure-account-key", "base64"}},
		"azure signature":            {flags("azure-sas-token", "sv=1"), []string{"--azure-sas-token", "sig="}},
		"azure key and signature":    {flags("azure-account-key", "a2V5", "azure-sas-token", "sig=x"), []string{"azure-sas-token", "--azure-account-key"}},
		"azure token in the clear":   {flags("azure-endpoint", "http://emulator:10000/acme"), []string{"azure-endpoint", "--azure-account-key"}},
		"slash in a warehouse":       {flags("warehouse-name", "a/b"), []string{"--warehouse-name"}},
		"reserved warehouse":         {flags("warehouse-name", "namespaces"), []string{"--warehouse-name"}},
		"endpoint without scheme":    {flags("s3-endpoint", "minio:9000"), []string{"--s3-endpoint", "http://"}},
		"half a credential":          {flags("s3-access-key-id", "a"), []string{"s3-secret-access-key"}},
		"other half":                 {flags("s3-secret-access-key", "a"), []string{"s3-access-key-id"}},
		"truth":                      {flags("s3-path-style", "perhaps"), []string{"--s3-path-style", "on or off"}},
		"short key":                  {flags("bootstrap-key", "secret"), []string{"--bootstrap-key", "must be 16 to 512"}},
		"gossip key":                 {flags("gossip-key", "abc"), []string{"--gossip-key", "base64"}},
		"consistency":                {flags("read-consistency", "strong"), []string{"--read-consistency", "linearizable, bounded or stale"}},
		"staleness":                  {flags("max-staleness", "5"), []string{"--max-staleness", "5s"}},
		"a log that is never cut":    {flags("raft-snapshot-threshold", "0"), []string{"--raft-snapshot-threshold", "from 1"}},
		"nothing trails":             {flags("raft-trailing-logs", "0"), []string{"--raft-trailing-logs", "from 1"}},
		"snapshots all the time":     {flags("raft-snapshot-interval", "1ms"), []string{"--raft-snapshot-interval", "from 1s"}},
		"verify interval":            {flags("verify-interval", "-1s"), []string{"--verify-interval"}},
		"level":                      {flags("log-level", "loud"), []string{"--log-level", "debug"}},
		"format":                     {flags("log-format", "xml"), []string{"--log-format", "text or json"}},
		"node id":                    {flags("node-id", "a b"), []string{"--node-id", "spaces"}},
		"no host name":               {config.Sources{HostName: func() (string, error) { return "", errors.New("gone") }}, []string{"node-id", "gone"}},
		"every address, no advert":   {flags(append(open, "http-listen", "0.0.0.0:8181")...), []string{"http-advertise"}},
		"same for gossip":            {flags(append(open, "gossip-listen", ":8183")...), []string{"gossip-advertise"}},
		"open without auth":          {flags("auth", "off", "http-listen", "10.0.0.1:8181"), []string{"auth", "--insecure-no-auth"}},
		"open cluster, no auth":      {flags("auth", "off", "cluster-listen", "10.0.0.1:8182", "insecure-cluster", "on"), []string{"auth", "--insecure-no-auth"}},
		"cluster in the clear":       {flags("cluster-listen", "10.0.0.1:8182"), []string{"cluster-ca", "--insecure-cluster"}},
		"gossip in the clear":        {flags("gossip-listen", "10.0.0.1:8183"), []string{"gossip-key", "--insecure-cluster"}},
		"half cluster TLS":           {flags("cluster-ca", pem), []string{"cluster-cert"}},
		"an issuer without audience": {flags("oidc-issuer", "https://a.example"), []string{"oidc-audience", "another service"}},
		"an audience without issuer": {flags("oidc-audience", "a"), []string{"oidc-issuer"}},
		"an issuer in the clear":     {flags("oidc-issuer", "http://a.example", "oidc-audience", "a"), []string{"--oidc-issuer", "https://"}},
		"an issuer that is none":     {flags("oidc-issuer", "a.example", "oidc-audience", "a"), []string{"--oidc-issuer", "expected a URL"}},
		"tokens without auth":        {flags("oidc-issuer", "https://a.example", "oidc-audience", "a", "auth", "off"), []string{"oidc-issuer", "--auth off"}},
		"groups for nothing":         {flags("oidc-groups-map", "admins"), []string{"--oidc-groups-map", "lake-admins=admin"}},
		"groups of nothing":          {flags("oidc-groups-map", "=admin"), []string{"--oidc-groups-map"}},
		"groups to nothing":          {flags("oidc-groups-map", "a="), []string{"--oidc-groups-map"}},
		"types for nothing":          {flags("oidc-type-map", "app=service"), []string{"oidc-type-claim", "--oidc-type-map"}},
		"types that are none":        {flags("oidc-type-map", "app=robot", "oidc-type-claim", "idtyp"), []string{"--oidc-type-map", "app=service"}},
		"types of nothing":           {flags("oidc-type-map", "=user", "oidc-type-claim", "idtyp"), []string{"--oidc-type-map", "app=service"}},
		"types that contradict":      {flags("oidc-type-map", "a=user,a=service", "oidc-type-claim", "idtyp"), []string{"--oidc-type-map", `"a"`, "both"}},
		"missing authorities":        {flags("oidc-ca", "/nonexistent.pem"), []string{"oidc-ca", "can't read"}},
		"names of no certificates":   {flags("tls-client-name", "cn"), []string{"tls-client-ca"}},
		"a name that is none":        {flags("tls-client-name", "serial"), []string{"--tls-client-name", "cn, dns, email or uri"}},
		"groups of no names":         {flags("tls-client-groups", "a=b"), []string{"tls-client-name"}},
		"a proxy that is none":       {flags("http-trusted-proxies", "proxy1"), []string{"--http-trusted-proxies", "10.1.0.0/16"}},
		"everybody is a proxy":       {flags("http-trusted-proxies", "0.0.0.0/0"), []string{"--http-trusted-proxies", "every address"}},
		"everybody, mapped":          {flags("http-trusted-proxies", "::ffff:0:0/96"), []string{"--http-trusted-proxies", "every address"}},
		"a zone":                     {flags("http-trusted-proxies", "fe80::1%eth0"), []string{"--http-trusted-proxies"}},
		"an unknown header":          {flags("http-forwarded-header", "x-real-ip"), []string{"--http-forwarded-header", "x-forwarded-for or forwarded"}},
		"every origin":               {flags("http-cors-origins", "*"), []string{"--http-cors-origins", "no *"}},
		"origins by pattern":         {flags("http-cors-origins", "https://*.example.com"), []string{"--http-cors-origins", "no *"}},
		"an origin with a path":      {flags("http-cors-origins", "https://a.example/"), []string{"--http-cors-origins", "no path"}},
		"a page from nowhere":        {flags("http-cors-origins", "null"), []string{"--http-cors-origins"}},
		"a door for nobody":          {flags("http-max-connections", "0"), []string{"--http-max-connections", "from 1"}},
		"old TLS":                    {flags("tls-min-version", "1.1"), []string{"--tls-min-version", "1.2 or 1.3"}},
		"a rate below nothing":       {flags("rate-limit-address", "-1"), []string{"--rate-limit-address"}},
		"half TLS":                   {flags("tls-cert", pem), []string{"tls-key"}},
		"other half of TLS":          {flags("tls-key", pem), []string{"tls-cert"}},
		"authority alone":            {flags("tls-client-ca", pem), []string{"tls-cert"}},
		"missing certificate":        {flags("tls-cert", "/nonexistent.pem", "tls-key", pem), []string{"tls-cert", "can't read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tc.from)
			checkProblem(t, err, tc.want...)
		})
	}
}

func checkProblem(t *testing.T, err error, want ...string) {
	t.Helper()
	var p *config.Problem
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a problem", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func TestWhatIsAllowed(t *testing.T) {
	t.Parallel()
	pem := file(t, "pem")
	kept := t.TempDir()
	if err := os.WriteFile(filepath.Join(kept, "gossip.keyring"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string]map[string]string{
		"no auth on loopback":     {"auth": "off", "http-listen": "localhost:1", "cluster-listen": "[::1]:2"},
		"no auth, asked for":      {"auth": "off", "insecure-no-auth": "true", "http-listen": "10.0.0.1:1"},
		"cluster in the clear":    {"insecure-cluster": "true", "cluster-listen": "10.0.0.1:1", "gossip-listen": "10.0.0.1:2"},
		"cluster with TLS":        {"cluster-listen": "10.0.0.1:1", "gossip-listen": "10.0.0.1:2", "cluster-ca": pem, "cluster-cert": pem, "cluster-key": pem, "gossip-key": gossipKey},
		"gossip with a keyring":   {"gossip-listen": "10.0.0.1:2", "data-dir": kept},
		"every address, advert":   {"http-listen": "0.0.0.0:1", "http-advertise": "floe1:1"},
		"nothing is default here": {"join": "", "allow-locations": "", "s3-endpoint": "", "tls-cert": ""},
		"no issuer":               {"oidc-issuer": ""},
		"issuers":                 {"oidc-issuer": "https://a.example,http://localhost:1/", "oidc-audience": "floeberg"},
		"no snapshot store":       {"snapshot-store": ""},
		"trailing comma":          {"join": "a:1, b:2,"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := load(t, config.Sources{Flags: flags}); err != nil {
				t.Error(err)
			}
		})
	}
	environ := []string{
		"FLOEBERG_ADDR=http://x", "FLOEBERG_KEY=k", "FLOEBERG_TOOLS_REQUIRED=1", "PATH=/bin",
		// What Kubernetes adds for a service called floeberg.
		"FLOEBERG_SERVICE_HOST=10.0.0.1", "FLOEBERG_SERVICE_PORT_HTTP=1", "FLOEBERG_PORT=tcp://10.0.0.1:1",
		"FLOEBERG_PORT_8181_TCP_ADDR=10.0.0.1", "FLOEBERG_HEADLESS_PORT_8181_TCP=tcp://10.0.0.1:1",
	}
	if _, err := load(t, config.Sources{Environ: environ}); err != nil {
		t.Error(err)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	for _, s := range config.Settings() {
		if !s.Secret {
			continue
		}
		_, err := load(t, config.Sources{Flags: map[string]string{s.Name: "hush hush", "s3-access-key-id": "a"}})
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

func TestExampleIsReadable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := config.WriteExample(&b); err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings() {
		if !strings.Contains(b.String(), s.Usage) {
			t.Errorf("%s is missing", s.Name)
		}
	}
	// With every comment sign before a setting taken away it says what it said before: the defaults.
	var bare strings.Builder
	for line := range strings.Lines(b.String()) {
		if rest, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(rest, " = ") && !strings.Contains(rest, "default:") {
			line = rest
		}
		bare.WriteString(line)
	}
	got, err := load(t, config.Sources{Flags: map[string]string{"config": file(t, bare.String())}})
	if err != nil {
		t.Fatalf("%v in\n%s", err, bare.String())
	}
	want, err := load(t, config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestWarehouseFollowsTheDataFolder(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, config.Sources{Flags: map[string]string{"data-dir": "/srv/floe/"}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Warehouse != "file:///srv/floe/warehouse" {
		t.Error(cfg.Warehouse)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	flags := map[string]string{"s3-endpoint": "http://user:hushed@minio:9000"}
	secrets := map[string]string{
		"s3-secret-access-key": "hushed-s3", "bootstrap-key": "fb_hushed_0123456789", "gossip-key": gossipKey,
		"azure-account-key": "aHVzaGVk", "azure-sas-token": "sv=1&sig=hushed",
		"secret-key": "hashivault://hushed", "secret-key-previous": "hashivault://hushed-before",
	}
	for _, s := range config.Settings() {
		if _, ok := secrets[s.Name]; s.Secret != ok {
			t.Errorf("%s: the test does not know whether it is a secret", s.Name)
		}
	}
	// Two of them exclude each other.
	for _, without := range []string{"azure-account-key", "azure-sas-token"} {
		given := map[string]string{"s3-access-key-id": "AKIA", "azure-account": "lake"}
		for name, value := range flags {
			given[name] = value
		}
		for name, value := range secrets {
			if name != without {
				given[name] = value
			}
		}
		cfg, err := load(t, config.Sources{Flags: given})
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprint(cfg.Shown())
		for name, value := range secrets {
			if strings.Contains(shown, value) || strings.Contains(shown, "hushed") {
				t.Errorf("%s is shown: %s", name, shown)
			}
		}
		if !strings.Contains(shown, "{gossip-key (hidden)}") || !strings.Contains(shown, "@minio:9000") || !strings.Contains(shown, "{s3-access-key-id AKIA}") {
			t.Error(shown)
		}
		if got := cfg.Secrets(); len(got) != len(secrets)-1 {
			t.Errorf("%d secrets, want %d", len(got), len(secrets)-1)
		}
	}
}
