package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
)

// The output formats.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

// outputFlag adds --output. The returned function checks its value and gives it.
func outputFlag(flags *pflag.FlagSet) func() (string, error) {
	format := flags.String("output", outputTable, "table or json")
	return func() (string, error) {
		if *format != outputTable && *format != outputJSON {
			return "", &usageError{fmt.Errorf("--output: expected table or json, not %q", *format)}
		}
		return *format, nil
	}
}

// writeJSON prints one value and nothing else.
func writeJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(value)
}

// writeTable prints rows under a header, in columns.
func writeTable(w io.Writer, header []string, rows [][]string) error {
	return writeRows(w, append([][]string{header}, rows...))
}

func writeRows(w io.Writer, rows [][]string) error {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			if i > 0 {
				fmt.Fprint(out, "\t")
			}
			fmt.Fprint(out, cell(row[i]))
		}
		fmt.Fprintln(out)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		// Cells before an empty last one are padded.
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// field is a line of a thing that is shown alone.
type field struct{ name, value string }

// writeFields prints fields; those without a value are left out.
func writeFields(w io.Writer, fields []field) error {
	var rows [][]string
	for _, f := range fields {
		if f.value != "" {
			rows = append(rows, []string{f.name, f.value})
		}
	}
	return writeRows(w, rows)
}

// writeSection is writeTable below something else; nothing where there are no rows.
func writeSection(w io.Writer, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return writeTable(w, header, rows)
}

// cell is text that stays on its line and in its column, and steers no terminal.
func cell(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return ' '
		}
		return r
	}, text)
}

// propertyRows are properties in the order of their keys.
func propertyRows(properties map[string]string) [][]string {
	rows := make([][]string, 0, len(properties))
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		rows = append(rows, []string{key, properties[key]})
	}
	return rows
}

var propertyHeader = []string{"PROPERTY", "VALUE"}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
