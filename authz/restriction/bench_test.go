package restriction_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/authz/restriction"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// BenchmarkBind is what a restricted load costs beside an open one: the schemas of the
// document are read, and three policies bound.
func BenchmarkBind(b *testing.B) {
	for _, columns := range []int{10, 200} {
		b.Run(fmt.Sprintf("columns=%d", columns), func(b *testing.B) {
			var all []string
			for i := range columns {
				all = append(all, fmt.Sprintf(`{"id":%d,"name":"c%d","type":"string","required":false}`, i+1, i))
			}
			document := []byte(fmt.Sprintf(`{"schemas":[{"type":"struct","schema-id":0,"fields":[%s]}],"current-schema-id":0}`, strings.Join(all, ",")))
			set := restriction.Set{
				restrict(b, "p", `{"type":"eq","term":"c1","value":"EU"}`, ""), restrict(b, "q", "", `{"c2":"show-last-4","c3":"replace-with-null"}`),
				restrict(b, "r", `{"type":"not-null","term":"c4"}`, `{"c5":"mask-alphanum"}`),
			}
			for b.Loop() {
				l, err := iceberg.ReadLineage(document)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := set.Bind(l); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
