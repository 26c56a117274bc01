package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/floeberg/floeberg/internal/disk"
)

const (
	blockCertificate = "CERTIFICATE"
	blockKey         = "PRIVATE KEY"

	// maxFile is more than any bundle of authorities.
	maxFile = 1 << 20
)

// file is one to be written.
type file struct {
	path  string
	block pem.Block
	mode  fs.FileMode
}

func certificateFile(path string, der []byte) file {
	return file{path, pem.Block{Type: blockCertificate, Bytes: der}, 0o644}
}

func keyFile(path string, key *ecdsa.PrivateKey) (file, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return file{}, err
	}
	return file{path, pem.Block{Type: blockKey, Bytes: der}, 0o600}, nil
}

// makeFolder makes a folder that is closed to other users; one that is there
// stays as it is.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	return nil
}

// writeNew writes files into a folder, none where one of them is there already.
// Each appears whole or not at all.
func writeNew(files ...file) error {
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil {
			return fmt.Errorf("%s %w: nothing is overwritten; choose another folder with --out, or move it away", f.path, ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for i, f := range files {
		err := write(f, func(from, to string) error {
			// Unlike a rename, a link never takes the place of what is there.
			return errors.Join(os.Link(from, to), os.Remove(from))
		})
		if err != nil {
			for _, done := range files[:i] {
				err = errors.Join(err, os.Remove(done.path))
			}
			return err
		}
	}
	return disk.SyncFolder(filepath.Dir(files[0].path))
}

// replace puts files in the place of those that are there, one after the other.
func replace(files ...file) error {
	for _, f := range files {
		if err := write(f, os.Rename); err != nil {
			return err
		}
	}
	return disk.SyncFolder(filepath.Dir(files[0].path))
}

// write writes a file under another name, on disk, and then puts it in its place.
func write(f file, put func(from, to string) error) error {
	out, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-*")
	if err != nil {
		return err
	}
	err = out.Chmod(f.mode)
	if err == nil {
		err = pem.Encode(out, &f.block)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = put(out.Name(), f.path)
	}
	if err != nil {
		if left := os.Remove(out.Name()); left != nil && !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return nil
}

// readCertificates reads all certificates of a file, in their order.
func readCertificates(path string) ([]*x509.Certificate, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	other := ""
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCertificate {
			other = block.Type
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: the certificate can't be read: %w", path, err)
		}
		certs = append(certs, cert)
	}
	switch {
	case len(certs) > 0:
		return certs, nil
	case other != "":
		return nil, fmt.Errorf("%s %w: it holds a %s", path, ErrNoCertificate, other)
	}
	return nil, fmt.Errorf("%s %w: it is not in the PEM format", path, ErrNoCertificate)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in the PEM format", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// Not the reader's words: what it can't read may be a part of the key.
		return nil, fmt.Errorf("%s holds no key that floeberg cert made", path)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no key that floeberg cert made: it is of another kind", path)
	}
	return ec, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is too large for a certificate or a key", path)
	}
	return os.ReadFile(path)
}
