package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
)

func tableCommand() *cobra.Command {
	cmd, connect := remoteCommand("table", "Look at tables, and mend them", nameHelp)
	cmd.AddCommand(
		entryListCommand(connect, "tables", "TABLE", (*client.Client).Tables),
		entryShowCommand(connect, "show NAMESPACE.TABLE", "Show a table: its columns, partitioning, snapshots, properties", "a table", (*client.Client).Table, writeTableInfo),
		tableVerifyCommand(connect), tableRebuildCommand(connect), tableReportsCommand(connect),
	)
	return cmd
}

func writeTableInfo(w io.Writer, name client.Name, t *client.Table) error {
	current := "none"
	if s := t.CurrentSnapshot; s != nil {
		current = fmt.Sprintf("%d (%s, %s)", s.ID, s.Operation, timeText(s.CreatedAt))
	}
	if err := writeFields(w, []field{
		{"table", name.String()},
		{"uuid", t.UUID},
		{"location", t.Location},
		{"metadata", t.MetadataLocation},
		{"format version", strconv.Itoa(t.FormatVersion)},
		{"updated", timeText(t.UpdatedAt)},
		{"partitioned by", partitionText(t.PartitionSpec)},
		{"sorted by", sortText(t.SortOrder)},
		{"snapshots", strconv.Itoa(t.SnapshotCount)},
		{"current snapshot", current},
	}); err != nil {
		return err
	}
	if err := writeColumns(w, t.Columns); err != nil {
		return err
	}
	rows := make([][]string, len(t.Refs))
	for i, ref := range t.Refs {
		rows[i] = []string{ref.Name, ref.Type, strconv.FormatInt(ref.SnapshotID, 10)}
	}
	if err := writeSection(w, []string{"REF", "TYPE", "SNAPSHOT"}, rows); err != nil {
		return err
	}
	return writeSection(w, propertyHeader, propertyRows(t.Properties))
}

func partitionText(spec []client.PartitionField) string {
	parts := make([]string, len(spec))
	for i, f := range spec {
		parts[i] = transformText(f.Transform, f.Source)
	}
	return orNothing(parts)
}

func sortText(order []client.SortField) string {
	parts := make([]string, len(order))
	for i, f := range order {
		parts[i] = transformText(f.Transform, f.Source) + " " + f.Direction + " " + strings.ReplaceAll(f.NullOrder, "-", " ")
	}
	return orNothing(parts)
}

func transformText(transform, source string) string {
	if transform == "identity" {
		return source
	}
	return transform + "(" + source + ")"
}

func orNothing(parts []string) string {
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func writeColumns(w io.Writer, columns []client.Column) error {
	rows := make([][]string, len(columns))
	for i, c := range columns {
		rows[i] = []string{c.Name, strconv.Itoa(c.ID), c.Type, yesNo(c.Required), c.Doc}
	}
	return writeSection(w, []string{"COLUMN", "ID", "TYPE", "REQUIRED", "COMMENT"}, rows)
}
