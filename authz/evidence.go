package authz

import "github.com/floeberg/floeberg/fsm/state"

// Evidence is a record of the replicated state and the revision at which it was
// looked at; revision 0 is that there was none.
type Evidence struct {
	Key      []byte
	Revision uint64
}

// Hold tells whether all evidence still holds in a state.
func Hold(in state.Reader, evidence []Evidence) (bool, error) {
	for _, e := range evidence {
		got, ok, err := in.Get(e.Key)
		if err != nil {
			return false, err
		}
		if ok != (e.Revision != 0) || ok && got.Revision != e.Revision {
			return false, nil
		}
	}
	return true, nil
}
