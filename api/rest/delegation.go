package rest

import (
	"net/http"
	"slices"
	"strings"
)

// accessDelegation reads how the client can be given access to files. What is
// not known is skipped, as the protocol says: the server picks what it can.
func accessDelegation(h http.Header) []string {
	var out []string
	for _, line := range h.Values("X-Iceberg-Access-Delegation") {
		for item := range strings.SplitSeq(line, ",") {
			switch item = strings.ToLower(strings.TrimSpace(item)); item {
			case "vended-credentials", "remote-signing":
				out = append(out, item)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
