package secret

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/awskms"
)

// TestAWSServer speaks to what others wrote to speak like AWS: keys by id and alias, and
// a box that does without the service once it has its data keys.
func TestAWSServer(t *testing.T) {
	t.Parallel()
	server := awskms.Start(t)
	keys := AWSKeys{ID: "AKIDEXAMPLE", Secret: "the-secret"}
	cloud := Cloud{AWS: func(context.Context) (AWSKeys, error) { return keys, nil }}
	// ask calls what the product never does.
	ask := func(what string, in, out any) {
		t.Helper()
		err := postJSON(t.Context(), server.Endpoint+"/", in, out, func(req *http.Request, body []byte) error {
			req.Header.Set("Content-Type", "application/x-amz-json-1.1")
			req.Header.Set("X-Amz-Target", "TrentService."+what)
			signAWS(req, body, keys, "eu-central-1", "kms", time.Now())
			return nil
		})
		if err != nil {
			t.Fatal(what, err)
		}
	}
	var made struct {
		KeyMetadata struct{ KeyID string }
	}
	ask("CreateKey", map[string]any{}, &made)
	id := made.KeyMetadata.KeyID
	if id == "" {
		t.Fatal("no key was made")
	}
	address := "awskms://" + id + "?region=eu-central-1&endpoint=" + url.QueryEscape(server.Endpoint)
	k := keeperAt(t, address, cloud)
	key := bytes.Repeat([]byte{7}, keyBytes)
	wrapped, err := k.encrypt(t.Context(), key)
	if err != nil || bytes.Contains(wrapped, key) {
		t.Fatalf("wrapped %d bytes, %v", len(wrapped), err)
	}
	if back, err := k.decrypt(t.Context(), wrapped); err != nil || !bytes.Equal(back, key) {
		t.Errorf("unwrapped %x, %v", back, err)
	}
	changed := bytes.Clone(wrapped)
	changed[len(changed)-1] ^= 1
	if _, err := k.decrypt(t.Context(), changed); err == nil {
		t.Error("what was changed is unwrapped")
	}
	if _, err := keeperAt(t, strings.Replace(address, id, "alias/none", 1), cloud).encrypt(t.Context(), key); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("with a key that is not there: %v", err)
	}

	log := newTestLog(t)
	opts := options(log, address)
	opts.Cloud = cloud
	b := newBox(t, opts)
	if err := ownNotes.keep(t.Context(), b, log, "a", "the secret"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if got, err := ownNotes.read(t.Context(), b, log, "a"); err != nil || got != "the secret" {
		t.Errorf("while the service is away: %q, %v", got, err)
	}
	if _, err := b.Rotate(t.Context(), false); err == nil {
		t.Error("rotated without the service")
	}
	if got := known(t, log).Keys[0].GetClusterKey(); got != "awskms://"+id {
		t.Errorf("wrapped by %s", got)
	}
}
