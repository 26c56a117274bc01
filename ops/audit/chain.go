package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Hash is SHA-256 of a line, without the line break.
type Hash [sha256.Size]byte

// String is the hash as lines hold it.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

func sum(line []byte) Hash { return sha256.Sum256(line) }

// ParseHash reads a hash as lines hold it.
func ParseHash(text string) (Hash, error) {
	var h Hash
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(h) {
		return h, errors.New("a hash is 64 hexadecimal digits")
	}
	copy(h[:], raw)
	return h, nil
}

// Line is a record in its place: its number, the process that wrote it, and the
// hash of the line before it.
type Line struct {
	Seq  uint64 `json:"seq"`
	Run  string `json:"run"`
	Prev string `json:"prev"`
	Record
}

// ErrLine is returned when bytes are no line of an audit log.
var ErrLine = errors.New("audit: not a line of an audit log")

// ParseLine reads a line, without its line break.
func ParseLine(raw []byte) (*Line, error) {
	if len(raw) > MaxLine {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrLine, MaxLine)
	}
	line := &Line{}
	if err := json.Unmarshal(raw, line); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLine, err)
	}
	switch _, err := ParseHash(line.Prev); {
	case err != nil:
		return nil, fmt.Errorf("%w: prev: %w", ErrLine, err)
	case line.Seq == 0:
		return nil, fmt.Errorf("%w: it has no seq", ErrLine)
	case len(line.Run) != 2*runBytes:
		return nil, fmt.Errorf("%w: it has no run", ErrLine)
	case line.Event == "" || line.Time.IsZero():
		return nil, fmt.Errorf("%w: it has no event or no time", ErrLine)
	}
	return line, nil
}

const runBytes = 8

// chain links the lines that a process writes to one sink. Runs of several
// processes form one chain where the sink keeps what was written: numbers go on,
// and the first line of a run holds the hash of the last one of the run before.
type chain struct {
	run  string
	seq  uint64
	prev Hash
}

func newChain() (chain, error) {
	var id [runBytes]byte
	if _, err := rand.Read(id[:]); err != nil {
		return chain{}, err
	}
	return chain{run: hex.EncodeToString(id[:])}, nil
}

// link makes a line, with its line break, of a record as appendRecord wrote it.
func (c *chain) link(record []byte) []byte {
	line := make([]byte, 0, len(record)+len(`{"seq":,"run":"","prev":"",`)+len(c.run)+2*sha256.Size+22)
	c.seq++
	line = strconv.AppendUint(append(line, `{"seq":`...), c.seq, 10)
	line = append(append(append(line, `,"run":"`...), c.run...), `","prev":"`...)
	line = append(hex.AppendEncode(line, c.prev[:]), `",`...)
	line = append(line, record...)
	c.prev = sum(line)
	return append(line, '\n')
}
