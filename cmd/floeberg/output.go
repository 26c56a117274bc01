package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The output formats.
const (
	outputTable = "table"
	outputJSON  = "json"
)

// outputFlag adds --output. The returned function checks its value and gives it.
func outputFlag(cmd *cobra.Command) func() (string, error) {
	format := cmd.Flags().String("output", outputTable, "table or json")
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
	return out.Encode(value)
}
