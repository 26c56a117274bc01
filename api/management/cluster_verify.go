package management

import (
	"context"
	"time"

	"github.com/floeberg/floeberg/api/serve"
)

// ClusterVerification is a comparison of the states of all nodes at one index.
type ClusterVerification struct {
	// OK tells that every node answered, and all have the same state.
	OK bool `json:"ok"`
	// Index is the entry of the log after which the states are compared.
	Index uint64 `json:"index"`
	// Checksum is what most nodes have; null where no two agree.
	Checksum *string `json:"checksum"`
	// Deep tells that the nodes read their disks as well.
	Deep  bool           `json:"deep"`
	Nodes []VerifiedNode `json:"nodes"`
}

// VerifiedNode is one node's part in it.
type VerifiedNode struct {
	ID string `json:"id"`
	// Index and Checksum are null where it did not answer.
	Index    *uint64 `json:"index"`
	Checksum *string `json:"checksum"`
	// Result is ok, different, damaged or unreachable.
	Result string `json:"result"`
	// Reason tells more of a result that is not ok.
	Reason *string `json:"reason"`
}

// verifyTimeout is for the reading of whole disks. It ends before the time that
// any answer has to be written in.
const verifyTimeout = 4 * time.Minute

func (a *api) verifyCluster(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	deep, err := flag(c, "deep")
	if err != nil {
		return nil, err
	}
	v, err := a.cluster.Verify(ctx, deep)
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, v)
}

// flag reads a parameter that is true or false.
func flag(c *serve.Call, name string) (bool, error) {
	switch given := c.Query.Get(name); given {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, serve.BadRequest("Invalid query: %s must be true or false, not %q", name, given)
	}
}
