package cluster

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/floeberg/floeberg/fsm"
)

const (
	// verifyWait bounds how long a node may be behind to count as reached.
	verifyWait = 5 * time.Second
	// verifyTries is how often another index is tried where a node has forgotten
	// the first: it was started, or restored, past it.
	verifyTries = 3
)

// VerifyResult is what was found of one node.
type VerifyResult string

// The results.
const (
	VerifiedOK          VerifyResult = "ok"
	VerifiedDifferent   VerifyResult = "different"
	VerifiedDamaged     VerifyResult = "damaged"
	VerifiedUnreachable VerifyResult = "unreachable"
)

// Verification is a comparison of the state of all members at one index.
type Verification struct {
	Index uint64
	// Checksum is what most members have; empty where no two agree.
	Checksum []byte
	Deep     bool
	Nodes    []NodeVerification
	At       time.Time
}

// NodeVerification is one member's part in it.
type NodeVerification struct {
	ID    string
	Voter bool
	// Index is how far it has applied the log by now; 0 where it did not answer.
	Index uint64
	// Checksum at the index of the comparison; empty where it did not answer.
	Checksum []byte
	Result   VerifyResult
	// Why tells more of a result that is not ok.
	Why string

	term uint64
}

// OK tells whether every member answered, and all have the same state.
func (v *Verification) OK() bool {
	return !slices.ContainsFunc(v.Nodes, func(n NodeVerification) bool { return n.Result != VerifiedOK })
}

// with returns the ids of the members with a result.
func (v *Verification) with(result VerifyResult) (ids []string) {
	for _, n := range v.Nodes {
		if n.Result == result {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// Verify compares the state of all members at one index. Deep has each read its
// whole disk as well: a member whose disk does not hold what was written answers
// and then stops for good. Any node can be asked.
func (n *Node) Verify(ctx context.Context, deep bool) (Verification, error) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	var v Verification
	for range verifyTries {
		config := n.raft.GetConfiguration()
		if err := config.Error(); err != nil {
			return v, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		servers := config.Configuration().Servers
		if len(servers) == 0 {
			return v, fmt.Errorf("%w: not yet in a cluster", ErrNotReady)
		}
		index, _ := n.machine.Applied()
		answers, forgotten := n.askChecksums(ctx, servers, index)
		v = compare(index, answers)
		if !forgotten || ctx.Err() != nil {
			break
		}
	}
	if deep {
		n.verifyDisks(ctx, &v)
	}
	v.At = time.Now()
	return v, nil
}

// askChecksums asks all members at once; forgotten is set where another index
// may get an answer from one that had none.
func (n *Node) askChecksums(ctx context.Context, servers []raft.Server, index uint64) (answers []NodeVerification, forgotten bool) {
	req := &VerifyRequest{Index: index, WaitMs: uint64(verifyWait.Milliseconds())}
	for _, told := range n.askToVerify(ctx, servers, req, verifyWait+dialTimeout) {
		resp, err := told.resp, told.err
		a := NodeVerification{ID: string(told.server.ID), Voter: isVoter(told.server)}
		switch {
		case err != nil:
			a.Result, a.Why = VerifiedUnreachable, err.Error()
		case !resp.GetKnown():
			a.Index, a.Result = resp.GetAppliedIndex(), VerifiedUnreachable
			a.Why = fmt.Sprintf("it has applied entry %d and does not know its checksum at entry %d", resp.GetAppliedIndex(), index)
			forgotten = forgotten || resp.GetAppliedIndex() >= index
		default:
			a.Index, a.Checksum, a.term, a.Result = resp.GetAppliedIndex(), resp.GetChecksum(), resp.GetTerm(), VerifiedOK
		}
		answers = append(answers, a)
	}
	return answers, forgotten
}

// verified is what a member said of its state, or why it said nothing.
type verified struct {
	server raft.Server
	resp   *VerifyResponse
	err    error
}

// askToVerify asks members for their state, all at once.
func (n *Node) askToVerify(ctx context.Context, servers []raft.Server, req *VerifyRequest, timeout time.Duration) []verified {
	// A node that found damage on its own disk stops when its answer is given: here
	// that is when this context ends.
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return fromEach(servers, func(s raft.Server) verified {
		resp, err := callNode(ctx, n, string(s.ID), string(s.Address), pathVerify, n.answerVerify, req, &VerifyResponse{})
		return verified{s, resp, err}
	})
}

// compare finds out what most members have. Where two camps are equally large,
// neither is right.
func compare(index uint64, answers []NodeVerification) Verification {
	v := Verification{Index: index, Nodes: answers}
	camps := make(map[string]int)
	for _, a := range answers {
		if a.Result == VerifiedOK {
			camps[a.camp()]++
		}
	}
	most, tied := "", false
	for camp, size := range camps {
		switch {
		case size > camps[most]:
			most, tied = camp, false
		case size == camps[most]:
			tied = true
		}
	}
	for i := range answers {
		a := &answers[i]
		switch {
		case a.Result != VerifiedOK:
		case tied || a.camp() != most:
			a.Result, a.Why = VerifiedDifferent, fmt.Sprintf("its state at entry %d is not that of the others", index)
		default:
			v.Checksum = a.Checksum
		}
	}
	return v
}

// camp is what those have in common who have the same state at an index.
func (a *NodeVerification) camp() string { return fmt.Sprintf("%d %x", a.term, a.Checksum) }

// verifyDisks has all members that answered read their disks.
func (n *Node) verifyDisks(ctx context.Context, v *Verification) {
	v.Deep = true
	config := n.raft.GetConfiguration()
	if config.Error() != nil {
		return // raft has stopped, and so does this node
	}
	servers := slices.DeleteFunc(slices.Clone(config.Configuration().Servers), func(s raft.Server) bool {
		return v.node(string(s.ID)) == nil || v.node(string(s.ID)).Result == VerifiedUnreachable
	})
	timeout := maxDeepTime
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	for _, told := range n.askToVerify(ctx, servers, &VerifyRequest{Deep: true}, timeout) {
		a := v.node(string(told.server.ID))
		switch {
		case told.err != nil:
			a.Result, a.Why = VerifiedUnreachable, told.err.Error()
		case told.resp.GetDamage() != "":
			a.Result, a.Why = VerifiedDamaged, told.resp.GetDamage()
		}
	}
}

// maxDeepTime bounds the reading of a disk.
const maxDeepTime = time.Hour

func (v *Verification) node(id string) *NodeVerification {
	for i := range v.Nodes {
		if v.Nodes[i].ID == id {
			return &v.Nodes[i]
		}
	}
	return nil
}

// checksum is this node's answer to the question for its state; damaged is set
// where its disk does not hold what was written, and it must stop.
func (n *Node) checksum(ctx context.Context, req *VerifyRequest) (resp *VerifyResponse, damaged error) {
	resp = &VerifyResponse{}
	if req.GetDeep() {
		if err := n.verifyDisk(ctx); err != nil {
			resp.Damage = err.Error()
			if errors.Is(err, fsm.ErrCorrupt) || errors.Is(err, ErrDamaged) {
				damaged = err
			}
		}
		return resp, damaged
	}
	waitCtx, cancel := within(ctx, req.GetWaitMs())
	defer cancel()
	if err := n.machine.WaitApplied(waitCtx, req.GetIndex()); err == nil {
		sum, term, known := n.machine.ChecksumAt(req.GetIndex())
		resp.Known, resp.Checksum, resp.Term = known, sum[:], term
	}
	resp.AppliedIndex, _ = n.machine.Applied()
	return resp, nil
}

// verifyDisk reads the state and the log from disk.
func (n *Node) verifyDisk(ctx context.Context) error {
	if _, _, err := n.machine.VerifyDisk(ctx); err != nil {
		return err
	}
	log := &logs{n.store}
	first, err := log.FirstIndex()
	if err != nil {
		return logError(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return logError(err)
	}
	for index := first; index > 0 && index <= last; index++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var entry raft.Log
		if err := log.read(index, &entry); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
			return logError(err)
		}
	}
	return nil
}

func (n *Node) answerVerify(ctx context.Context, req *VerifyRequest) (*VerifyResponse, error) {
	resp, damaged := n.checksum(ctx, req)
	if damaged != nil {
		// Once it is told: the context of a call ends with its answer.
		context.AfterFunc(ctx, func() { n.stopForGood(damaged) })
	}
	return resp, nil
}

func (n *Node) answerCondemn(ctx context.Context, req *CondemnRequest) (*CondemnResponse, error) {
	sum, _, known := n.machine.ChecksumAt(req.GetIndex())
	if !known || !bytes.Equal(sum[:], req.GetChecksum()) || bytes.Equal(req.GetChecksum(), req.GetAgreedChecksum()) {
		return &CondemnResponse{}, nil
	}
	context.AfterFunc(ctx, func() { n.stopForGood(odd(req)) })
	return &CondemnResponse{Stopping: true}, nil
}

// odd says what is wrong with a node that is to stop.
func odd(req *CondemnRequest) error {
	return fmt.Errorf("%w: at entry %d it has checksum %s, and %s have %s", ErrDiverged, req.GetIndex(),
		hex.EncodeToString(req.GetChecksum()), strings.Join(req.GetAgreed(), " and "), hex.EncodeToString(req.GetAgreedChecksum()))
}

// watchState has the leader compare the states now and then.
func (n *Node) watchState(ctx context.Context) {
	if n.opts.VerifyInterval <= 0 {
		return
	}
	ticker := time.NewTicker(n.opts.VerifyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !n.leads() {
			n.verified.Store(nil) // another node knows better
			continue
		}
		v, err := n.Verify(ctx, false)
		if err == nil && len(v.with(VerifiedDifferent)) > 0 {
			// Never stop a node for what is not so a moment later.
			v, err = n.Verify(ctx, false)
		}
		if err != nil || ctx.Err() != nil {
			continue
		}
		n.verified.Store(&v)
		n.judge(ctx, &v)
	}
}

// judge raises the alarm over nodes that differ and stops them, where most voters
// agree on something else. Where they don't, it is not known who is right.
func (n *Node) judge(ctx context.Context, v *Verification) {
	different := v.with(VerifiedDifferent)
	if len(different) == 0 {
		return
	}
	agreed, voters, agreeing := v.with(VerifiedOK), 0, 0
	for _, a := range v.Nodes {
		if !a.Voter {
			continue
		}
		voters++
		if a.Result == VerifiedOK {
			agreeing++
		}
	}
	sums := make([]any, 0, 2*len(v.Nodes))
	for _, a := range v.Nodes {
		sums = append(sums, "checksum_of_"+a.ID, hex.EncodeToString(a.Checksum))
	}
	if 2*agreeing <= voters {
		n.logger.Error("THE STATES OF THE NODES DIFFER, and it is not known which of them is right: none is stopped; see the manual",
			append([]any{"index", v.Index, "different", different}, sums...)...)
		return
	}
	n.logger.Error("THE STATE OF A NODE DIFFERS from that of the others: it is stopped",
		append([]any{"index", v.Index, "different", different, "agreed", agreed}, sums...)...)
	config := n.raft.GetConfiguration()
	if config.Error() != nil {
		return // stopped meanwhile; the next leader sees it too
	}
	for _, s := range config.Configuration().Servers {
		if a := v.node(string(s.ID)); a != nil && a.Result == VerifiedDifferent {
			n.condemn(ctx, s, &CondemnRequest{Index: v.Index, Checksum: a.Checksum, AgreedChecksum: v.Checksum, Agreed: agreed})
		}
	}
}

func (n *Node) condemn(ctx context.Context, s raft.Server, req *CondemnRequest) {
	if string(s.ID) == n.opts.ID {
		n.stopForGood(odd(req))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, verifyWait)
	defer cancel()
	resp := &CondemnResponse{}
	err := n.caller.call(ctx, string(s.Address), pathCondemn, req, resp)
	if err != nil || !resp.GetStopping() {
		n.logger.Error("the node whose state differs could not be stopped: it is tried again", "odd", s.ID, "error", err)
	}
}

// Verified returns the last comparison that this node made by itself as leader;
// nil where there was none.
func (n *Node) Verified() *Verification { return n.verified.Load() }

// Different returns the ids of the members whose state was not that of the others.
func (v *Verification) Different() []string {
	if v == nil {
		return nil
	}
	return v.with(VerifiedDifferent)
}
