package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// The files of an authority.
const (
	AuthorityCertificate = "ca.crt"
	AuthorityKey         = "ca.key"
)

const (
	// DefaultAuthorityName is an authority's name where none is given.
	DefaultAuthorityName = "floeberg cluster CA"
	// DefaultAuthorityDays is how long an authority is valid where nothing is said:
	// its change touches every node.
	DefaultAuthorityDays = 3650
	// MaxDays bounds every validity: software exists that takes later dates for earlier ones.
	MaxDays = 36500

	// maxName is how long a name may be, by X.509.
	maxName = 64
	// skew is how long ago validity begins: clocks differ.
	skew = time.Hour
)

// AuthorityOptions say what authority to make.
type AuthorityOptions struct {
	// Dir gets ca.crt and ca.key; it is made where it is missing. Required.
	Dir string
	// Name tells authorities apart. Default: DefaultAuthorityName.
	Name string
	// Days is how long it is valid. Default: DefaultAuthorityDays.
	Days int
	// Now is the time. Required.
	Now time.Time
}

// Authority signs the certificates of one cluster's nodes, and nothing else: whoever
// holds one of them is a node.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string // of the certificate
}

// Made says where a certificate and its key were written.
type Made struct {
	Certificate, Key string
	Info             Info
}

// MakeAuthority makes an authority and writes its files. It overwrites nothing.
func MakeAuthority(opts AuthorityOptions) (*Made, error) {
	if opts.Name == "" {
		opts.Name = DefaultAuthorityName
	}
	if opts.Days == 0 {
		opts.Days = DefaultAuthorityDays
	}
	if err := checkName("name", opts.Name); err != nil {
		return nil, err
	}
	if err := checkDays(opts.Days); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: opts.Name},
		NotBefore:             opts.Now.Add(-skew),
		NotAfter:              opts.Now.AddDate(0, 0, opts.Days),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs nodes, not further authorities
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate: %w", err)
	}
	made := &Made{Certificate: filepath.Join(opts.Dir, AuthorityCertificate), Key: filepath.Join(opts.Dir, AuthorityKey)}
	return made, made.write(der, key, opts.Now, writeNew)
}

// write writes the key and then the certificate: a certificate whose key is missing
// would be taken for a finished one.
func (m *Made) write(der []byte, key *ecdsa.PrivateKey, now time.Time, by func(...file) error) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	m.Info = describe(cert, now)
	secret, err := keyFile(m.Key, key)
	if err != nil {
		return err
	}
	if err := makeFolder(filepath.Dir(m.Key)); err != nil {
		return err
	}
	return by(secret, certificateFile(m.Certificate, der))
}

// OpenAuthority reads the authority that MakeAuthority wrote into a folder.
func OpenAuthority(dir string, now time.Time) (*Authority, error) {
	path := filepath.Join(dir, AuthorityCertificate)
	certs, err := readCertificates(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no authority: make one with floeberg cert ca --out %s", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	a := &Authority{cert: certs[0], path: path}
	switch {
	case !a.cert.IsCA || a.cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, fmt.Errorf("%s %w", path, ErrNotAuthority)
	case !now.Before(a.cert.NotAfter):
		return nil, fmt.Errorf("the authority %s %w on %s: make a new one with floeberg cert ca, and let nodes trust both while you change over",
			path, ErrExpired, day(a.cert.NotAfter))
	}
	keyPath := filepath.Join(dir, AuthorityKey)
	if a.key, err = readKey(keyPath); err != nil {
		return nil, err
	}
	if !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, fmt.Errorf("the key %s %w: %s is of another one", keyPath, ErrKeyMismatch, path)
	}
	return a, nil
}

// checkName refuses what other software can't read in a certificate.
func checkName(what, name string) error {
	if len(name) > maxName {
		return fmt.Errorf("the %s is %w: it has %d bytes, at most %d are allowed", what, ErrInput, len(name), maxName)
	}
	if strings.TrimSpace(name) == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("the %s %q is %w: expected letters, digits and signs of ASCII", what, name, ErrInput)
	}
	return nil
}

func checkDays(days int) error {
	if days < 1 || days > MaxDays {
		return fmt.Errorf("%d days are %w: expected 1 to %d", days, ErrInput, MaxDays)
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
