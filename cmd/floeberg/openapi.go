package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api"
)

func openapiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI description of what a node serves beside the Iceberg protocol",
		Args:  noArgs,
	}
	format := cmd.Flags().String("output", outputYAML, "yaml or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch *format {
		case outputYAML:
			_, err := cmd.OutOrStdout().Write(api.DescriptionYAML())
			return err
		case outputJSON:
			doc, err := api.DescriptionJSON()
			if err != nil {
				return err
			}
			return writeJSON(cmd.OutOrStdout(), json.RawMessage(doc))
		}
		return &usageError{fmt.Errorf("--output: expected yaml or json, not %q", *format)}
	}
	return cmd
}
