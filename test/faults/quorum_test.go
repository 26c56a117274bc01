package faults

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

// answerWithin is how long a node lets a request wait for a majority, with room
// for a busy machine.
const answerWithin = 45 * time.Second

// TestQuorumLost takes two of three nodes away, under load. Changes are refused
// with a promise that nothing was done, reads that need not be current go on,
// the node says why it is not ready, and all heals when the others are back.
func TestQuorumLost(t *testing.T) {
	// Bounded reads go on for as long as they are allowed to be old.
	c, l := start(t, cluster.Options{Args: []string{"--max-staleness", "5m"}}, load.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), workers)
	rest(ctx, time.Second)
	alone := c.Follower(t)
	var gone []int
	for _, i := range every(c) {
		if i != alone {
			gone = append(gone, i)
		}
	}
	kill(t, c, gone...)
	err := cluster.Await(within(t, 30*time.Second), "the node to say that it is not ready", func(ctx context.Context) error {
		status, body, err := c.Nodes[alone].Get(ctx, "/ready")
		if err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, "leader") {
			t.Logf("/ready: %s", strings.TrimSpace(body))
			return nil
		}
		return unexpected(status, body, err)
	})
	must(t, err)

	last := c.At(alone)
	ask := func(r client.Request) <-chan *client.Response {
		answer := make(chan *client.Response, 1)
		go func() {
			defer close(answer)
			asked := time.Now()
			res, err := last.Do(within(t, answerWithin), r)
			if err != nil {
				t.Errorf("without a majority: %v", err)
				return
			}
			t.Logf("%s %s (%s) was answered with %d after %s", r.Method, r.Path, r.Header.Get("Floeberg-Consistency"), res.Status, time.Since(asked).Round(time.Millisecond))
			answer <- res
		}()
		return answer
	}
	read := func(consistency string) client.Request {
		return client.Request{
			Method: http.MethodGet, Path: last.TablePath(l.Namespace(), l.Tables()[0]),
			Header: http.Header{"Floeberg-Consistency": {consistency}},
		}
	}
	create := ask(client.CreateTableRequest(last, l.Namespace(), "refused"))
	current := ask(read("linearizable"))
	for what, answer := range map[string]struct {
		res  <-chan *client.Response
		want int
	}{
		"a change":            {create, http.StatusServiceUnavailable},
		"a linearizable read": {current, http.StatusServiceUnavailable},
		"a bounded read":      {ask(read("bounded")), http.StatusOK},
		"a stale read":        {ask(read("stale")), http.StatusOK},
	} {
		res := <-answer.res
		if res == nil {
			continue // said above
		}
		if res.Status != answer.want || res.Status == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s without a majority: want %d, got %s, Retry-After %q", what, answer.want, res, res.Header.Get("Retry-After"))
		}
	}

	back := time.Now()
	restart(t, c, gone...)
	must(t, c.AwaitReady(within(t, time.Minute)))
	rest(ctx, time.Second)
	cancel()
	l.Wait()
	healed := l.History.Written(back, time.Now())
	if len(healed) == 0 {
		t.Error("nothing was written when the nodes were back")
	}
	judge(t, c, l, trouble)
	look := client.Request{Method: http.MethodHead, Path: last.TablePath(l.Namespace(), "refused")}
	if res, err := last.Do(within(t, time.Minute), look); err != nil || res.Status != http.StatusNotFound {
		t.Errorf("what was refused is there: %v %v", res, err)
	}
}
