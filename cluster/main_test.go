package cluster_test

import (
	"testing"

	"github.com/floeberg/floeberg/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.VerifyTestMain(m) }
