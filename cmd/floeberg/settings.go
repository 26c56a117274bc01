package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/floeberg/floeberg/internal/config"
)

// settingFlags adds a flag for every setting. The returned function reads them
// together with environment and file.
func settingFlags(cmd *cobra.Command) func() (*config.Config, error) {
	given := make(map[string]string)
	addSettings(cmd, config.Settings(), given)
	return func() (*config.Config, error) {
		return config.Load(config.Sources{Flags: given, Environ: os.Environ()})
	}
}

// addSettings adds flags for settings, and --config.
func addSettings(cmd *cobra.Command, settings []config.Setting, given map[string]string) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&settingFlag{name: config.FileFlag, given: given}, config.FileFlag, "TOML file with settings")
	for _, s := range settings {
		f := flags.VarPF(&settingFlag{name: s.Name, given: given, isSwitch: s.Switch}, s.Name, "", s.Usage)
		f.DefValue = s.Default
		if s.Note != "" {
			f.Usage += " (default " + s.Note + ")"
		}
		if s.Switch {
			f.NoOptDefVal = "true"
		}
	}
}

// settingFlag remembers what was given; config checks it, in the same way for
// all three spellings.
type settingFlag struct {
	name     string
	given    map[string]string
	isSwitch bool
}

var _ pflag.Value = (*settingFlag)(nil)

// String implements pflag.Value.
func (f *settingFlag) String() string { return f.given[f.name] }

// Set implements pflag.Value.
func (f *settingFlag) Set(value string) error {
	f.given[f.name] = value
	return nil
}

// Type implements pflag.Value.
func (f *settingFlag) Type() string {
	if f.isSwitch {
		return "bool"
	}
	return "string"
}
