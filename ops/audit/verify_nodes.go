package audit

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// NodeVerification is what a node found in its own files.
type NodeVerification struct {
	Node string `json:"node"`
	// Verification is nil where there is none, for Reason.
	Verification *Verification `json:"verification"`
	Reason       string        `json:"reason,omitempty"`
}

var (
	errNoFile    = errors.New("this node keeps its audit log in no file: verify what its collector has")
	errVerifying = errors.New("this node is verifying its audit log already")
)

// verify holds this node's own files against what the cluster remembers of them.
func (l *Log) verify(ctx context.Context, heads []Head) (*Verification, error) {
	if !l.verifying.TryLock() {
		return nil, errVerifying
	}
	defer l.verifying.Unlock()
	for _, w := range l.writers {
		file, ok := w.sink.(*File)
		if !ok {
			continue
		}
		files, err := Files(file.Path())
		if err != nil {
			return nil, err
		}
		own := []Head{}
		for _, h := range heads {
			if h.Node == l.opts.Node && h.Sink == file.Name() {
				own = append(own, h)
			}
		}
		return Verify(ctx, files, own)
	}
	return nil, errNoFile
}

// verifyPatience is for gigabytes of records.
const verifyPatience = 10 * time.Minute

// VerifyAll has every node hold its own files against what the cluster remembers.
func (t *Trail) VerifyAll(ctx context.Context, heads []Head) ([]NodeVerification, error) {
	if heads == nil {
		heads = []Head{}
	}
	raw, err := json.Marshal(question{Verify: &heads})
	if err != nil {
		return nil, err
	}
	out := []NodeVerification{}
	for _, a := range t.askAll(ctx, verifyPatience, "", raw) {
		n := NodeVerification{Node: a.node, Verification: a.answer.Verification}
		if a.err != nil {
			n.Reason = a.err.Error()
		}
		out = append(out, n)
	}
	return out, nil
}
