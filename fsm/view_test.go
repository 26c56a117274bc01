package fsm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/state"
)

func view(t *testing.T, m *fsm.Machine) *state.View {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// The machine's own rows are no values: a view does not pretend that they are.
func TestReservedKeysAreNotRead(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1, transaction(1, put("a", "1")))
	v := view(t, m)
	for _, space := range []state.Space{0, state.SpaceMeta, state.SpaceSystem, state.SpaceExpiry, state.SpaceIdentity} {
		if _, _, err := v.Get([]byte{byte(space), 1}); !errors.Is(err, fsm.ErrReservedKey) {
			t.Errorf("get in %#02x: %v", space, err)
		}
		if err := v.Scan(state.SpaceRange(space), nil); !errors.Is(err, fsm.ErrReservedKey) {
			t.Errorf("scan of %#02x: %v", space, err)
		}
	}
	if _, _, err := v.Get(nil); !errors.Is(err, fsm.ErrReservedKey) {
		t.Errorf("get of no key: %v", err)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1_000, transaction(1, put("a", "1"), put("b", "1"), putUntil("c", "1", 1_500), put("d", "1"), put("e", "1")))
	one(t, m, 2, 1_500, transaction(2, put("e", "2")))
	v := view(t, m)
	scan := func(from, to string, limit int) []string {
		var got []string
		err := v.Scan(state.KeyRange{Start: key(from), End: key(to)}, func(k []byte, value state.Value) bool {
			got = append(got, fmt.Sprintf("%s=%s@%d", k[1:len(k)-2], value.Data, value.Revision))
			return len(got) < limit
		})
		if err != nil {
			t.Error(err)
		}
		return got
	}
	cases := []struct {
		from, to string
		limit    int
		want     []string
	}{
		{"a", "z", 10, []string{"a=1@1", "b=1@1", "d=1@1", "e=2@2"}},
		{"a", "z", 3, []string{"a=1@1", "b=1@1", "d=1@1"}},
		{"b", "e", 10, []string{"b=1@1", "d=1@1"}},
		{"c", "d", 10, nil},
		{"e", "a", 10, nil},
		{"e", "e", 10, nil},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, scan(c.from, c.to, c.limit)); diff != "" {
			t.Errorf("%s to %s (-want +got)\n%s", c.from, c.to, diff)
		}
	}
}

// What Get returned stays as it was for as long as the view is open.
func TestValuesOutliveTheCall(t *testing.T) {
	t.Parallel()
	m := open(t, vfs.NewMem())
	one(t, m, 1, 1, transaction(1, put("a", "first")))
	v := view(t, m)
	value, ok, err := v.Get(key("a"))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for index := uint64(2); index < 50; index++ {
		one(t, m, index, 1, transaction(index, put("a", fmt.Sprint("later ", index))))
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	again, _, err := v.Get(key("a"))
	if err != nil || string(value.Data) != "first" || string(again.Data) != "first" || again.Revision != 1 {
		t.Errorf("%s, then %s@%d, %v", value.Data, again.Data, again.Revision, err)
	}
}
