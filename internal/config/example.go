package config

import (
	"fmt"
	"io"
	"strings"
)

// WriteExample writes a file with every setting, commented out, at its default.
func WriteExample(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Settings of a floeberg node. Each can also be given as a flag (--http-listen) or in\n")
	b.WriteString("# the environment (FLOEBERG_HTTP_LISTEN); flag goes before environment before file.\n")
	section := ""
	// Keys without a section come first: TOML would read them as part of the last one.
	for _, inSection := range []bool{false, true} {
		for _, s := range grouped() {
			name, rest, found := strings.Cut(s.Key(), ".")
			if found != inSection {
				continue
			}
			if found && name != section {
				section = name
				fmt.Fprintf(&b, "\n[%s]\n", section)
			}
			if !found {
				rest = name
			}
			fmt.Fprintf(&b, "\n# %s%s\n# %s = %s\n", s.Usage, note(s), rest, exampleValue(s))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// grouped is the settings with those of one section side by side, else in order.
func grouped() []Setting {
	settings := Settings()
	var out []Setting
	done := make(map[string]bool)
	for _, s := range settings {
		if done[s.Name] {
			continue
		}
		section, _, found := strings.Cut(s.Key(), ".")
		for _, other := range settings {
			otherSection, _, otherFound := strings.Cut(other.Key(), ".")
			if other.Name == s.Name || found && otherFound && otherSection == section {
				done[other.Name] = true
				out = append(out, other)
			}
		}
	}
	return out
}

func note(s Setting) string {
	if s.Note == "" {
		return ""
	}
	return " (default: " + s.Note + ")"
}

func exampleValue(s Setting) string {
	switch s.Default {
	case "true", "false":
		return s.Default
	case "on":
		return "true"
	case "off":
		return "false"
	}
	switch s.Name {
	case "bootstrap-expect":
		return s.Default
	case "join", "allow-locations", "http-trusted-proxies", "http-cors-origins", "oidc-issuer", "oidc-audience", "oidc-groups-map", "oidc-type-map", "tls-client-groups":
		return "[]"
	}
	return fmt.Sprintf("%q", s.Default)
}
