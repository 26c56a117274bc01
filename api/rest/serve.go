package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
)

// IndexHeader is the log index that an answer reflects.
const IndexHeader = "Floeberg-Index"

// maxJudgements bounds how often a request is judged anew because the rights of
// the one who asks changed while it was under way.
const maxJudgements = 3

// reply is an answer that was decided and not yet written.
type reply struct {
	status int
	// body is written piece after piece; nil is none.
	body  [][]byte
	etag  string
	index uint64
}

// jsonReply is a reply with a small body.
func jsonReply(index uint64, body any) (*reply, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusOK, body: [][]byte{data}, index: index}, nil
}

// noContent is a reply that says yes.
func noContent(index uint64) *reply { return &reply{status: http.StatusNoContent, index: index} }

// serve answers one route.
func (a *api) serve(r route) gin.HandlerFunc {
	return func(g *gin.Context) {
		c, err := a.newCall(g, &r)
		if err != nil {
			// Nobody is told what is wrong with a request before it is known who asks.
			if _, authErr := a.authenticate(g, g.Request.Context()); authErr != nil {
				err = authErr
			}
			middleware.Fail(g, err)
			return
		}
		rep, release, err := a.answer(g, c)
		// The catalog may keep no part of the body, so it counts only until here.
		defer release()
		if err != nil {
			middleware.Fail(g, err)
			return
		}
		a.write(g, rep)
	}
}

// answer judges and carries out a call. Where it turns out that a right which
// the judgement rested on has changed, the call is judged anew: the one who asks
// gets the answer that its rights allow now.
func (a *api) answer(g *gin.Context, c *call) (rep *reply, release func(), err error) {
	release = func() {}
	for range maxJudgements {
		if err := a.judge(g, c); err != nil {
			return nil, release, err
		}
		if c.route.body && !c.bodyRead {
			c.bodyRead = true
			if c.body, release, err = a.bodies.Read(g.Request); err != nil {
				return nil, release, err
			}
		}
		rep, err = a.carryOut(g.Request.Context(), c)
		if !errors.Is(err, authn.ErrChanged) && catalog.KindOf(err) != catalog.KindRevoked {
			break
		}
	}
	return rep, release, err
}

// judge finds out who asks and whether they may: one question each.
func (a *api) judge(g *gin.Context, c *call) error {
	ctx, cancel := context.WithTimeout(g.Request.Context(), a.opts.RequestTimeout)
	defer cancel()
	var err error
	if c.principal, err = a.authenticate(g, ctx); err != nil {
		return err
	}
	err = a.opts.Authorizer.Authorize(ctx, c.principal, c.route.action, c.route.resource(c))
	if errors.Is(err, authz.ErrDenied) && a.opts.Events.Denied != nil {
		a.opts.Events.Denied(string(c.route.action))
	}
	return err
}

func (a *api) authenticate(g *gin.Context, ctx context.Context) (authz.Principal, error) {
	p, err := a.opts.Authenticator.Authenticate(ctx, middleware.Credentials(g.Request))
	if err != nil {
		if a.opts.Events.AuthFailed != nil {
			a.opts.Events.AuthFailed(authn.Reason(err))
		}
		return p, err
	}
	middleware.SetPrincipal(g, p.ID)
	return p, nil
}

// carryOut does what was asked for, and proves that the rights still held when
// it was done. A change that took place needs no such proof: its transaction
// carried the evidence.
func (a *api) carryOut(ctx context.Context, c *call) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.RequestTimeout)
	defer cancel()
	rep, err := c.route.handle(ctx, c)
	if !c.route.change && c.read.Consistency == catalog.Linearizable || c.route.change && decidedByState(err) {
		if recheck := a.opts.Authenticator.Recheck(ctx, c.principal); recheck != nil {
			return nil, recheck
		}
	}
	return rep, err
}

// write sends a reply.
func (a *api) write(g *gin.Context, rep *reply) {
	h := g.Writer.Header()
	if rep.index > 0 {
		h.Set(IndexHeader, strconv.FormatUint(rep.index, 10))
	}
	if rep.etag != "" {
		h.Set("ETag", rep.etag)
	}
	if rep.body == nil {
		g.Writer.WriteHeader(rep.status)
		g.Writer.WriteHeaderNow()
		return
	}
	size := 0
	for _, piece := range rep.body {
		size += len(piece)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(size))
	g.Writer.WriteHeader(rep.status)
	start := time.Now()
	for _, piece := range rep.body {
		if _, err := g.Writer.Write(piece); err != nil {
			ctx := g.Request.Context()
			a.opts.Logger.LogAttrs(ctx, slog.LevelDebug, "the client did not take its answer",
				slog.String("request_id", middleware.RequestID(ctx)),
				slog.Duration("after", time.Since(start)), slog.Any("error", err))
			return
		}
	}
}
