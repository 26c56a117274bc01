package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lease = 15 * time.Second

// holds fails unless the task is this node's at this moment.
func (s *site) holds(n *node, id string) error {
	v, err := s.log.View()
	if err != nil {
		return err
	}
	defer v.Close()
	parsed := uuid.MustParse(id)
	task, _, _, err := v.Task(parsed[:])
	if err != nil {
		return err
	}
	if now := s.log.NowMs(); task.GetLease().GetNode() != n.name || task.GetLease().GetUntilMs() <= now {
		return fmt.Errorf("node %s deletes files at %d under the lease %v", n.name, now, task.GetLease())
	}
	return nil
}

// A node that is killed after any number of deletions, in the middle of a call
// even, leaves what the next one needs to go on, as often as it happens. In the
// end all that the table refers to is gone, and nothing else.
func TestPurgeSurvivesKills(t *testing.T) {
	t.Parallel()
	for seed := range 25 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			s := newSite(t)
			sibling := s.create("t2", nil)
			s.fill("t2", sibling, 2, 2)
			location := s.create("t", nil)
			stays := slices.DeleteFunc(s.files(), func(f string) bool { return strings.HasPrefix(f, location+"/") })
			stays = append(stays, s.write(location+"/data/nobody-knows.parquet", nil))
			s.fill("t", location, 1+random.IntN(6), 1+random.IntN(6))
			total := len(s.files()) - len(stays)
			s.drop("t")

			for life := 0; ; life++ {
				left := random.IntN(total/2 + 2) // deletions until the kill
				n := &node{name: fmt.Sprintf("n%d", life%3)}
				killed := make(chan struct{})
				n.deleting = func(n *node, locations []string) error {
					if err := s.holds(n, s.task().ID); err != nil && !n.dead.Load() {
						t.Error(err)
					}
					if len(locations) < left {
						left -= len(locations)
						return nil
					}
					if n.dead.Swap(true) {
						return errDead
					}
					// Some of them go, in whatever order the store likes.
					some := slices.Clone(locations)
					random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
					err := s.store.DeleteMany(context.Background(), some[:left])
					close(killed)
					return errors.Join(err, errDead)
				}
				r := s.start(n, func(o *tasks.Options) {
					o.Batch = 1 + random.IntN(8)
					o.Renew = time.Duration(1+random.IntN(50)) * time.Millisecond
				})
				var done bool
				s.await("to end, or its node to be killed", func(i catalog.TaskInfo) bool {
					done = i.Status == catalog.TaskDone
					select {
					case <-killed:
						return true
					default:
						return done
					}
				})
				if err := r.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				if done {
					break
				}
				if random.IntN(2) == 0 {
					s.log.skip(lease)
				} else if i := s.task(); i.Status == catalog.TaskRunning && i.Node == n.name {
					// The same node comes back, and need not wait.
					life += 2
				} else {
					s.log.skip(lease)
				}
			}
			s.wantFiles(stays)
		})
	}
}

// Several nodes reach for the same tasks while time jumps and leases end under
// working nodes: at no time do two of them delete for one task, and none deletes
// without a lease.
func TestOnlyOneNodeWorksOnATask(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill("t", s.create("t", nil), 12, 6)
	s.drop("t")
	id := s.task().ID
	var inside atomic.Int32
	var mu sync.Mutex
	workers := map[string]int{}
	steps := 0
	for i := range 4 {
		s.start(&node{name: fmt.Sprintf("n%d", i), deleting: func(n *node, _ []string) error {
			if inside.Add(1) != 1 {
				t.Error("two nodes delete at one time")
			}
			if err := s.holds(n, id); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond) // Time for another one to come by.
			mu.Lock()
			workers[n.name]++
			steps++
			slow := steps%4 == 0 && steps < 60
			mu.Unlock()
			inside.Add(-1)
			if slow {
				// The store took so long that the lease is over.
				s.log.skip(lease)
			}
			return nil
		}}, func(o *tasks.Options) { o.Batch = 1; o.Renew = time.Hour; o.Poll = time.Millisecond })
	}
	s.awaitDone()
	s.wantFiles(nil)
	if len(workers) < 2 {
		t.Errorf("the task never went from one node to another: %v", workers)
	}
}

// A lease that is renewed is not taken by anybody, however long the work takes.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill("t", s.create("t", nil), 2, 3)
	s.drop("t")
	release, begun := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.start(&node{name: "a", deleting: func(*node, []string) error {
		once.Do(func() { close(begun); <-release })
		return nil
	}}, func(o *tasks.Options) { o.Renew = 2 * time.Millisecond })
	<-begun
	s.start(&node{name: "b", deleting: func(*node, []string) error {
		return errors.New("b has no business here")
	}})
	for range 20 {
		s.log.skip(lease / 3)
		now := s.log.NowMs()
		s.await("to be renewed", func(catalog.TaskInfo) bool {
			v, err := s.log.View()
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			id := uuid.MustParse(s.task().ID)
			task, _, _, err := v.Task(id[:])
			if err != nil {
				t.Fatal(err)
			}
			if task.GetLease().GetNode() != "a" {
				t.Fatalf("the lease is %v", task.GetLease())
			}
			return task.GetLease().GetUntilMs() >= now+uint64(lease.Milliseconds())
		})
	}
	close(release)
	if done := s.awaitDone(); done.Failures != 0 {
		t.Errorf("the task ended as %+v", done)
	}
}

// A node that is stopped gives its task back: the next one need not wait for the
// end of the lease.
func TestStopGivesTasksBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill("t", s.create("t", nil), 2, 3)
	s.drop("t")
	var results []tasks.Result
	held := make(chan struct{})
	r := s.start(&node{name: "a", deleting: func(*node, []string) error {
		close(held)
		time.Sleep(20 * time.Millisecond)
		return context.Canceled
	}}, func(o *tasks.Options) {
		o.Observer.RunEnded = func(result tasks.Result, _ time.Duration) { results = append(results, result) }
	})
	<-held
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if i := s.task(); i.Status != catalog.TaskWaiting || i.Node != "" || i.Failures != 0 || !i.RetryAt.IsZero() {
		t.Errorf("the task was given back as %+v", i)
	}
	if !slices.Equal(results, []tasks.Result{tasks.GivenBack}) {
		t.Errorf("the runs ended as %v", results)
	}
	s.start(&node{name: "b"})
	s.awaitDone()
	s.wantFiles(nil)
}

// A cancelled task ends at its next step and leaves the rest; what is below its
// location stays out of bounds until its worker must have stopped.
func TestCancelRunningTask(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	location := s.create("t", nil)
	s.fill("t", location, 3, 4)
	total := len(s.files())
	s.drop("t")
	id := s.task().ID
	ended := make(chan tasks.Result, 1)
	calls := 0
	s.start(&node{name: "a", deleting: func(*node, []string) error {
		if calls++; calls == 2 {
			for range 2 { // Once more changes nothing.
				i, err := s.cat.CancelTask(t.Context(), catalog.Change{}, id)
				if err != nil || i.Status != catalog.TaskCancelled || i.Node != "" || i.Finished.IsZero() {
					t.Errorf("cancelled: %+v, %v", i, err)
				}
			}
		}
		return nil
	}}, func(o *tasks.Options) {
		o.Batch = 2
		o.Observer.RunEnded = func(r tasks.Result, _ time.Duration) { ended <- r }
	})
	if r := <-ended; r != tasks.Lost {
		t.Errorf("the run ended as %s", r)
	}
	if calls != 2 || len(s.files()) != total-4 {
		t.Errorf("%d calls, %d of %d files are left", calls, len(s.files()), total)
	}
	empty := func() bool {
		v, err := s.log.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		e, err := v.Empty(state.PurgesBelow(location))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if empty() {
		t.Error("the location is free while a worker may still be at it")
	}
	s.log.skip(lease)
	s.create("tick", nil) // Replicated time is in the log.
	if !empty() {
		t.Error("the location is never free again")
	}
	if i := s.task(); i.Status != catalog.TaskCancelled {
		t.Errorf("the task is %+v", i)
	}
}

// Tasks that have ended are shown for a week.
func TestEndedTasksVanish(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("t", nil)
	s.drop("t")
	s.start(&node{name: "a"})
	id := s.awaitDone().ID
	s.log.skip(7*24*time.Hour - time.Minute)
	s.create("almost", nil)
	if _, err := s.cat.GetTask(t.Context(), catalog.Read{}, id); err != nil {
		t.Errorf("after almost a week: %v", err)
	}
	s.log.skip(2 * time.Minute)
	s.create("after", nil)
	if _, err := s.cat.GetTask(t.Context(), catalog.Read{}, id); catalog.KindOf(err) != catalog.KindNoSuchTask {
		t.Errorf("after a week: %v", err)
	}
}

// Looking for tasks writes nothing, and an ended task is not worked on again.
func TestIdleWritesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("t", nil)
	s.drop("t")
	var runs atomic.Int32
	r := s.start(&node{name: "a"}, func(o *tasks.Options) {
		o.Poll = time.Millisecond
		o.Observer.RunEnded = func(tasks.Result, time.Duration) { runs.Add(1) }
	})
	s.awaitDone()
	before := s.log.entries()
	for range 50 {
		r.Kick()
		time.Sleep(time.Millisecond)
	}
	if after := s.log.entries(); after != before {
		t.Errorf("%d entries were written by an idle runner", after-before)
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the task was run %d times", n)
	}
}

// A drop on this node is worked on at once, and slots are taken in turn.
func TestKickAndSlots(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.start(&node{name: "a"}, func(o *tasks.Options) { o.Poll = time.Hour; o.Slots = 2 })
	for i := range 7 {
		name := fmt.Sprintf("t%d", i)
		s.fill(name, s.create(name, nil), 1, 1)
		s.drop(name)
	}
	r.Kick()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		v, err := s.log.View()
		if err != nil {
			t.Fatal(err)
		}
		counts, err := catalog.CountTasks(v)
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		if counts[catalog.TaskDone] == 7 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the tasks stand at %v", counts)
		}
	}
	s.wantFiles(nil)
}

// A panic in a task's work is a failure of the task, and not the end of the node.
func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("t", nil)
	s.drop("t")
	n := &node{name: "a"}
	r := s.start(n, func(o *tasks.Options) { o.Stores = only(panicking{n}) })
	i := s.await("to fail", func(i catalog.TaskInfo) bool { return i.Failures > 0 })
	if !strings.Contains(i.LastError, "a defect") {
		t.Errorf("the task failed as %+v", i)
	}
	r.Kick()
}

type panicking struct{ tasks.Store }

func (panicking) Get(context.Context, string, int64) ([]byte, error) { panic("a defect") }

func TestOptionsThatAreMissing(t *testing.T) {
	t.Parallel()
	n := &node{}
	for _, o := range []tasks.Options{{Stores: only(n), Node: "a"}, {Log: n, Node: "a"}, {Log: n, Stores: only(n)}} {
		if _, err := tasks.New(o); err == nil {
			t.Errorf("%+v is enough", o)
		}
	}
}
