package cluster_test

import (
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm"
)

var _ cluster.Machine = (*fsm.Machine)(nil)
