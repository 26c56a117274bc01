package judge

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
)

// shelf keeps the sets in force ready: each is compiled once for each revision,
// by the first request that needs it.
type shelf struct {
	logger *slog.Logger
	scopes sync.Map // of *slot by scope
}

// slot is the newest set of a scope.
type slot struct {
	compiling sync.Mutex
	newest    atomic.Pointer[compiled]
}

type compiled struct {
	revision uint64
	set      *cedar.Set // nil where it can't be used
}

// get returns a scope's set as it is in a state; nil is one that can't be used.
func (s *shelf) get(v *state.View, scope string, version, revision uint64) (*cedar.Set, error) {
	kept, _ := s.scopes.LoadOrStore(scope, &slot{})
	at := kept.(*slot)
	if c := at.newest.Load(); c != nil && c.revision == revision {
		return c.set, nil
	}
	at.compiling.Lock()
	defer at.compiling.Unlock()
	newest := at.newest.Load()
	if newest != nil && newest.revision == revision {
		return newest.set, nil
	}
	text, ok, err := v.PolicyVersion(scope, version)
	if err != nil {
		return nil, unavailable(err)
	}
	c := &compiled{revision: revision}
	switch {
	case !ok:
		s.logger.Error("policies are missing from the state: nothing is allowed", slog.String("scope", scope), slog.Uint64("version", version))
	default:
		if c.set, err = cedar.Load(text.Text, scope); err != nil {
			s.logger.Error("policies can't be read: nothing is allowed", slog.String("scope", scope), slog.Uint64("version", version), slog.Any("error", err))
		}
	}
	// Whoever still looks at an older state does not put the newer set away.
	if newest == nil || newest.revision < revision {
		at.newest.Store(c)
	}
	return c.set, nil
}

// readyMade is the policies of a cluster that has none of its own.
var readyMade = sync.OnceValue(func() *cedar.Set {
	set, err := cedar.Compile(cedar.DefaultText, "")
	if err != nil {
		panic("the ready-made policies: " + err.Error()) // they are part of the program, and tested
	}
	return set
})
