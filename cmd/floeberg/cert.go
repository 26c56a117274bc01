package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/internal/certs"
)

func certCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make the certificates of a cluster's nodes, and look at them",
		Long: `Make the certificates of a cluster's nodes, and look at them. These commands work on
files alone and need no running node.

  floeberg cert ca --out ca
  floeberg cert node --ca ca --id node1 --host node1.example.com,10.0.0.1 --out node1

Keep ca.key where no node is: who has it can make nodes. Each node gets ca/ca.crt
(--cluster-ca) and its own node.crt (--cluster-cert) and node.key (--cluster-key).`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(certAuthorityCommand(), certNodeCommand(), certShowCommand())
	return cmd
}

// certInfo is a certificate as --output json prints it.
type certInfo struct {
	Subject     string      `json:"subject"`
	Issuer      string      `json:"issuer"`
	Authority   bool        `json:"authority"`
	Hosts       []string    `json:"hosts"`
	NotBefore   time.Time   `json:"not_before"`
	NotAfter    time.Time   `json:"not_after"`
	State       certs.State `json:"state"`
	Server      bool        `json:"server"`
	Client      bool        `json:"client"`
	GoodFor     string      `json:"good_for"`
	Key         string      `json:"key"`
	Serial      string      `json:"serial"`
	Fingerprint string      `json:"fingerprint"`
}

func showCert(i *certs.Info) certInfo {
	return certInfo{
		Subject: i.Subject, Issuer: i.Issuer, Authority: i.Authority, Hosts: append([]string{}, i.Hosts...),
		NotBefore: i.NotBefore, NotAfter: i.NotAfter, State: i.State, Server: i.Server, Client: i.Client, GoodFor: i.GoodFor(),
		Key: i.Key, Serial: i.Serial, Fingerprint: i.Fingerprint,
	}
}

func certFields(i *certs.Info) []field {
	return []field{
		{"subject", i.Subject}, {"issuer", i.Issuer}, {"good for", i.GoodFor()}, {"hosts", strings.Join(i.Hosts, ", ")},
		{"valid from", timeText(i.NotBefore)}, {"valid until", timeText(i.NotAfter)}, {"state", string(i.State)},
		{"key", i.Key}, {"serial", i.Serial}, {"fingerprint", i.Fingerprint},
	}
}

// madeInfo is what was written, as --output json prints it.
type madeInfo struct {
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	certInfo
}

func printMade(w io.Writer, format string, made *certs.Made) error {
	if format == outputJSON {
		return writeJSON(w, madeInfo{CertificateFile: made.Certificate, KeyFile: made.Key, certInfo: showCert(&made.Info)})
	}
	return writeFields(w, append([]field{{"certificate", made.Certificate}, {"key", made.Key}}, certFields(&made.Info)...))
}

// certError tells a command line that asks for what can't be from work that failed.
func certError(err error) error {
	if errors.Is(err, certs.ErrInput) {
		return &usageError{err}
	}
	return err
}

// needed refuses a command line that leaves flags out.
func needed(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Lookup(name).Value.String() == "" {
			return &usageError{fmt.Errorf("--%s is needed (see %s --help)", name, cmd.CommandPath())}
		}
	}
	return nil
}
