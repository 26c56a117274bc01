package audit

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// maxFindings bounds those that are told one by one.
const maxFindings = 1000

// Finding is something that is not as it was written.
type Finding struct {
	File string `json:"file,omitempty"`
	Line uint64 `json:"line,omitempty"`
	Node string `json:"node,omitempty"`
	// Seq is the record's number, 0 where it has none.
	Seq     uint64 `json:"seq,omitempty"`
	Problem string `json:"problem"`
}

// VerifiedNode is what was found of a node's log.
type VerifiedNode struct {
	Node string `json:"node"`
	// First and Last are the numbers of its records; ProvenTo is the last one that the
	// cluster vouches for, 0 is none.
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	ProvenTo uint64 `json:"proven_to"`
}

// Verification is what became of a verification.
type Verification struct {
	OK       bool           `json:"ok"`
	Files    []string       `json:"files"`
	Records  uint64         `json:"records"`
	Nodes    []VerifiedNode `json:"nodes"`
	Findings []Finding      `json:"findings"`
	// MoreFindings is how many there are beside those.
	MoreFindings uint64 `json:"more_findings"`
	// Notes are what was not proven, and why.
	Notes []string `json:"notes"`
}

// Verify reads files of audit logs, in whichever order they are named, and finds
// what was removed, altered, put in between or put elsewhere. Heads are what the
// cluster remembers; without them, nil, nothing is known of what was cut off at an
// end.
func Verify(ctx context.Context, files []string, heads []Head) (*Verification, error) {
	ordered, err := inOrder(files)
	if err != nil {
		return nil, err
	}
	v := newVerifier(heads)
	for _, path := range ordered {
		v.report.Files = append(v.report.Files, path)
		if err := v.file(ctx, path); err != nil {
			return nil, err
		}
	}
	return v.verdict(heads), nil
}

func newVerifier(heads []Head) *verifier {
	v := &verifier{
		report: &Verification{Files: []string{}, Nodes: []VerifiedNode{}, Findings: []Finding{}, Notes: []string{}},
		runs:   make(map[string]*knownRun), nodes: make(map[string]*nodeChain),
	}
	for i := range heads {
		for j := range heads[i].Runs {
			v.runs[heads[i].Runs[j].Run] = &knownRun{head: &heads[i], run: &heads[i].Runs[j]}
		}
	}
	return v
}

// verdict holds what was read against what the cluster remembers.
func (v *verifier) verdict(heads []Head) *Verification {
	if v.report.Records == 0 {
		v.find(Finding{Problem: "there are no records"})
	}
	v.compare(heads)
	v.report.OK = len(v.report.Findings) == 0
	return v.report
}

// inOrder puts files into the order in which their records were written, node by
// node.
func inOrder(files []string) ([]string, error) {
	type begun struct {
		path, node string
		at         time.Time
	}
	all := make([]begun, 0, len(files))
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		b := begun{path: path}
		in := bufio.NewReader(file)
		for range 100 { // the first lines may have been altered
			raw, whole, err := readLine(in)
			if err != nil || !whole {
				break
			}
			if line, err := ParseLine(raw); err == nil {
				b.node, b.at = line.Node, line.Time
				break
			}
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	slices.SortStableFunc(all, func(a, b begun) int {
		return cmp.Or(strings.Compare(a.node, b.node), a.at.Compare(b.at))
	})
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = b.path
	}
	return out, nil
}

// readLine reads a line, without its line break; whole is false for what stands
// after the last one. Of a line that is longer than any, the begin is returned.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := MaxLine + 2 - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		switch {
		case err == nil:
			if line[len(line)-1] == '\n' {
				line = line[:len(line)-1]
			}
			return line, true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(line) == 0 {
				return nil, false, io.EOF
			}
			return line, false, nil
		default:
			return nil, false, err
		}
	}
}

// knownRun is a process of which the cluster remembers something.
type knownRun struct {
	head *Head
	run  *RunHead
	// last is its last record that was seen, 0 is none. matched is set when the record
	// was seen that the cluster remembers.
	last    uint64
	matched bool
	wrong   bool
}

// nodeChain is where the chain of a node stands while it is read.
type nodeChain struct {
	report VerifiedNode
	seq    uint64
	hash   Hash
	run    string
	// runs are the processes in the order in which they came.
	runs []string
}

type verifier struct {
	report *Verification
	runs   map[string]*knownRun
	nodes  map[string]*nodeChain
}

func (v *verifier) find(f Finding) {
	if len(v.report.Findings) >= maxFindings {
		v.report.MoreFindings++
		return
	}
	v.report.Findings = append(v.report.Findings, f)
}

func (v *verifier) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

func (v *verifier) file(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return v.read(ctx, path, bufio.NewReaderSize(file, 256<<10))
}

// read reads the lines of a file.
func (v *verifier) read(ctx context.Context, path string, in *bufio.Reader) error {
	for number := uint64(1); ; number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, whole, err := readLine(in)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		case !whole:
			v.note("%s ends within a line: it was being written, or cut there", path)
			return nil
		}
		v.line(path, number, raw)
	}
}

// line takes the next line of a file.
func (v *verifier) line(path string, number uint64, raw []byte) {
	at := Finding{File: path, Line: number}
	line, err := ParseLine(raw)
	if err != nil {
		at.Problem = err.Error()
		v.find(at)
		return
	}
	v.report.Records++
	at.Node, at.Seq = line.Node, line.Seq
	c := v.nodes[line.Node]
	if c == nil {
		c = &nodeChain{report: VerifiedNode{Node: line.Node, First: line.Seq}}
		v.nodes[line.Node] = c
	} else if at.Problem = c.broken(line); at.Problem != "" {
		v.find(at)
	}
	if c.run != line.Run {
		c.runs = append(c.runs, line.Run)
	}
	c.seq, c.hash, c.run = line.Seq, sum(raw), line.Run
	c.report.Last = line.Seq
	known := v.runs[line.Run]
	if known == nil {
		return
	}
	known.last = max(known.last, line.Seq)
	if line.Seq != known.run.Seq {
		return
	}
	if known.matched = c.hash.String() == known.run.Hash; !known.matched {
		known.wrong = true
		at.Problem = "this is not the record that the cluster remembers: it, or one before it, was altered, and those after it were written anew"
		v.find(at)
	}
}

// broken tells what is wrong between the last line and the next one; "" is nothing.
func (c *nodeChain) broken(line *Line) string {
	follows := line.Prev == c.hash.String()
	switch {
	case line.Seq == c.seq+1 && follows:
		if line.Run != c.run && line.Event != Begin {
			return "another process goes on here without a record of its begin"
		}
		return ""
	case line.Seq == 1 && line.Event == Begin && line.Prev == (Hash{}).String():
		return fmt.Sprintf("the log begins anew here, after record %d: the file that it should go on from was gone", c.seq)
	case line.Seq > c.seq+1:
		return fmt.Sprintf("records %d to %d are missing", c.seq+1, line.Seq-1)
	case line.Seq <= c.seq:
		return fmt.Sprintf("it stands after record %d: it was put here, or records were written anew", c.seq)
	}
	return fmt.Sprintf("record %d, before it, was altered: it is not the one that this one followed", c.seq)
}
