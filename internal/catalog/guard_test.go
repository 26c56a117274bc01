package catalog

import (
	"testing"

	"github.com/floeberg/floeberg/fsm/command"
)

// A right may rest on that there is no record: one that comes between the
// judgement and the log takes it away.
func TestAGuardThatThereIsNone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	key := s.log.key("another").Key
	key[len(key)-1]++
	ch := Change{Guards: []Guard{{Key: key}}}
	if _, err := c.CreateNamespace(t.Context(), ch, "", Namespace{"a"}, nil); err != nil {
		t.Fatal(err)
	}
	s.log.ahead(func(*command.Transaction) { s.fill(t, key) })
	_, err := c.CreateNamespace(t.Context(), ch, "", Namespace{"b"}, nil)
	wantKind(t, err, KindRevoked)
	_, err = c.LoadNamespace(t.Context(), Read{}, "", Namespace{"b"})
	wantKind(t, err, KindNoSuchNamespace)
}
