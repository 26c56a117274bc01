package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/management"
)

const supportPath = "/management/v1/support"

// bundleInfo is what was written, as --output json prints it.
type bundleInfo struct {
	File    string          `json:"file"`
	Files   int             `json:"files"`
	Missing []bundleMissing `json:"missing"`
}

type bundleMissing struct {
	Node   string `json:"node"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func debugBundleCommand(connect connect) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Write what every node can tell of itself into one archive, without secrets",
		Long: `Write what every node can tell of itself into one archive, without secrets: version,
settings, cluster, metrics, the last log lines, goroutine and heap profiles, names and
sizes of the files in its data folder. Names of namespaces and tables may be in the log.
What could not be had is listed in missing.txt.`,
		Args: noArgs,
	}
	file := cmd.Flags().String("out", "", "file to write (default floeberg-debug-TIME.tar.gz); none is overwritten")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := connect(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var bundle management.SupportBundle
		if err := r.Get(cmd.Context(), supportPath, nil, &bundle); err != nil {
			return err
		}
		info := bundleInfo{File: *file, Missing: []bundleMissing{}}
		if info.File == "" {
			info.File = "floeberg-debug-" + bundle.GatheredAt.UTC().Format("20060102T150405Z") + ".tar.gz"
		}
		if err := writeBundle(&info, &bundle); err != nil {
			return err
		}
		return r.print(info, func(w io.Writer) error {
			rows := make([][]string, 0, len(info.Missing))
			for _, m := range info.Missing {
				rows = append(rows, []string{m.Node, orDash(m.Name), m.Reason})
			}
			fmt.Fprintf(w, "%s: %d files\n", info.File, info.Files)
			return writeSection(w, []string{"NODE", "MISSING", "REASON"}, rows)
		})
	}
	return cmd
}

// writeBundle writes the archive; one that could not be finished is taken away.
func writeBundle(info *bundleInfo, bundle *management.SupportBundle) error {
	out, err := os.OpenFile(info.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already: nothing is overwritten; name another file with --out, or move it away", info.File)
	case err != nil:
		return err
	}
	packed := gzip.NewWriter(out)
	archive := tar.NewWriter(packed)
	add := func(name string, data []byte) {
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: path.Join("floeberg-debug", name), Mode: 0o600, Size: int64(len(data)), ModTime: bundle.GatheredAt.Truncate(time.Second)})
		}
		if err == nil {
			_, err = archive.Write(data)
			info.Files++
		}
	}
	var missing strings.Builder
	for _, n := range bundle.Nodes {
		for _, f := range n.Files {
			// Names are a node's: they must not lead out of the folder.
			add(path.Join(path.Base(path.Clean("/"+n.Node)), path.Base(path.Clean("/"+f.Name))), f.Data)
		}
		for _, m := range n.Missing {
			info.Missing = append(info.Missing, bundleMissing{Node: n.Node, Name: m.Name, Reason: m.Reason})
			fmt.Fprintf(&missing, "%s %s: %s\n", n.Node, orDash(m.Name), m.Reason)
		}
	}
	add("missing.txt", []byte(missing.String()))
	if err = errors.Join(err, archive.Close(), packed.Close(), out.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", info.File, err), os.Remove(info.File))
	}
	return nil
}
