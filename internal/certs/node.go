package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// The files of a node.
const (
	NodeCertificate = "node.crt"
	NodeKey         = "node.key"
)

// DefaultNodeDays is how long a node's certificate is valid where nothing is said:
// to change it touches one node, and needs no restart.
const DefaultNodeDays = 365

// NodeOptions say what certificate to make.
type NodeOptions struct {
	// Dir gets node.crt and node.key; it is made where it is missing. Required.
	Dir string
	// ID is the node's --node-id. Required.
	ID string
	// Hosts are the names and addresses that others reach the node by. Required.
	Hosts []string
	// Days is how long it is valid. Default: DefaultNodeDays, or as long as the authority is.
	Days int
	// Renew replaces the files that are there, which must be of this node.
	Renew bool
	// Now is the time. Required.
	Now time.Time
}

// Issue makes a node's key and certificate and writes them. It overwrites files
// only to renew them.
func (a *Authority) Issue(opts NodeOptions) (*Made, error) {
	// As --node-id would refuse it, when the certificate is long made.
	if strings.ContainsFunc(opts.ID, unicode.IsSpace) {
		return nil, fmt.Errorf("the node's id %q is %w: expected one word, as --node-id takes it", opts.ID, ErrInput)
	}
	if err := checkName("node's id", opts.ID); err != nil {
		return nil, err
	}
	names, addresses, err := splitHosts(opts.Hosts)
	if err != nil {
		return nil, err
	}
	end, err := a.end(opts)
	if err != nil {
		return nil, err
	}
	made := &Made{Certificate: filepath.Join(opts.Dir, NodeCertificate), Key: filepath.Join(opts.Dir, NodeKey)}
	put := writeNew
	if opts.Renew {
		if err := made.renews(opts.ID); err != nil {
			return nil, err
		}
		put = replace
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject:               pkix.Name{CommonName: opts.ID},
		DNSNames:              names,
		IPAddresses:           addresses,
		NotBefore:             opts.Now.Add(-skew),
		NotAfter:              end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate: %w", err)
	}
	return made, made.write(der, key, opts.Now, put)
}

// end is when the certificate's validity is over: never after the authority's.
func (a *Authority) end(opts NodeOptions) (time.Time, error) {
	if opts.Days == 0 {
		end := opts.Now.AddDate(0, 0, DefaultNodeDays)
		if end.After(a.cert.NotAfter) {
			end = a.cert.NotAfter
		}
		return end, nil
	}
	if err := checkDays(opts.Days); err != nil {
		return time.Time{}, err
	}
	end := opts.Now.AddDate(0, 0, opts.Days)
	if end.After(a.cert.NotAfter) {
		return end, fmt.Errorf("%d days are %w: the authority %s ends on %s; take fewer, or make a new authority", opts.Days, ErrInput, a.path, day(a.cert.NotAfter))
	}
	return end, nil
}

// renews makes sure that what is to be replaced is this node's.
func (m *Made) renews(id string) error {
	certs, err := readCertificates(m.Certificate)
	if err != nil {
		return fmt.Errorf("nothing to renew: %w", err)
	}
	if had := certs[0].Subject.CommonName; had != id {
		return fmt.Errorf("%s is not renewed: it is of node %s, not of %s", m.Certificate, had, id)
	}
	if _, err := os.Stat(m.Key); err != nil {
		return fmt.Errorf("nothing to renew: %w", err)
	}
	return nil
}

// splitHosts tells names from addresses.
func splitHosts(hosts []string) (names []string, addresses []net.IP, err error) {
	for _, host := range hosts {
		host = strings.TrimSpace(host)
		if host == "" {
			continue // a trailing comma means nothing
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
			if ip.IsUnspecified() {
				return nil, nil, fmt.Errorf("the host %s is %w: it stands for all addresses; name those that others use", host, ErrInput)
			}
			addresses = append(addresses, ip)
			continue
		}
		if !hostName(host) {
			hint := ""
			if name, _, err := net.SplitHostPort(host); err == nil {
				hint = fmt.Sprintf("; leave the port away: %s", name)
			}
			return nil, nil, fmt.Errorf("the host %q is %w: expected a name or an address%s", host, ErrInput, hint)
		}
		names = append(names, strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	if len(names)+len(addresses) == 0 {
		return nil, nil, fmt.Errorf("a node without host is %w: name the names and addresses that others reach it by", ErrInput)
	}
	return names, addresses, nil
}

const maxHostName = 253

// hostName tells whether text can be a host's name. Underscores are no part of
// them by the book, and there in many networks.
func hostName(text string) bool {
	text = strings.TrimSuffix(text, ".")
	if text == "" || len(text) > maxHostName {
		return false
	}
	// No top level is a number: it is an address that was misspelled.
	if top := text[strings.LastIndexByte(text, '.')+1:]; top != "" && strings.Trim(top, "0123456789") == "" && top != text {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return true
}
