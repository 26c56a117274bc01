package storage_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/storage"
)

// stuck is a transport that does not listen to contexts, as a system call on a
// dead file system does not.
type stuck struct {
	entered atomic.Int64
	release chan struct{}
}

// RoundTrip implements http.RoundTripper.
func (s *stuck) RoundTrip(*http.Request) (*http.Response, error) {
	s.entered.Add(1)
	<-s.release
	return nil, errors.New("released")
}

func stuckConfig(s *stuck) storage.Config {
	return storage.Config{
		S3:            storage.S3Config{Endpoint: "http://127.0.0.1:1", AccessKeyID: "a", SecretAccessKey: "b", Transport: s},
		MaxConcurrent: 4,
		MaxQueued:     8,
		Timeouts:      storage.Timeouts{Attempt: 50 * time.Millisecond, Attempts: 1},
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A store that hangs costs its callers an error in time, and the process no
// more goroutines than there are slots, however many callers there are.
func TestDeadStoreIsBounded(t *testing.T) {
	// Not parallel: it counts goroutines.
	s := &stuck{release: make(chan struct{})}
	store := open(t, bucketRoot, stuckConfig(s))
	before := runtime.NumGoroutine()

	var group sync.WaitGroup
	var unavailable atomic.Int64
	begun := time.Now()
	for range 200 {
		group.Go(func() {
			if _, err := store.Exists(context.Background(), place); errors.Is(err, storage.ErrUnavailable) {
				unavailable.Add(1)
			} else {
				t.Errorf("Exists: %v, want ErrUnavailable", err)
			}
		})
	}
	group.Wait()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("200 callers of a dead store waited %s", took)
	}
	if entered := s.entered.Load(); unavailable.Load() != 200 || entered > 4 {
		t.Errorf("%d of 200 were told so; %d reached the store, 4 may", unavailable.Load(), entered)
	}
	await(t, "all goroutines end but those that are stuck", func() bool { return runtime.NumGoroutine() <= before+4+2 })
	close(s.release)
	await(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// When it answers again, it is used again.
func TestStoreRecovers(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	fake := newFakeS3(t, func(f *fakeS3, _ int, _ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-hanging:
			return false
		default:
			return f.hang(r)
		}
	})
	fake.set("x", "back")
	cfg := fake.config()
	cfg.MaxConcurrent, cfg.Timeouts.Attempt, cfg.Timeouts.Attempts = 2, 500*time.Millisecond, 1
	store := open(t, bucketRoot, cfg)
	for range 3 {
		if _, err := store.Get(context.Background(), place, 10); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("Get: %v, want ErrUnavailable", err)
		}
	}
	close(hanging)
	await(t, "the store answers", func() bool {
		body, err := store.Get(context.Background(), place, 10)
		return err == nil && string(body) == "back"
	})
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	s := &stuck{release: make(chan struct{})}
	defer close(s.release)
	cfg := stuckConfig(s)
	cfg.MaxConcurrent, cfg.MaxQueued, cfg.Timeouts.Attempt = 1, 1, time.Hour
	store := open(t, bucketRoot, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _, _ = store.Exists(ctx, place) })
	await(t, "the slot is taken", func() bool { return s.entered.Load() == 1 })

	// One of two more callers waits, the other is sent away without waiting.
	refused := make(chan error, 2)
	for range 2 {
		group.Go(func() {
			_, err := store.Exists(ctx, place)
			refused <- err
		})
	}
	if err := <-refused; !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("the caller too many got %v, want ErrUnavailable", err)
	}
	cancel()
	if err := <-refused; !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that waited got %v, want its context's end", err)
	}
	group.Wait()
}

func TestCallerDeadlineHoldsDespiteRetries(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
		return refuse(w, 503, "SlowDown")
	})
	cfg := fake.config()
	cfg.Timeouts.BackoffBase, cfg.Timeouts.BackoffMax = time.Hour, time.Hour
	cfg.Timeouts.Total = 1 << 62
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := open(t, bucketRoot, cfg).Exists(ctx, place)
	if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Exists: %v, want ErrUnavailable and context.DeadlineExceeded", err)
	}
}

func TestRetryingEndsInTime(t *testing.T) {
	t.Parallel()
	fake := newFakeS3(t, func(_ *fakeS3, _ int, w http.ResponseWriter, _ *http.Request) bool {
		return refuse(w, 503, "SlowDown")
	})
	cfg := fake.config()
	cfg.Timeouts.Attempts = 1 << 30
	cfg.Timeouts.Total = 50 * time.Millisecond
	begun := time.Now()
	if _, err := open(t, bucketRoot, cfg).Exists(context.Background(), place); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Exists: %v, want ErrUnavailable", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
