package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Peers reaches the logs of all nodes, this one's included.
type Peers interface {
	// Nodes are the ids of all nodes.
	Nodes() []string
	// Ask has a node's log answer a question; see Log.Answer.
	Ask(ctx context.Context, node string, question []byte) ([]byte, error)
}

// Trail is what all nodes have on record.
type Trail struct {
	Peers Peers
	// Patience is how long a node is waited for. Default 5 s.
	Patience time.Duration
}

// Page is a part of what was found.
type Page struct {
	Records []Record
	// Next is where the next page begins; nil is that there is none.
	Next *Position
	// Missing are nodes that did not answer: what they have is not among the records.
	Missing []MissingNode
}

// MissingNode is a node that did not answer.
type MissingNode struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

// question is what a node asks another one. Old and new programs ask each other:
// fields are only ever added.
type question struct {
	Find  *Query   `json:"find,omitempty"`
	After Position `json:"after"`
	Most  int      `json:"most,omitempty"`
	// Trouble asks what is wrong with the node's sinks.
	Trouble bool `json:"trouble,omitempty"`
	// Verify asks for its files to be held against what the cluster remembers of them.
	Verify *[]Head `json:"verify,omitempty"`
}

type answer struct {
	Records []Record `json:"records,omitempty"`
	// Stopped is how far was looked, where that was not to the end.
	Stopped *Position `json:"stopped,omitempty"`
	Trouble []string  `json:"trouble,omitempty"`

	Verification *Verification `json:"verification,omitempty"`
}

// maxFound bounds what a node answers at once.
const maxFound = 10_000

// Answer answers another node's question.
func (l *Log) Answer(ctx context.Context, raw []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(raw, &q); err != nil {
		return nil, fmt.Errorf("malformed question: %w", err)
	}
	switch {
	case q.Find != nil:
		found, err := l.Find(ctx, *q.Find, q.After, min(q.Most, maxFound))
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer{Records: found.Records, Stopped: found.Stopped})
	case q.Trouble:
		var a answer
		for _, err := range l.Trouble() {
			a.Trouble = append(a.Trouble, err.Error())
		}
		return json.Marshal(a)
	case q.Verify != nil:
		v, err := l.verify(ctx, *q.Verify)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer{Verification: v})
	}
	return nil, fmt.Errorf("this program does not know how to answer %q", raw)
}

// Find returns records of all nodes that come after a position, the newest first.
// Where a node has much to look through a page may have few, or none, and there is a
// next one all the same.
func (t *Trail) Find(ctx context.Context, q Query, after Position, most int) (*Page, error) {
	most = min(most, maxFound-1)
	// One more than wanted tells whether there is another page.
	raw, err := json.Marshal(question{Find: &q, After: after, Most: most + 1})
	if err != nil {
		return nil, err
	}
	page := &Page{Records: []Record{}, Missing: []MissingNode{}}
	for _, a := range t.askAll(ctx, t.patience(), q.Node, raw) {
		if a.err != nil {
			page.Missing = append(page.Missing, MissingNode{a.node, a.err.Error()})
			continue
		}
		page.Records = append(page.Records, a.answer.Records...)
		if stopped := a.answer.Stopped; stopped != nil && (page.Next == nil || page.Next.after(*stopped)) {
			page.Next = stopped
		}
	}
	if page.Next != nil {
		// What stands after that may not be all that there is.
		page.Records = slices.DeleteFunc(page.Records, func(r Record) bool { return PositionOf(&r).after(*page.Next) })
	}
	slices.SortFunc(page.Records, func(a, b Record) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.Node, b.Node))
	})
	if len(page.Records) > most {
		page.Records = page.Records[:most]
		next := PositionOf(&page.Records[most-1])
		page.Next = &next
	}
	return page, nil
}

// Decisions are the last decisions that are on record on any node, the newest first:
// denials, and changes that were allowed. Principal, tenant, groups, action,
// resource and context are in them, so that each can be made again.
func (t *Trail) Decisions(ctx context.Context, most int) (*Page, error) {
	return t.Find(ctx, Query{Event: Decision}, Position{}, most)
}

// Troubles are what is wrong with the sinks of all nodes, a line each. Nodes that do
// not answer are left out: that they do not is told elsewhere.
func (t *Trail) Troubles(ctx context.Context) []string {
	raw, err := json.Marshal(question{Trouble: true})
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range t.askAll(ctx, t.patience(), "", raw) {
		for _, trouble := range a.answer.Trouble {
			out = append(out, fmt.Sprintf("node %s can't write its audit log: %s", a.node, trouble))
		}
	}
	return out
}

func (t *Trail) patience() time.Duration {
	if t.Patience > 0 {
		return t.Patience
	}
	return 5 * time.Second
}

type asked struct {
	node   string
	answer answer
	err    error
}

// askAll asks all nodes at once, or one of them.
func (t *Trail) askAll(ctx context.Context, patience time.Duration, only string, question []byte) []asked {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out []asked
	for _, node := range t.Peers.Nodes() {
		if only == "" || only == node {
			out = append(out, asked{node: node})
		}
	}
	var all sync.WaitGroup
	for i := range out {
		all.Go(func() {
			raw, err := t.Peers.Ask(ctx, out[i].node, question)
			if err == nil {
				err = json.Unmarshal(raw, &out[i].answer)
			}
			out[i].err = err
		})
	}
	all.Wait()
	return out
}
