package config

import (
	"maps"
	"regexp"
	"slices"
)

// ShownSetting is a setting as it may be shown to others.
type ShownSetting struct {
	Name string `json:"name"`
	// Value is Hidden where it is a secret.
	Value string `json:"value"`
}

// Hidden stands for a secret that is set.
const Hidden = "(hidden)"

// userInfo is a user's name and password in a URL.
var userInfo = regexp.MustCompile(`//[^/@\s]*@`)

// Shown is the settings that have a value, in the order of their names, without
// secrets.
func (c *Config) Shown() []ShownSetting {
	secret := secretNames()
	out := make([]ShownSetting, 0, len(c.values))
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		value := c.values[name]
		switch {
		case value == "":
		case secret[name]:
			value = Hidden
		default:
			value = userInfo.ReplaceAllString(value, "//"+Hidden+"@")
		}
		out = append(out, ShownSetting{Name: name, Value: value})
	}
	return out
}

// Secrets are the values that must not be shown, wherever they turn up.
func (c *Config) Secrets() []string {
	secret := secretNames()
	var out []string
	for name, value := range c.values {
		if secret[name] && value != "" {
			out = append(out, value)
		}
	}
	slices.Sort(out)
	return out
}

func secretNames() map[string]bool {
	out := make(map[string]bool)
	for _, s := range Settings() {
		out[s.Name] = s.Secret
	}
	return out
}
