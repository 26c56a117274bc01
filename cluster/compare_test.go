package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	const away = ""
	for name, c := range map[string]struct {
		sums []string
		want []VerifyResult
		most string
	}{
		"all equal":       {[]string{"a", "a", "a"}, []VerifyResult{VerifiedOK, VerifiedOK, VerifiedOK}, "a"},
		"one odd":         {[]string{"a", "b", "a"}, []VerifyResult{VerifiedOK, VerifiedDifferent, VerifiedOK}, "a"},
		"one away":        {[]string{"a", away, "a"}, []VerifyResult{VerifiedOK, VerifiedUnreachable, VerifiedOK}, "a"},
		"odd and away":    {[]string{"a", away, "b"}, []VerifyResult{VerifiedDifferent, VerifiedUnreachable, VerifiedDifferent}, ""},
		"all different":   {[]string{"a", "b", "c"}, []VerifyResult{VerifiedDifferent, VerifiedDifferent, VerifiedDifferent}, ""},
		"two camps":       {[]string{"a", "b", "a", "b"}, []VerifyResult{VerifiedDifferent, VerifiedDifferent, VerifiedDifferent, VerifiedDifferent}, ""},
		"three against 2": {[]string{"a", "b", "a", "b", "a"}, []VerifyResult{VerifiedOK, VerifiedDifferent, VerifiedOK, VerifiedDifferent, VerifiedOK}, "a"},
		"2, 1 and 1":      {[]string{"c", "b", "a", "a"}, []VerifyResult{VerifiedDifferent, VerifiedDifferent, VerifiedOK, VerifiedOK}, "a"},
		"alone":           {[]string{"a"}, []VerifyResult{VerifiedOK}, "a"},
	} {
		var answers []NodeVerification
		for _, sum := range c.sums {
			a := NodeVerification{Result: VerifiedOK, Checksum: []byte(sum)}
			if sum == away {
				a.Result = VerifiedUnreachable
			}
			answers = append(answers, a)
		}
		v := compare(7, answers)
		var got []VerifyResult
		for _, n := range v.Nodes {
			got = append(got, n.Result)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || string(v.Checksum) != c.most || v.Index != 7 {
			t.Errorf("%s: most have %q (-want +got)\n%s", name, v.Checksum, diff)
		}
	}
	// The same checksum in another term is another state.
	v := compare(7, []NodeVerification{{Result: VerifiedOK, term: 1}, {Result: VerifiedOK, term: 2}, {Result: VerifiedOK, term: 2}})
	if v.Nodes[0].Result != VerifiedDifferent || v.Nodes[1].Result != VerifiedOK {
		t.Errorf("%+v", v)
	}
}
