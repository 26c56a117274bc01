package app_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/config"
)

// flips are, for each setting, the folder and the name of the test that shows that a
// node does something else because of it.
var flips = map[string]string{
	"node-id":           "internal/app TestDataFolderBelongsToOneNode",
	"data-dir":          "internal/app TestOneNodeFromStartToRestart",
	"http-listen":       "internal/app TestAddressesOfANode",
	"http-advertise":    "internal/app TestAddressesOfANode",
	"cluster-listen":    "internal/app TestAddressesOfANode",
	"cluster-advertise": "internal/app TestAddressesOfANode",
	"gossip-listen":     "internal/app TestAddressesOfANode",
	"gossip-advertise":  "internal/app TestAddressesOfANode",
	"join":              "internal/app TestThreeNodesMintOneKey",
	"bootstrap-expect":  "internal/app TestLiveAtOnceReadyOnlyWithALeader",
	"nonvoter":          "test/cluster TestNodesComeAndGo",
	"stabilize-after":   "test/cluster TestMembership",
	"remove-dead-after": "internal/app TestDeadNodesAreRemoved",

	"warehouse":            "internal/app TestWarehouseSettings",
	"warehouse-name":       "internal/app TestWarehouseSettings",
	"warehouse-locations":  "cmd/floeberg TestWarehouseCommands",
	"allow-locations":      "internal/app TestWarehouseSettings",
	"verify-metadata":      "internal/app TestVerifyMetadata",
	"read-restrictions":    "internal/app TestReadRestrictions",
	"s3-endpoint":          "test/cluster TestStoreAway",
	"s3-region":            "test/cluster TestStoreAway",
	"s3-access-key-id":     "test/cluster TestStoreAway",
	"s3-secret-access-key": "test/cluster TestStoreAway",
	"s3-path-style":        "test/cluster TestStoreAway",
	"gcs-endpoint":         "test/cluster TestClouds",
	"gcs-no-auth":          "test/cluster TestClouds",
	"gcs-credentials-file": "internal/app TestSettingsOfStores",
	"azure-endpoint":       "test/cluster TestClouds",
	"azure-account-key":    "test/cluster TestClouds",
	"azure-sas-token":      "internal/app TestSettingsOfStores",

	"snapshot-store":           "test/cluster TestSnapshotsToAFolder",
	"snapshot-key":             "test/cluster TestSnapshotsToAFolder",
	"snapshot-keep":            "test/cluster TestSnapshotsToAFolder",
	"snapshot-upload-interval": "test/cluster TestSnapshotStoreAway",
	"snapshot-max-age":         "internal/app TestOldSnapshotsAreRemoved",
	"log-archive-interval":     "internal/app TestRestoreIntoANewNode",
	"raft-snapshot-threshold":  "test/faults TestSlowReturn",
	"raft-snapshot-interval":   "test/faults TestSlowReturn",
	"raft-trailing-logs":       "test/faults TestSlowReturn",
	"verify-interval":          "test/cluster TestOddNodeIsStoppedAndReplaced",

	"auth":                "internal/app TestAuthOff",
	"secret-key":          "internal/app TestSecretKeys",
	"secret-key-previous": "internal/app TestWrongSecretKey",
	"insecure-no-auth":    "internal/config TestWhatIsAllowed",
	"insecure-cluster":    "internal/config TestWhatIsAllowed",
	"bootstrap-key":       "internal/app TestAGivenKeyIsTheOnlyOne",
	"token-lifetime":      "test/conformance TestPyIcebergWithACredential",
	"oidc-issuer":         "internal/app TestTokensOfAnIdentityProvider",
	"oidc-audience":       "internal/app TestTokensOfAnIdentityProvider",
	"oidc-groups-claim":   "internal/app TestTokensOfAnIdentityProvider",
	"oidc-groups-map":     "internal/app TestTokensOfAnIdentityProvider",
	"oidc-ca":             "internal/app TestIssuersAuthoritiesAreReadAgain",
	"oidc-tenant-claim":   "internal/app TestTheTenantOfWhoAsks",
	"oidc-type-claim":     "internal/app TestTheTypeOfWhoAsks",
	"oidc-type-map":       "internal/app TestTheTypeOfWhoAsks",

	"tls-cert":          "internal/app TestTLS",
	"tls-key":           "internal/app TestTLS",
	"tls-client-ca":     "internal/app TestTLSClientAuthority",
	"tls-client-name":   "internal/app TestTLSClientCertificatesAsIdentity",
	"tls-client-groups": "internal/app TestTLSClientCertificatesAsIdentity",
	"tls-min-version":   "internal/app TestVersionsAndCiphersOfTLS",
	"cluster-ca":        "internal/app TestClusterWithCertificatesAndGossipKey",
	"cluster-cert":      "internal/app TestClusterWithCertificatesAndGossipKey",
	"cluster-key":       "internal/app TestClusterWithCertificatesAndGossipKey",
	"gossip-key":        "internal/app TestClusterWithCertificatesAndGossipKey",

	"http-trusted-proxies":             "internal/app TestWallSettings",
	"http-forwarded-header":            "internal/app TestWallSettings",
	"http-cors-origins":                "internal/app TestWallSettings",
	"http-max-connections":             "internal/app TestConnectionsAreBounded",
	"http-max-connections-per-address": "internal/app TestConnectionsAreBounded",
	"rate-limit-principal":             "internal/app TestNodesShareTheRates",
	"rate-limit-address":               "internal/app TestWallSettings",
	"rate-limit-failures":              "internal/app TestWallSettings",

	"read-consistency": "internal/app TestLiveAtOnceReadyOnlyWithALeader",
	"max-staleness":    "test/faults TestQuorumLost",
	"log-level":        "internal/app TestSIGHUPChangesTheLevel",
	"log-format":       "internal/app TestRequestIDInEveryLine",
	"audit-log":        "internal/app TestAuditLogThatCannotBeWritten",
	"audit-on-failure": "internal/app TestAuditLogThatCannotBeWritten",
	"audit-file-mb":    "internal/app TestFilesOfTheAuditLog",
	"audit-file-age":   "internal/app TestFilesOfTheAuditLog",
	"audit-files":      "internal/app TestFilesOfTheAuditLog",
}

// A setting that is read and changes nothing is worse than none: each has a test that
// sets it and looks at what a node does then.
func TestEverySettingHasATestThatFlipsIt(t *testing.T) {
	t.Parallel()
	left := maps.Clone(flips)
	folders := map[string]sources{}
	for _, s := range config.Settings() {
		place, ok := left[s.Name]
		if !ok {
			t.Errorf("--%s: no test is known that shows what it changes", s.Name)
			continue
		}
		delete(left, s.Name)
		folder, test, _ := strings.Cut(place, " ")
		if folders[folder].tests == nil {
			folders[folder] = readSources(t, filepath.Join("..", "..", filepath.FromSlash(folder)))
		}
		if !slices.Contains(folders[folder].tests, test) {
			t.Errorf("--%s: there is no %s in %s", s.Name, test, folder)
		}
		if !folders[folder].say(s) {
			t.Errorf("--%s: nothing in %s sets it", s.Name, folder)
		}
	}
	for name := range left {
		t.Errorf("--%s is no setting", name)
	}
}

// sources are a folder's files, and the names of its tests.
type sources struct {
	tests []string
	text  []byte
}

// say tells whether a setting is set somewhere, in one of its spellings.
func (s sources) say(setting config.Setting) bool {
	for _, spelling := range []string{`"` + setting.Name + `"`, `"--` + setting.Name + `"`, `"` + setting.Env() + `=`} {
		if bytes.Contains(s.text, []byte(spelling)) {
			return true
		}
	}
	return false
}

func readSources(t *testing.T, folder string) sources {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := sources{tests: []string{}}
	for _, path := range files {
		if filepath.Base(path) == "settings_test.go" {
			continue // all of them are named here
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out.text = append(out.text, text...)
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				out.tests = append(out.tests, f.Name.Name)
			}
		}
	}
	return out
}
