package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// EnvPrefix begins the name of every setting in the environment.
const EnvPrefix = "FLOEBERG_"

// FileFlag is the name of the flag, and in capitals of the variable, that says
// where the file is.
const FileFlag = "config"

// Problem is what stops a start: which setting, and what mends it.
type Problem struct {
	// Source is the spelling that holds the value, such as --http-listen.
	Source string
	// Reason says what is wrong and what is expected.
	Reason string
}

// Error is one line.
func (p *Problem) Error() string { return p.Source + ": " + p.Reason }

func problem(source, format string, args ...any) error {
	return &Problem{Source: source, Reason: fmt.Sprintf(format, args...)}
}

// Sources is where settings come from.
type Sources struct {
	// Flags is the flags that were given, by their names without dashes.
	Flags map[string]string
	// Environ is the environment, NAME=VALUE.
	Environ []string
	// HostName is the default of the node's id.
	HostName func() (string, error)
}

// given is a value and who gave it.
type given struct {
	value, source string
}

// Load reads all sources, of which flags go before environment before file
// before defaults, and checks what came out. Its errors are of type *Problem.
func Load(from Sources) (*Config, error) {
	settings := Settings()
	values := make(map[string]given, len(settings))
	for _, s := range settings {
		if s.Default != "" {
			values[s.Name] = given{s.Default, s.Key()}
		}
	}
	environ, err := readEnviron(settings, from.Environ)
	if err != nil {
		return nil, err
	}
	if path, source := filePath(from); path != "" {
		if err := readFile(settings, path, source, values); err != nil {
			return nil, err
		}
	}
	for name, g := range environ {
		values[name] = g
	}
	for _, s := range settings {
		if v, ok := from.Flags[s.Name]; ok {
			values[s.Name] = given{v, "--" + s.Name}
		}
	}

	cfg := &Config{values: make(map[string]string, len(values))}
	for _, s := range settings {
		g, ok := values[s.Name]
		cfg.values[s.Name] = g.value
		// Where nothing is the default, an empty value means nothing too: a flag
		// can so take back what the file says.
		if !ok || g.value == "" && s.Default == "" {
			continue
		}
		if err := s.parse(cfg, g.value); err != nil {
			if s.Secret {
				return nil, problem(g.source, "%v", err)
			}
			return nil, problem(g.source, "%v, not %q", err, g.value)
		}
	}
	if cfg.NodeID == "" {
		if cfg.NodeID, err = from.hostName(); err != nil {
			return nil, problem("node-id", "this machine has no usable host name (%v): set --node-id", err)
		}
	}
	// Relative to where the process was started, and to nothing later.
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return nil, problem("data-dir", "can't be made absolute: %v", err)
	}
	if cfg.Warehouse == "" {
		cfg.Warehouse = defaultWarehouse(cfg.DataDir)
	}
	if cfg.values["audit-log"] == "" {
		cfg.Audit.File = defaultAudit(cfg.DataDir)
	}
	return cfg, cfg.validate()
}

func (from Sources) hostName() (string, error) {
	ask := from.HostName
	if ask == nil {
		ask = os.Hostname
	}
	name, err := ask()
	if err != nil {
		return "", err
	}
	return name, oneWord(name)
}

func envName(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func filePath(from Sources) (path, source string) {
	if path, ok := from.Flags[FileFlag]; ok {
		return path, "--" + FileFlag
	}
	name := EnvPrefix + envName(FileFlag)
	for _, pair := range from.Environ {
		if k, v, _ := strings.Cut(pair, "="); k == name && v != "" {
			return v, name
		}
	}
	return "", ""
}

// otherVariables begin with our prefix and are no settings: those of the client
// commands and of the test tools, and what Kubernetes adds for a service that
// bears our name. Anything else is a misspelling, which must not pass unseen.
var otherVariables = regexp.MustCompile(`^FLOEBERG_(CONFIG|ADDR|KEY|OUTPUT|TOOLS(_.*)?|BIN(_.*)?|TEST(_.*)?|BENCH(_.*)?|` +
	`(.*_)?SERVICE_(HOST|PORT)(_.*)?|PORT|(.*_)?PORT_[0-9]+_(TCP|UDP)(_.*)?|.+_PORT)$`)

func readEnviron(settings []Setting, environ []string) (map[string]given, error) {
	byEnv := make(map[string]string, len(settings))
	for _, s := range settings {
		byEnv[s.Env()] = s.Name
	}
	out := make(map[string]given)
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		setting, known := byEnv[name]
		switch {
		case !known && otherVariables.MatchString(name):
		case !known:
			return nil, problem(name, "no such setting%s; unset it", nearest(name, settings, Setting.Env))
		case value == "":
			// Compose files and unit files write unset variables as empty ones.
		default:
			out[setting] = given{value, name}
		}
	}
	return out, nil
}

func readFile(settings []Setting, path, source string, values map[string]given) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return problem(source, "can't read the file: %v", err)
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			row, column := decode.Position()
			return problem(path, "line %d, column %d: %v", row, column, decode)
		}
		return problem(path, "%v", err)
	}
	byName := make(map[string]Setting, len(settings))
	for _, s := range settings {
		byName[s.Name] = s
	}
	seen := make(map[string]string)
	return eachKey("", tree, func(key string, value any) error {
		s, known := byName[settingName(key)]
		if !known {
			return problem(path, "%s: no such setting%s; remove it", key, nearest(key, settings, Setting.Key))
		}
		if before, twice := seen[s.Name]; twice {
			return problem(path, "%s: set already as %s; remove one", key, before)
		}
		seen[s.Name] = key
		written, err := writeValue(value)
		if err != nil {
			return problem(path, "%s: %v", key, err)
		}
		values[s.Name] = given{written, path + ": " + key}
		return nil
	})
}

// settingName forgives where a key puts its dots: s3.access-key-id,
// s3.access_key_id and s3-access-key-id are one name.
func settingName(key string) string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(key)
}

// eachKey calls fn for every leaf, in key order so that the first problem found
// is always the same one.
func eachKey(prefix string, tree map[string]any, fn func(key string, value any) error) error {
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		key := name
		if prefix != "" {
			key = prefix + "." + name
		}
		if sub, ok := tree[name].(map[string]any); ok {
			if err := eachKey(key, sub, fn); err != nil {
				return err
			}
			continue
		}
		if err := fn(key, tree[name]); err != nil {
			return err
		}
	}
	return nil
}

// writeValue is a value of the file as a flag would give it, so that one parser
// serves all three spellings.
func writeValue(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return fmt.Sprint(v), nil
	case int64:
		return fmt.Sprint(v), nil
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			s, ok := item.(string)
			if !ok {
				return "", errors.New("expected a list of strings")
			}
			if strings.Contains(s, ",") {
				return "", errors.New("expected no commas in the strings of the list")
			}
			items[i] = s
		}
		return strings.Join(items, ","), nil
	case float64, time.Time, toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return "", errors.New("expected a string")
	default:
		return "", errors.New("expected a string, a number, a truth value or a list of strings")
	}
}

// nearest suggests the setting that was probably meant.
func nearest(name string, settings []Setting, spell func(Setting) string) string {
	best, bestDistance := "", 4
	for _, s := range settings {
		if d := distance(name, spell(s)); d < bestDistance {
			best, bestDistance = spell(s), d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// distance is how many letters must change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
