package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
)

func viewCommand() *cobra.Command {
	cmd, connect := remoteCommand("view", "Look at views", nameHelp)
	cmd.AddCommand(
		entryListCommand(connect, "views", "VIEW", (*client.Client).Views),
		entryShowCommand(connect, "show NAMESPACE.VIEW", "Show a view: its SQL, columns, versions, properties", "a view", (*client.Client).View, writeViewInfo),
	)
	return cmd
}

func writeViewInfo(w io.Writer, name client.Name, v *client.View) error {
	if err := writeFields(w, []field{
		{"view", name.String()},
		{"uuid", v.UUID},
		{"location", v.Location},
		{"metadata", v.MetadataLocation},
		{"format version", strconv.Itoa(v.FormatVersion)},
		{"current version", strconv.Itoa(v.CurrentVersionID)},
		{"default catalog", v.DefaultCatalog},
		{"default namespace", client.Name(v.DefaultNamespace).String()},
	}); err != nil {
		return err
	}
	for _, sql := range v.SQL {
		fmt.Fprintf(w, "\nSQL (%s)\n", cell(sql.Dialect))
		for line := range strings.Lines(sql.Text) {
			fmt.Fprintln(w, "  "+cell(strings.TrimRight(line, "\r\n")))
		}
	}
	if err := writeColumns(w, v.Columns); err != nil {
		return err
	}
	rows := make([][]string, len(v.Versions))
	for i, version := range v.Versions {
		rows[i] = []string{strconv.Itoa(version.ID), timeText(version.CreatedAt), strconv.Itoa(version.SchemaID)}
	}
	if err := writeSection(w, []string{"VERSION", "CREATED", "SCHEMA"}, rows); err != nil {
		return err
	}
	return writeSection(w, propertyHeader, propertyRows(v.Properties))
}
