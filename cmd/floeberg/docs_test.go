package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// foreign are flags of other programs that the documentation names.
var foreign = map[string]string{
	"clusterrole": "kubectl", "service-account-issuer": "the API server of Kubernetes",
	"fail": "curl", "silent": "curl", "header": "curl", "json": "curl",
	"system": "useradd", "home-dir": "useradd", "shell": "useradd", "now": "systemctl",
}

// The documentation names no flag that neither a setting nor a command has.
func TestDocsNameFlagsThatAreThere(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"help": true}
	var learn func(cmd *cobra.Command)
	learn = func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			flags.VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		}
		for _, sub := range cmd.Commands() {
			learn(sub)
		}
	}
	learn(rootCommand())
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	flag := regexp.MustCompile(`(^|[^-\w])--([a-z][a-z0-9-]*[a-z0-9])`)
	named := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range flag.FindAllSubmatch(text, -1) {
			named++
			if name := string(m[2]); !known[name] && foreign[name] == "" {
				t.Errorf("%s names --%s, which nothing has", filepath.Base(page), name)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d flags were found", named)
	}
}
