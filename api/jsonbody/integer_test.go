package jsonbody_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/api/jsonbody"
)

type numbers struct {
	N    *jsonbody.Integer  `json:"n"`
	List []jsonbody.Integer `json:"list"`
	In   struct {
		N jsonbody.Integer `json:"n"`
	} `json:"in"`
}

func TestIntegers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "-0.0": 0, "0e99999999999999999999": 0, "17": 17, "17360835.0": 17360835, "-17.000": -17, "1.7e1": 17, "1.7E+01": 17, "1700e-2": 17,
		"9007199254740993.0": 9007199254740993, "9223372036854775807": 9223372036854775807, "9223372036854775807.000": 9223372036854775807,
		"-9223372036854775808.0": -9223372036854775808, "9.223372036854775807e18": 9223372036854775807, "0.00001e5": 1,
	} {
		var got numbers
		if err := jsonbody.Decode([]byte(`{"n":`+text+`,"list":[1.0,`+text+`]}`), &got); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if *got.N != jsonbody.Integer(want) || got.List[1] != *got.N {
			t.Errorf("%s: %d, want %d", text, *got.N, want)
		}
	}
	for body, want := range map[string]string{
		`{"n":1.5}`:                               `field "n" must be an integer of at most 64 bits, not 1.5`,
		`{"in":{"n":1e-1}}`:                       `field "in.n" must be an integer of at most 64 bits, not 1e-1`,
		`{"n":9223372036854775808}`:               `field "n" must be an integer of at most 64 bits, not 9223372036854775808`,
		`{"n":-9223372036854775809.0}`:            `not -9223372036854775809.0`,
		`{"n":1e19}`:                              `not 1e19`,
		`{"n":1e999999999999999999999999999}`:     `not 1e9999`,
		`{"n":1e-99999999999999999999}`:           `not 1e-9999`,
		`{"n":` + strings.Repeat("1", 1000) + `}`: `not 11111111111111111111111111111111…`,
		`{"n":"1"}`:                               `field "n" must be an integer, not string`,
		`{"n":true}`:                              `field "n" must be an integer, not bool`,
		`{"n":[1]}`:                               `field "n" must be an integer, not array`,
		`{"n":{"a":1}}`:                           `field "n" must be an integer, not object`,
		`{"list":[1,2.5]}`:                        `field "list" must be an integer of at most 64 bits, not 2.5`,
	} {
		if err := jsonbody.Decode([]byte(body), &numbers{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", body, err, want)
		}
	}
	var none numbers
	if err := jsonbody.Decode([]byte(`{"n":null}`), &none); err != nil || none.N != nil {
		t.Errorf("null: %v %v", none.N, err)
	}
}

// What is taken is the number exactly, and nothing that is one is refused.
func TestIntegersAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		value, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%s is no number", text)
		}
		var got numbers
		err := jsonbody.Decode([]byte(`{"n":`+text+`}`), &got)
		if want := value.IsInt() && value.Num().IsInt64(); want != (err == nil) {
			t.Fatalf("%s: %v", text, err)
		}
		if err == nil && int64(*got.N) != value.Num().Int64() {
			t.Fatalf("%s is %d", text, *got.N)
		}
	})
}
