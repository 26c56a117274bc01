package scale

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// Filler puts tables into a cluster, past the catalog: as transactions on the
// port between nodes, each of many tables and without metadata files. What is in
// the state afterwards is what the same tables would leave there that clients make.
type Filler struct {
	addresses []string // the one that took the last transaction comes first
	client    *http.Client
	warehouse string
	namespace string
	location  string
	pattern   *iceberg.Table
	head      []byte // of the pattern
}

// NewFiller fills a namespace of the default warehouse through the cluster ports
// of all nodes, of which the leader's takes transactions; they must not ask for
// certificates. A new table's document is taken as the pattern of all.
func NewFiller(addresses []string, namespace, location string, document []byte) (*Filler, error) {
	pattern, err := iceberg.ParseTable(document)
	if err != nil {
		return nil, fmt.Errorf("the pattern: %w", err)
	}
	if n := len(pattern.Parts()); n > 0 {
		return nil, fmt.Errorf("the pattern is no new table: it has a history of %d parts", n)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			const nodeCall = 0x02
			_, err = conn.Write([]byte{nodeCall})
			return conn, err
		},
	}
	return &Filler{
		addresses: addresses, namespace: namespace, location: location, warehouse: "default",
		pattern: pattern, head: pattern.Head(),
		client: &http.Client{Transport: transport, Timeout: time.Minute},
	}, nil
}

// Close gives the connection back.
func (f *Filler) Close() { f.client.CloseIdleConnections() }

// tablesAtOnce is how many tables a transaction makes: the state machine takes
// some thousand writes in one.
const tablesAtOnce = 200

// Fill makes the tables from first to last, without the last.
func (f *Filler) Fill(ctx context.Context, first, last int) error {
	for ; first < last; first += tablesAtOnce {
		if err := f.propose(ctx, f.transaction(first, min(first+tablesAtOnce, last))); err != nil {
			return fmt.Errorf("tables from %d on: %w", first, err)
		}
	}
	return nil
}

// Name is what the nth table is called.
func Name(n int) string { return fmt.Sprintf("table_%08d", n) }

// quoted is a string of JSON; nothing that it is asked for needs an escape.
func quoted(s string) []byte { return []byte(`"` + s + `"`) }

func (f *Filler) transaction(first, last int) *command.Transaction {
	tx := &command.Transaction{DeadlineMs: uint64(time.Now().Add(time.Minute).UnixMilli())}
	id := uuid.New()
	tx.Id = id[:]
	for n := first; n < last; n++ {
		name := Name(n)
		entry := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		tableID, tableUUID := entry[:16], uuid.UUID(entry[16:]).String()
		location := f.location + "/" + name
		record := must(state.Encode(&state.Table{
			Id: tableID, Location: location, Uuid: tableUUID, CreatedMs: tx.DeadlineMs,
			MetadataLocation: fmt.Sprintf("%s/metadata/00000-%s.metadata.json", location, tableUUID),
		}))
		head := bytes.ReplaceAll(f.head, quoted(f.pattern.UUID()), quoted(tableUUID))
		head = bytes.ReplaceAll(head, quoted(f.pattern.Location()), quoted(location))
		tx.Writes = append(tx.Writes,
			command.PutValue(state.TableKey(f.warehouse, []string{f.namespace}, name), record),
			command.PutValue(state.HeadKey(tableID), head),
			command.PutValue(state.LocationKey(location), must(state.Encode(&state.LocationOwner{Id: tableID}))),
		)
	}
	return tx
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err) // of records that are well-formed by what they are made of
	}
	return data
}

// patience is how long a leader is looked for.
const patience = 30 * time.Second

// propose offers a transaction to one node after the other until the state
// machine has decided on it. Its identity makes it happen once.
func (f *Filler) propose(ctx context.Context, tx *command.Transaction) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for again := false; ; again = true {
		decided, err := f.offer(ctx, tx, again)
		if decided {
			return err
		}
		f.addresses = append(f.addresses[1:], f.addresses[0])
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// offer offers a transaction to the first node; decided tells that another
// attempt would change nothing.
func (f *Filler) offer(ctx context.Context, tx *command.Transaction, again bool) (decided bool, err error) {
	body, err := proto.Marshal(&cluster.ProposeRequest{
		Proposals: []*cluster.Proposal{{Transaction: tx, Again: again}}, TimeoutMs: uint64(patience.Milliseconds()),
	})
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.addresses[0]+"/cluster/v1/propose", bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s: %s", res.Status, raw)
	}
	var out cluster.ProposeResponse
	if err := proto.Unmarshal(raw, &out); err != nil {
		return true, err
	}
	if len(out.GetVerdicts()) != 1 {
		return true, fmt.Errorf("%d verdicts for one transaction", len(out.GetVerdicts()))
	}
	v := out.GetVerdicts()[0]
	switch {
	case v.GetFate() != cluster.Verdict_FATE_DECIDED:
		return false, fmt.Errorf("a transaction was not decided: %v", v)
	case v.GetOutcome() != uint32(command.Applied):
		return true, fmt.Errorf("a transaction ended as %v", v)
	}
	return true, nil
}
