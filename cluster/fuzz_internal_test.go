package cluster

import (
	"bytes"
	"testing"
)

// FuzzGreeting: what a stream begins with is read as it is written, or not at all,
// and no byte more than it says.
func FuzzGreeting(f *testing.F) {
	f.Add(greeting("", "n1")[1:])
	f.Add(greeting("0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99", "node-1")[1:])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 400))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		hash, node, err := readGreeting(in)
		if err != nil {
			return
		}
		read := len(data) - in.Len()
		if len(hash) != clusterHashSize || read != clusterHashSize+1+len(node) || !bytes.Equal(data[:clusterHashSize], hash) || string(data[clusterHashSize+1:read]) != node {
			t.Fatalf("%x is %x, %q", data, hash, node)
		}
	})
}
