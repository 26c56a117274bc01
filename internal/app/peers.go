package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// RecoveryPeer is a member of a cluster that is founded anew, as it stands in the file
// that --peers names: a JSON list of these.
type RecoveryPeer struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	NonVoter bool   `json:"non_voter"`
}

// ErrPeers is returned when a list of peers is not one that a cluster can be
// founded with.
var ErrPeers = errors.New("peers")

// ReadPeers reads a file of peers and checks what does not depend on the node.
func ReadPeers(path string) ([]RecoveryPeer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPeers, err)
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	in.DisallowUnknownFields()
	var peers []RecoveryPeer
	if err := in.Decode(&peers); err != nil {
		return nil, fmt.Errorf(`%w: %s is not a list such as [{"id":"node1","address":"10.0.0.1:8182","non_voter":false}]: %w`, ErrPeers, path, err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %s goes on after the list", ErrPeers, path)
	}
	if err := checkPeers(peers); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrPeers, path, err)
	}
	return peers, nil
}

func checkPeers(peers []RecoveryPeer) error {
	ids, addresses, voters := map[string]bool{}, map[string]string{}, 0
	for i, p := range peers {
		if p.ID == "" {
			return fmt.Errorf("entry %d has no id", i+1)
		}
		if ids[p.ID] {
			return fmt.Errorf("%s is there twice", p.ID)
		}
		ids[p.ID] = true
		if err := checkAddress(p.Address); err != nil {
			return fmt.Errorf("address of %s: %w; give the cluster address, such as 10.0.0.1:8182", p.ID, err)
		}
		if other, taken := addresses[p.Address]; taken {
			return fmt.Errorf("%s and %s have the same address %s", other, p.ID, p.Address)
		}
		addresses[p.Address] = p.ID
		if !p.NonVoter {
			voters++
		}
	}
	if voters == 0 {
		return errors.New("nobody in it votes")
	}
	return nil
}

// checkAddress refuses what others can't reach.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q names no machine", address)
	}
	return nil
}
