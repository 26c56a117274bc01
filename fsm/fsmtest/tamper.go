package fsmtest

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/xxh3"
)

// Tamper writes a row into the state of a machine that is closed, behind its
// back. Where told is set, the checksum that the machine keeps of its rows says so
// too, as if it had diverged; else the row is damage.
func Tamper(t testing.TB, dir string, key, value []byte, told bool) {
	t.Helper()
	current, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open(filepath.Join(dir, strings.TrimSpace(string(current))), &pebble.Options{
		FormatMajorVersion: pebble.FormatValueSeparation, Logger: silent{},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Set(key, value, pebble.Sync)
	if err == nil && told {
		err = addToChecksum(db, key, value)
	}
	if err := errors.Join(err, db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// addToChecksum adds a row to the recorded checksum; see the layout in DESIGN.md.
func addToChecksum(db *pebble.DB, key, value []byte) error {
	position := []byte{0x01, 0x01}
	stored, closer, err := db.Get(position)
	if err != nil {
		return err
	}
	raw := append([]byte(nil), stored...)
	row := binary.AppendUvarint(nil, uint64(len(key)))
	sum := xxh3.Hash128(append(append(row, key...), value...))
	at := len(raw) - 16
	binary.BigEndian.PutUint64(raw[at:], binary.BigEndian.Uint64(raw[at:])+sum.Hi)
	binary.BigEndian.PutUint64(raw[at+8:], binary.BigEndian.Uint64(raw[at+8:])+sum.Lo)
	return errors.Join(closer.Close(), db.Set(position, raw, pebble.Sync))
}

// silent drops the engine's lines.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger.
func (silent) Fatalf(format string, _ ...any) { panic(format) }
