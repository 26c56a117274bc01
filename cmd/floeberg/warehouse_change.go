package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

// credentialsHelp tells how credentials are given to a command.
const credentialsHelp = `Credentials of a warehouse's own are read from a file or from standard input (-), never
from a flag, which others on the machine could see. It is one JSON object: for s3://

  {"access_key_id": "…", "secret_access_key": "…"}

for abfss:// {"account_key": "…"} or {"sas_token": "…"}, and for gs:// the key file of a
service account as it is. They are sealed with the cluster's key and shown to nobody.
Without them nodes use their own rights, below --warehouse-locations only.`

// warehouseFlags say where a warehouse's tables may lie and how its store is reached.
type warehouseFlags struct {
	allowed          *[]string
	endpoint, region *string
	pathStyle        *bool
	credentials      *string
}

func addWarehouseFlags(cmd *cobra.Command) warehouseFlags {
	flags := cmd.Flags()
	flags.SortFlags = false
	return warehouseFlags{
		allowed:     flags.StringSlice("allow-locations", nil, "further roots where tables may be placed on request, comma-separated"),
		endpoint:    flags.String("endpoint", "", "URL of the store (default the cloud's own); needs --credentials"),
		region:      flags.String("region", "", "region of an s3:// store"),
		pathStyle:   flags.Bool("path-style", false, "put the bucket into the path instead of the host name"),
		credentials: flags.String("credentials", "", "file of the warehouse's own credentials; - is standard input"),
	}
}

func warehouseCreateCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME --root URL",
		Short: "Make a warehouse",
		Long:  "Make a warehouse, once it is shown that the catalog can work in its store.\n\n" + credentialsHelp,
		Args:  oneArg("a name for the warehouse"),
	}
	root := cmd.Flags().String("root", "", "where its tables lie: file://, s3://, gs:// or abfss://")
	given := addWarehouseFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *root == "" {
			return &usageError{fmt.Errorf("--root: say where the warehouse's tables lie, such as s3://lake/%s (see %s --help)", args[0], cmd.CommandPath())}
		}
		body := management.CreateWarehouse{
			Name: args[0], Root: *root, AllowedRoots: trimmed(*given.allowed),
			Endpoint: *given.endpoint, Region: *given.region, PathStyle: *given.pathStyle,
		}
		var err error
		if body.Credentials, err = given.read(cmd); err != nil {
			return err
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var wh management.Warehouse
		if err := r.Post(cmd.Context(), warehousesPath, body, &wh); err != nil {
			return err
		}
		return showWarehouse(r, &wh)
	}
	return cmd
}

func warehouseUpdateCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change where a warehouse's tables may lie, or how its store is reached",
		Long: `Change a warehouse. What no flag names stays as it is; the root always does. Once it is
answered, no node works by what the warehouse was before: tables that lie where they may
not any more are neither shown nor changed, and can be dropped.

` + credentialsHelp,
		Args: oneArg("a warehouse's name"),
	}
	given := addWarehouseFlags(cmd)
	nodes := cmd.Flags().Bool("node-credentials", false, "give up credentials and endpoint of its own: nodes use theirs")
	expect := cmd.Flags().Uint64("expect", 0, "the generation that it must have (default any)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body := management.UpdateWarehouse{NodeCredentials: *nodes}
		flags := cmd.Flags()
		if flags.Changed("allow-locations") {
			allowed := trimmed(*given.allowed)
			body.AllowedRoots = &allowed
		}
		if flags.Changed("endpoint") {
			body.Endpoint = given.endpoint
		}
		if flags.Changed("region") {
			body.Region = given.region
		}
		if flags.Changed("path-style") {
			body.PathStyle = given.pathStyle
		}
		var err error
		if body.Credentials, err = given.read(cmd); err != nil {
			return err
		}
		if body == (management.UpdateWarehouse{}) {
			return &usageError{fmt.Errorf("expected a flag that says what to change (see %s --help)", cmd.CommandPath())}
		}
		if *nodes && body.Credentials != nil {
			return &usageError{errors.New("--node-credentials and --credentials contradict each other: leave one out")}
		}
		if flags.Changed("expect") {
			body.ExpectedGeneration = expect
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var wh management.Warehouse
		if err := r.Patch(cmd.Context(), warehousePath(args[0]), body, &wh); err != nil {
			return err
		}
		return showWarehouse(r, &wh)
	}
	return cmd
}

func warehouseDeleteCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Take an empty warehouse out of the catalog, with its policies; no file is touched",
		Args:  oneArg("a warehouse's name"),
	}
	expect := cmd.Flags().Uint64("expect", 0, "the generation that it must have (default any)")
	confirm := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirm(fmt.Sprintf("Delete the warehouse %s, with its policies and their history?", args[0])); err != nil {
			return err
		}
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		path := warehousePath(args[0])
		if cmd.Flags().Changed("expect") {
			path += "?expected_generation=" + strconv.FormatUint(*expect, 10)
		}
		if err := r.Delete(cmd.Context(), path); err != nil {
			return err
		}
		return r.print(struct {
			Deleted string `json:"deleted"`
		}{args[0]}, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, "deleted warehouse "+cell(args[0]))
			return err
		})
	}
	return cmd
}

// read reads credentials; nil where none are given.
func (f *warehouseFlags) read(cmd *cobra.Command) (*management.WarehouseCredentials, error) {
	if !cmd.Flags().Changed("credentials") {
		return nil, nil
	}
	var raw []byte
	var err error
	switch *f.credentials {
	case "":
		return nil, &usageError{errors.New("--credentials: expected a file, or - for standard input")}
	case "-":
		raw, err = io.ReadAll(cmd.InOrStdin())
	default:
		raw, err = os.ReadFile(*f.credentials)
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("--credentials: %w", err)}
	}
	return parseCredentials(raw)
}

// parseCredentials reads credentials as they stand in a file. Its errors repeat nothing
// of them.
func parseCredentials(raw []byte) (*management.WarehouseCredentials, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, &usageError{errors.New("--credentials: expected one JSON object (see --help)")}
	}
	if kind.Type != "" {
		return &management.WarehouseCredentials{ServiceAccountKey: raw}, nil
	}
	var given management.WarehouseCredentials
	into := json.NewDecoder(strings.NewReader(string(raw)))
	into.DisallowUnknownFields()
	if err := into.Decode(&given); err != nil {
		return nil, &usageError{errors.New("--credentials: expected access_key_id and secret_access_key, account_key or sas_token, as strings, and nothing else (see --help)")}
	}
	return &given, nil
}

// trimmed is a list as it is meant, without the spaces around commas.
func trimmed(list []string) []string {
	out := make([]string, 0, len(list))
	for _, item := range list {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}
