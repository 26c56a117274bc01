package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	maxStreams        = 1000
	readHeaderTimeout = 10 * time.Second
	// maxCallTime bounds the work for one call, whatever the caller asks for.
	maxCallTime = 2 * time.Minute
)

// answers serves the calls of other nodes.
type answers struct {
	server *http.Server
	done   chan struct{}
}

func (n *Node) serveCalls() *answers {
	mux := http.NewServeMux()
	handle(n, mux, pathBelonging, func() *BelongingRequest { return new(BelongingRequest) }, n.answerBelonging)
	handle(n, mux, pathHello, func() *HelloRequest { return new(HelloRequest) }, n.answerHello)
	handle(n, mux, pathKeyring, func() *KeyringRequest { return new(KeyringRequest) }, n.answerKeyring)
	handle(n, mux, pathPropose, func() *ProposeRequest { return new(ProposeRequest) }, n.answerPropose)
	handle(n, mux, pathReadIndex, func() *ReadIndexRequest { return new(ReadIndexRequest) }, n.answerReadIndex)
	handle(n, mux, pathMembership, func() *MembershipRequest { return new(MembershipRequest) }, n.answerMembership)
	handle(n, mux, pathOverview, func() *OverviewRequest { return new(OverviewRequest) }, n.answerOverview)
	handle(n, mux, pathStatus, func() *StatusRequest { return new(StatusRequest) }, n.answerStatus)
	handle(n, mux, pathService, func() *ServiceRequest { return new(ServiceRequest) }, n.answerService)
	handle(n, mux, pathVerify, func() *VerifyRequest { return new(VerifyRequest) }, n.answerVerify)
	handle(n, mux, pathCondemn, func() *CondemnRequest { return new(CondemnRequest) }, n.answerCondemn)
	a := &answers{
		server: &http.Server{
			Handler:           mux,
			Protocols:         callProtocols(),
			ReadHeaderTimeout: readHeaderTimeout,
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams: maxStreams,
				SendPingTimeout:      pingAfter, PingTimeout: pingTimeout,
			},
			ErrorLog: newStdLogger(n.logger, "calls"),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(a.done)
		if err := a.server.Serve(n.port.call); err != nil && !errors.Is(err, http.ErrServerClosed) {
			n.logger.Debug("the server of node-to-node calls ended", "error", err)
		}
	}()
	return a
}

func (a *answers) close() {
	_ = a.server.Close() // the port closes the connections as well
	<-a.done
}

// handle registers one call: bounded body, the right cluster, protobuf both ways.
func handle[In, Out proto.Message](n *Node, mux *http.ServeMux, path string, fresh func() In, answer func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		mine, theirs := n.ClusterID(), r.Header.Get(headerCluster)
		if mine != "" && theirs != "" && mine != theirs {
			http.Error(w, "this node belongs to cluster "+mine, http.StatusMisdirectedRequest)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallBytes))
		if err != nil {
			http.Error(w, "unreadable body", http.StatusBadRequest)
			return
		}
		in := fresh()
		if err := proto.Unmarshal(body, in); err != nil {
			http.Error(w, "malformed message", http.StatusBadRequest)
			return
		}
		out, err := answer(r.Context(), in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		data, err := proto.Marshal(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		if _, err := w.Write(data); err != nil {
			n.logger.Debug("an answer was not delivered", "call", path, "error", err)
		}
	})
}

// within bounds a call's work by what the caller still waits for.
func within(ctx context.Context, timeoutMs uint64) (context.Context, context.CancelFunc) {
	timeout := maxCallTime
	if timeoutMs > 0 && timeoutMs < uint64(maxCallTime.Milliseconds()) {
		timeout = time.Duration(timeoutMs) * time.Millisecond
	}
	return context.WithTimeout(ctx, timeout)
}

// remainingMs is the time to a context's deadline, for the other side.
func remainingMs(ctx context.Context) uint64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint64(max(time.Until(deadline).Milliseconds(), 1))
}
