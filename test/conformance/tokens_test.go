package conformance_test

import (
	"testing"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestPyIcebergWithACredential runs PyIceberg with the id and the secret of a key
// against three nodes, another one for each request, through several lives of a token.
func TestPyIcebergWithACredential(t *testing.T) {
	python := environment(t, "pyiceberg")
	c := cluster.Start(t, cluster.Options{Args: []string{"--token-lifetime", "3s"}})
	suite{python: python, env: []string{
		"FLOEBERG_TEST_SECONDS=10", "FLOEBERG_TEST_CREDENTIAL=" + authn.KeyID(cluster.Key) + ":" + cluster.Key,
	}}.run(t, c, "test_tokens.py")
}
