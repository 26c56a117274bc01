package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/disk"
	"github.com/floeberg/floeberg/internal/secret"
)

// place is the folder of a cluster and what must be the same each time that it
// is run there: the nodes know each other by their addresses.
type place struct {
	Nodes []addresses `json:"nodes"`

	dir       string
	temporary bool
	key       string
}

// addresses is where one node listens.
type addresses struct {
	HTTP    string `json:"http"`
	Cluster string `json:"cluster"`
	Gossip  string `json:"gossip"`
}

// The files of a place.
const (
	placeFile   = "cluster.json"
	keyFile     = "admin.key"
	secretFile  = "secret.key"
	snippetFile = "snippet.py"
)

func openPlace(opts Options) (*place, error) {
	p := &place{dir: opts.Dir}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "floeberg-dev-")
		if err != nil {
			return nil, fmt.Errorf("making a temporary folder: %w", err)
		}
		p.dir, p.temporary = dir, true
	}
	if err := p.fill(opts); err != nil {
		p.leave(io.Discard)
		return nil, err
	}
	return p, nil
}

func (p *place) fill(opts Options) error {
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return fmt.Errorf("making --dir absolute: %w", err)
	}
	p.dir = dir
	if err := os.MkdirAll(p.warehouseDir(), 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	if err := p.readKey(); err != nil {
		return err
	}
	if err := p.makeSecretKey(); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, placeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p.choose(opts)
	}
	if err != nil {
		return fmt.Errorf("reading what was run here before: %w", err)
	}
	if err := json.Unmarshal(raw, p); err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Join(p.dir, placeFile), err)
	}
	if len(p.Nodes) != opts.Nodes {
		return fmt.Errorf("%s holds a cluster of %d nodes: run it with --nodes %d, or choose another --dir", p.dir, len(p.Nodes), len(p.Nodes))
	}
	for i, a := range p.Nodes {
		if !a.free() {
			return fmt.Errorf("an address of node%d of the cluster in %s is taken (%s, %s, %s): does it run already?", i+1, p.dir, a.HTTP, a.Cluster, a.Gossip)
		}
	}
	return nil
}

// choose picks addresses and writes them down.
func (p *place) choose(opts Options) error {
	for i := range opts.Nodes {
		a := addressesFrom(opts.FirstPort + 100*i)
		if !a.free() {
			var err error
			if a, err = freeAddresses(); err != nil {
				return err
			}
		}
		p.Nodes = append(p.Nodes, a)
	}
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("writing down the addresses: %w", err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, placeFile), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing down the addresses: %w", err)
	}
	return nil
}

// readKey reads the admin key of the cluster that is here, or mints one.
func (p *place) readKey() error {
	path := filepath.Join(p.dir, keyFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		p.key = strings.TrimSpace(string(raw))
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the admin key: %w", err)
	}
	p.key = authn.MintKey()
	if err := os.WriteFile(path, []byte(p.key+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the admin key: %w", err)
	}
	return nil
}

// makeSecretKey makes the cluster key that secrets are kept under, where there is none.
func (p *place) makeSecretKey() error {
	text, _ := secret.NewKey()
	if err := disk.WriteSecret(p.secretKey(), text); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("writing the cluster key: %w", err)
	}
	return nil
}

func (p *place) secretKey() string { return filepath.Join(p.dir, secretFile) }

func (p *place) warehouseDir() string { return filepath.Join(p.dir, "warehouse") }

func (p *place) warehouse() string { return "file://" + filepath.ToSlash(p.warehouseDir()) }

// leave removes a temporary folder.
func (p *place) leave(out io.Writer) {
	if !p.temporary {
		fmt.Fprintf(out, "The data is kept in %s.\n", p.dir)
		return
	}
	if err := os.RemoveAll(p.dir); err != nil {
		fmt.Fprintf(out, "The temporary folder could not be removed: %v\n", err)
	}
}

func addressesFrom(port int) addresses {
	at := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	return addresses{HTTP: at(port), Cluster: at(port + 1), Gossip: at(port + 2)}
}

// free tells whether nobody listens on the addresses.
func (a addresses) free() bool {
	for _, tcp := range []string{a.HTTP, a.Cluster, a.Gossip} {
		l, err := net.Listen("tcp", tcp)
		if err != nil {
			return false
		}
		l.Close()
	}
	udp, err := net.ListenPacket("udp", a.Gossip)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

// freeAddresses are three that the system says are free. They are held until
// all are chosen, so that no two are the same.
func freeAddresses() (addresses, error) {
	var chosen []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return addresses{}, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		chosen = append(chosen, l.Addr().String())
	}
	return addresses{HTTP: chosen[0], Cluster: chosen[1], Gossip: chosen[2]}, nil
}
