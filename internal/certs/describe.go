package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Info is what a certificate says.
type Info struct {
	Subject, Issuer string
	// Authority tells whether it may sign others.
	Authority bool
	// Hosts are the names and addresses that it is for.
	Hosts     []string
	NotBefore time.Time
	NotAfter  time.Time
	// Server and Client tell on which sides of a connection it may be shown.
	Server, Client bool
	// Key is the kind of its key, such as ECDSA P-256.
	Key    string
	Serial string
	// Fingerprint is the SHA-256 of the certificate.
	Fingerprint string
	// State is Valid, Expired or NotYet.
	State State
}

// State is where a certificate stands in its time.
type State string

// The states.
const (
	Valid   State = "valid"
	Expired State = "expired"
	NotYet  State = "not yet valid"
)

// Describe reads the certificates of a file, a node's own or a bundle of
// authorities.
func Describe(path string, now time.Time) ([]Info, error) {
	certs, err := readCertificates(path)
	if err != nil {
		return nil, err
	}
	out := make([]Info, len(certs))
	for i, cert := range certs {
		out[i] = describe(cert, now)
	}
	return out, nil
}

func describe(cert *x509.Certificate, now time.Time) Info {
	sum := sha256.Sum256(cert.Raw)
	info := Info{
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
		Authority: cert.IsCA && cert.KeyUsage&x509.KeyUsageCertSign != 0,
		Hosts:     slices.Clone(cert.DNSNames), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		Server: usableAs(cert, x509.ExtKeyUsageServerAuth), Client: usableAs(cert, x509.ExtKeyUsageClientAuth),
		Key: keyKind(cert), Serial: cert.SerialNumber.Text(16), Fingerprint: hex.EncodeToString(sum[:]),
		State: Valid,
	}
	for _, ip := range cert.IPAddresses {
		info.Hosts = append(info.Hosts, ip.String())
	}
	switch {
	case now.Before(cert.NotBefore):
		info.State = NotYet
	case !now.Before(cert.NotAfter):
		info.State = Expired
	}
	return info
}

func usableAs(cert *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return !cert.IsCA && (slices.Contains(cert.ExtKeyUsage, usage) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny))
}

func keyKind(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	}
	return cert.PublicKeyAlgorithm.String()
}

// GoodFor says in words what a certificate may be used for.
func (i Info) GoodFor() string {
	switch {
	case i.Authority:
		return "signing the certificates of nodes"
	case i.Server && i.Client:
		return "a node: it may be shown by both sides"
	case i.Server:
		return "a server only: a node needs one for clients, too"
	case i.Client:
		return "a client only: a node needs one for servers, too"
	}
	return "nothing that floeberg does"
}
