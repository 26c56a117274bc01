package serve

import (
	"context"
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

// serve answers one route.
func (s *server) serve(r Route) gin.HandlerFunc {
	return func(g *gin.Context) {
		c, err := s.newCall(g, &r)
		if err != nil {
			// Nobody is told what is wrong with a request before it is known who asks.
			if _, authErr := s.authenticate(g, g.Request.Context()); authErr != nil {
				err = authErr
			}
			middleware.Fail(g, err)
			return
		}
		rep, release, err := s.answerOnRecord(g, c)
		// The catalog may keep no part of the body, so it counts only until here.
		defer release()
		if err != nil {
			middleware.Fail(g, err)
			return
		}
		s.write(g, c, rep)
	}
}

// answerOnRecord answers a call and records what became of it, before anybody is
// told.
func (s *server) answerOnRecord(g *gin.Context, c *Call) (rep *Reply, release func(), err error) {
	returned := false
	defer func() {
		if !returned { // it panics
			s.recordOutcome(c, nil, middleware.ErrPanic)
		}
	}()
	rep, release, err = s.answer(g, c)
	returned = true
	s.recordOutcome(c, rep, err)
	return rep, release, err
}

// answer judges and carries out a call. Where it turns out that a right which
// the judgement rested on has changed, the call is judged anew: the one who asks
// gets the answer that its rights allow now.
func (s *server) answer(g *gin.Context, c *Call) (rep *Reply, release func(), err error) {
	release = func() {}
	for range maxJudgements {
		if err := s.judge(g, c); err != nil {
			return nil, release, err
		}
		if c.Route.Body && !c.bodyRead {
			c.bodyRead = true
			if c.Body, release, err = s.bodies.Read(g.Request); err != nil {
				return nil, release, err
			}
		}
		rep, err = s.carryOut(g.Request.Context(), c)
		if !errors.Is(err, authn.ErrChanged) && catalog.KindOf(err) != catalog.KindRevoked {
			break
		}
	}
	return rep, release, err
}

// judge finds out who asks and whether they may: one question each.
func (s *server) judge(g *gin.Context, c *Call) error {
	ctx, cancel := context.WithTimeout(g.Request.Context(), s.opts.RequestTimeout)
	defer cancel()
	var err error
	c.evidence, c.loads, c.asked = nil, nil, false
	if c.Principal, err = s.authenticate(g, ctx); err != nil || c.Route.ByBody {
		return err
	}
	return s.authorize(ctx, c, c.Route.Action, c.Route.Resource(c))
}

func (s *server) authenticate(g *gin.Context, ctx context.Context) (authz.Principal, error) {
	credentials, from := middleware.Credentials(g.Request), middleware.Client(ctx)
	credentials.Doubtful = s.opts.Rates.Doubtful(from)
	p, err := s.opts.Authenticator.Authenticate(ctx, credentials)
	if err != nil {
		if s.opts.Events.AuthFailed != nil {
			s.opts.Events.AuthFailed(authn.Reason(err))
		}
		s.recordStranger(g, err)
		// Who presents nothing has not tried anything.
		if errors.Is(err, authn.ErrUnauthenticated) && !errors.Is(err, authn.ErrMissing) {
			if tooOften := s.opts.Rates.Failed(from); tooOften != nil {
				return p, tooOften
			}
		}
		return p, err
	}
	middleware.SetPrincipal(g, p.ID)
	// Once for each request, however often it is judged.
	if !g.GetBool(countedKey) {
		g.Set(countedKey, true)
		if err := s.opts.Rates.LimitPrincipal(g.Writer.Header(), p.ID); err != nil {
			return p, err
		}
	}
	return p, nil
}

// countedKey marks a request that counts for how often its principal asks.
const countedKey = "floeberg.counted"

// carryOut does what was asked for, and proves that the rights still held when
// it was done. A change that took place needs no such proof: its transaction
// carried the evidence.
func (s *server) carryOut(ctx context.Context, c *Call) (*Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.opts.RequestTimeout, c.Route.Timeout))
	defer cancel()
	rep, err := c.Route.Handle(ctx, c)
	if c.Route.Operates {
		return rep, err
	}
	// A stale read shows this node's own state, and so does the judgement before it.
	if !c.Route.Change && c.Read.Consistency != catalog.Stale || c.Route.Change && decidedByState(err) {
		if recheck := s.holds(ctx, c); recheck != nil {
			rep.drop()
			return nil, recheck
		}
	}
	return rep, err
}

// write sends a reply.
func (s *server) write(g *gin.Context, c *Call, rep *Reply) {
	defer rep.drop()
	if rep.Stream != nil {
		s.stream(g, c, rep)
		return
	}
	s.writeBody(g, c, rep)
}

func (s *server) writeBody(g *gin.Context, c *Call, rep *Reply) {
	body, e := rep.Body, s.encodingOf(c, rep)
	if e != encodingNone {
		var err error
		if body, err = s.packer.pack(e, rep.Body, rep.Document); err != nil {
			middleware.Fail(g, err)
			return
		}
	}
	s.writeHeaders(g, rep, e)
	if body == nil {
		g.Writer.WriteHeader(rep.Status)
		g.Writer.WriteHeaderNow()
		return
	}
	size := 0
	for _, piece := range body {
		size += len(piece)
	}
	g.Writer.Header().Set("Content-Length", strconv.Itoa(size))
	g.Writer.WriteHeader(rep.Status)
	start := time.Now()
	for _, piece := range body {
		if _, err := g.Writer.Write(piece); err != nil {
			s.notTaken(g.Request.Context(), start, err)
			return
		}
	}
}

func (s *server) writeHeaders(g *gin.Context, rep *Reply, e encoding) {
	h := g.Writer.Header()
	if rep.Index > 0 {
		h.Set(IndexHeader, strconv.FormatUint(rep.Index, 10))
	}
	if rep.Secret {
		h.Set("Cache-Control", "no-store")
	}
	if rep.ETag != "" {
		h.Set("ETag", s.tagOf(g.Request.Header, rep, e))
	}
	if rep.Body != nil || rep.Stream != nil {
		h.Set("Content-Type", "application/json")
	}
	if e != encodingNone {
		h.Set("Content-Encoding", e.token())
	}
}

// encodingOf decides how a reply is compressed. The document alone decides, so
// that all answers that carry it have tags that are made alike.
func (s *server) encodingOf(c *Call, rep *Reply) encoding {
	if rep.Body == nil || !c.accepted.only && len(rep.Body[longest(rep.Body)]) < minPacked {
		return encodingNone
	}
	return c.accepted.best
}

// tagOf is the tag of a reply's bytes. Where there are none because the client
// has them, it is the one that the client has them under.
func (s *server) tagOf(h http.Header, rep *Reply, e encoding) string {
	if rep.Status == http.StatusNotModified {
		if held, ok := heldTag(h, rep.ETag); ok {
			return held
		}
	}
	return encodedTag(rep.ETag, e)
}

func (s *server) notTaken(ctx context.Context, start time.Time, err error) {
	s.opts.Logger.LogAttrs(ctx, slog.LevelDebug, "the client did not take its answer",
		slog.String("request_id", middleware.RequestID(ctx)),
		slog.Duration("after", time.Since(start)), slog.Any("error", err))
}
