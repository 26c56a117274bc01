package app_test

import (
	"testing"

	"github.com/floeberg/floeberg/cluster/clustertest"
)

// A node that was stopped leaves nothing running.
func TestMain(m *testing.M) { clustertest.VerifyTestMain(m) }
