package fsm_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
)

// rawEntry encodes without the checks of Encode.
func rawEntry(t testing.TB, commands ...*command.Command) []byte {
	t.Helper()
	data, err := proto.Marshal(&command.Entry{Commands: commands})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{byte(command.FirstVersion)}, data...)
}
