package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/ops"
	"github.com/floeberg/floeberg/ops/audit"
)

// auditService is the name under which nodes ask each other what is on record.
const auditService = "audit"

// auditPatience is how long a status waits for nodes that do not answer.
const auditPatience = 2 * time.Second

// openAudit begins to keep a record of who asks for what.
func (a *App) openAudit(ctx context.Context) error {
	sinks, err := a.auditSinks()
	if err != nil {
		return fmt.Errorf("audit-log: %w", err)
	}
	// Scrapes come when all is open.
	metrics, err := a.metrics.WatchAudit(a.auditFigures)
	if err != nil {
		return err
	}
	log, err := audit.Open(audit.Options{
		Node: a.config.NodeID, Sinks: sinks, OnFailure: a.config.Audit.OnFailure, Version: a.opts.Version,
		Logger: a.logger.With(slog.String("room", "audit")),
		Observer: audit.Observer{
			Recorded: func(e audit.Event) { metrics.Recorded(string(e)) },
			Lost:     metrics.Lost,
			Refused:  metrics.Refused,
			Wrote:    func(sink string, took time.Duration, err error) { metrics.Wrote(sink, took, err != nil) },
		},
	})
	if err != nil {
		return fmt.Errorf("audit-log: %w", err)
	}
	a.audit = log
	if len(sinks) == 0 {
		a.logger.WarnContext(ctx, "the audit log is off: what is done is remembered in memory only, and for a while")
	}
	a.undo.add("closing the audit log", log.Close)
	return nil
}

func (a *App) auditSinks() ([]audit.Sink, error) {
	var sinks []audit.Sink
	c := a.config.Audit
	if c.File != "" {
		file, err := audit.OpenFile(audit.FileOptions{
			Path: c.File, MaxBytes: int64(c.FileMB) << 20, MaxAge: c.FileAge, Keep: c.Files, Now: time.Now,
		})
		if err != nil {
			return nil, err
		}
		if n := file.Torn(); n > 0 {
			a.logger.Warn("the audit log ended within a line, as after a crash: what there was of it is cut off",
				slog.String("file", c.File), slog.Int64("bytes", n))
		}
		sinks = append(sinks, file)
	}
	if c.Stdout {
		sinks = append(sinks, audit.NewStream("stdout", os.Stdout))
	}
	if c.Syslog != "" {
		collector, err := audit.NewSyslog(c.Syslog, time.Now)
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, collector)
	}
	return sinks, nil
}

// answerAudit answers other nodes what is on record here.
func (a *App) answerAudit(ctx context.Context, question []byte) ([]byte, error) {
	return a.audit.Answer(ctx, question)
}

// auditTrail is what all nodes have on record.
func (a *App) auditTrail() *audit.Trail { return &audit.Trail{Peers: auditPeers{a}} }

// auditedCluster is the audit logs of all nodes as operators see them.
type auditedCluster struct {
	*audit.Trail
	app *App
}

// Heads implements management.Audit.
func (c auditedCluster) Heads(ctx context.Context) ([]audit.Head, error) {
	v, err := c.app.node.View(ctx, cluster.Linearizable, 0)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	all, err := v.AllAuditHeads()
	if err != nil {
		return nil, err
	}
	out := make([]audit.Head, 0, len(all))
	for _, rec := range all {
		out = append(out, auditHead(rec))
	}
	return out, nil
}

// VerifyAll implements management.Audit.
func (c auditedCluster) VerifyAll(ctx context.Context) ([]audit.NodeVerification, error) {
	heads, err := c.Heads(ctx)
	if err != nil {
		return nil, err
	}
	return c.Trail.VerifyAll(ctx, heads)
}

// auditPeers is the cluster as the trail sees it.
type auditPeers struct{ app *App }

// Nodes implements audit.Peers.
func (p auditPeers) Nodes() []string {
	var out []string
	for _, peer := range p.app.node.Status().Peers {
		out = append(out, peer.ID)
	}
	return out
}

// Ask implements audit.Peers.
func (p auditPeers) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	return p.app.node.AskService(ctx, node, auditService, question)
}

// auditFigures is how it stands with the sinks, for metrics.
func (a *App) auditFigures() []ops.AuditFigure {
	if a.audit == nil {
		return nil
	}
	var out []ops.AuditFigure
	for _, s := range a.audit.Status() {
		out = append(out, ops.AuditFigure{Sink: s.Sink, Up: s.Trouble == nil, Waiting: s.Waiting})
	}
	return out
}

// auditHints is what anybody may know of sinks that take nothing: no paths and no
// addresses.
func (a *App) auditHints() []string {
	consequence := "records may be lost"
	if a.config.Audit.OnFailure == audit.Refuse {
		consequence = "this node refuses changes"
	}
	var out []string
	for _, s := range a.audit.Status() {
		if s.Trouble != nil {
			out = append(out, fmt.Sprintf("the audit log (%s) can't be written: %s", s.Sink, consequence))
		}
	}
	return out
}

// auditNote is what a status says of the audit logs of all nodes.
func (a *App) auditNote(ctx context.Context) statusNote {
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	return statusNote{Warnings: a.auditTrail().Troubles(ctx)}
}
