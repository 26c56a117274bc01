package app_test

import (
	"encoding/json"
	"strings"
	"testing"
)

const keysPath = "/management/v1/keys"

// Where no key of an admin is left, the mend is to start a node with a new one. The
// old one, with which nodes may be started for years, does not come back.
func TestWhoIsLockedOutStartsANodeWithANewKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startReady(t, dir, flags{"bootstrap-key": adminKey})
	n.must(t, 200, "POST", keysPath, `{"name":"r","groups":["reader"]}`)
	var list struct{ Keys []struct{ ID, Name string } }
	if err := json.Unmarshal([]byte(n.must(t, 200, "GET", keysPath, "")), &list); err != nil || len(list.Keys) != 2 {
		t.Fatalf("%v, %+v", err, list)
	}
	for _, k := range list.Keys {
		if k.Name == "bootstrap" {
			n.must(t, 409, "POST", keysPath+"/"+k.ID+"/revoke", "")
			n.must(t, 200, "POST", keysPath+"/"+k.ID+"/revoke?force=true", "")
		}
	}
	n.must(t, 401, "GET", keysPath, "")
	n.stop(t)

	same := startReady(t, dir, flags{"bootstrap-key": adminKey})
	await(t, "a word on the revoked key", func() bool { return strings.Contains(same.log.String(), "it was revoked") })
	same.must(t, 401, "GET", keysPath, "")
	same.stop(t)

	const mend = "fb_another_0123456789abcdef"
	other := startReady(t, dir, flags{"bootstrap-key": mend})
	await(t, "the new key", func() bool { code, _ := other.try(t, "GET", keysPath, ""); return code == 200 })
	other.stop(t)
	// It is one key like any other: with it there is an admin, and no third is made.
	third := startReady(t, dir, flags{"bootstrap-key": "fb_third_0123456789abcdef"})
	await(t, "a word on the third key", func() bool { return strings.Contains(third.log.String(), "is not used") })
	third.must(t, 401, "GET", keysPath, "")
}
