package catalog

import "testing"

// BenchmarkLoadRefs loads a table of 100,000 snapshots without those that no
// branch or tag refers to, on a node that has nothing of it ready.
func BenchmarkLoadRefs(b *testing.B) {
	s := newSite(b)
	c := s.node()
	mustNamespace(b, c, "ns")
	id := ident("ns", "t")
	s.grown(b, c, id, 100_000)
	for name, cold := range map[string]bool{"warm": false, "cold": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				node := c
				if cold {
					b.StopTimer()
					node = s.node()
					b.StartTimer()
				}
				if _, err := node.LoadTable(b.Context(), "", id, LoadOptions{RefsOnly: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
