package restriction_test

import (
	"encoding/json"
	"testing"

	"github.com/floeberg/floeberg/authz/restriction"
)

// What is read as masks says the same when it is written again, and binds or does not
// without a panic.
func FuzzColumnMask(f *testing.F) {
	for _, seed := range []string{`{"card":"show-last-4"}`, `{"user.ssn":"replace-with-null","user":"mask-to-fixed-value"}`, `{"a":1}`, `[]`, `{"tags.element":"mask-alphanum"}`} {
		f.Add(seed)
	}
	l := lineage(f, fields)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := restriction.Parse(nil, &text)
		if err != nil {
			return
		}
		written := map[string]restriction.Action{}
		for _, m := range r.Masks {
			written[m.Column] = m.Action
		}
		again, err := json.Marshal(written)
		if err != nil || len(written) != len(r.Masks) {
			t.Fatalf("%s: %v %v", text, r.Masks, err)
		}
		second := string(again)
		if r, err = restriction.Parse(nil, &second); err != nil || len(r.Masks) != len(written) {
			t.Fatalf("%s becomes %s: %v", text, again, err)
		}
		bound, err := restriction.Set{&r}.Bind(l)
		if err == nil && !json.Valid(bound.JSON()) {
			t.Fatalf("%s is bound as %s", text, bound.JSON())
		}
	})
}
