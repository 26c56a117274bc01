// Package wire is the bodies of the Iceberg REST protocol: what they look like,
// how requests are read and answers written.
package wire

import (
	"fmt"
	"time"
)

// Config is what a client asks for first.
type Config struct {
	Defaults  map[string]string `json:"defaults"`
	Overrides map[string]string `json:"overrides"`
	Endpoints []string          `json:"endpoints"`
	// IdempotencyKeyLifetime is an ISO 8601 duration; "" says that keys are not
	// supported.
	IdempotencyKeyLifetime string `json:"idempotency-key-lifetime,omitempty"`
}

// Duration writes a duration as ISO 8601 has it, in whole seconds; "" for none.
func Duration(d time.Duration) string {
	seconds := int64(d / time.Second)
	if seconds <= 0 {
		return ""
	}
	out := "PT"
	if h := seconds / 3600; h > 0 {
		out += fmt.Sprintf("%dH", h)
	}
	if m := seconds / 60 % 60; m > 0 {
		out += fmt.Sprintf("%dM", m)
	}
	if s := seconds % 60; s > 0 {
		out += fmt.Sprintf("%dS", s)
	}
	return out
}
