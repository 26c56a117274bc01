package catalog

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

func mustPurge(t testing.TB, c *Catalog, parts ...string) {
	t.Helper()
	if _, err := c.DropTable(t.Context(), Change{Principal: "p"}, "", ident(parts...), true); err != nil {
		t.Fatalf("drop %v: %v", parts, err)
	}
}

func mustTasks(t testing.TB, c *Catalog) []TaskInfo {
	t.Helper()
	list, err := c.ListTasks(t.Context(), Read{}, "", Page{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Tasks
}

// The very change that drops a table leaves the task: there is never one without
// the other, and a repeat makes no second one.
func TestDropLeavesATask(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := 0
	c := s.node(func(o *Options) { o.Observer.TaskMade = func() { made++ } })
	mustNamespace(t, c, "ns")
	table := mustTable(t, c, "ns", "t")
	ch := keyed("6f1c1e9e-6d0f-4b7e-9a53-0c2f4a3f7a11", "drop")
	for range 3 {
		if _, err := c.DropTable(t.Context(), ch, "", ident("ns", "t"), true); err != nil {
			t.Fatal(err)
		}
	}
	tasks := mustTasks(t, c)
	if len(tasks) != 1 || made != 1 {
		t.Fatalf("%d tasks are there, %d were told of", len(tasks), made)
	}
	id := uuid.MustParse(tasks[0].ID)
	if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		t.Errorf("the task's id %s is no UUID of version 7", id)
	}
	v, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	task, _, _, err := v.Task(id[:])
	if err != nil {
		t.Fatal(err)
	}
	work := task.GetPurge()
	if work.GetMetadataLocation() != table.MetadataLocation || !bytes.Equal(work.GetTableId(), table.ID) || task.Principal != "p" {
		t.Errorf("the task is %v", task)
	}
	if empty, err := v.Empty(state.PurgesAt(work.GetLocation())); err != nil || empty {
		t.Errorf("the location is not noted: %v", err)
	}
	if len(s.files()) != 1 {
		t.Error("the drop itself deleted files")
	}
	if _, err := c.DropTable(t.Context(), Change{}, "", ident("ns", "t"), true); KindOf(err) != KindNoSuchTable {
		t.Errorf("dropped again: %v", err)
	}
	mustTable(t, c, "ns", "other")
	if _, err := c.DropTable(t.Context(), Change{}, "", ident("ns", "other"), false); err != nil {
		t.Fatal(err)
	}
	if n := len(mustTasks(t, c)); n != 1 || made != 1 {
		t.Errorf("a drop without purge leaves a task: %d", n)
	}
}

func TestTasksSortByAge(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	var names []string
	for i := range 8 {
		name := fmt.Sprint("t", i)
		names = append(names, name)
		mustTable(t, c, "ns", name)
		mustPurge(t, c, "ns", name)
		s.log.aheadMs.Add(2)
	}
	var got []string
	for _, i := range mustTasks(t, c) {
		got = append(got, i.Table.Name)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("(-made +listed)\n%s", diff)
	}
}

// Pages of all tasks, and of those of one status, show each once: also where
// tasks between them are left out.
func TestTaskPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	for i := range 11 {
		name := fmt.Sprint("t", i)
		mustTable(t, c, "ns", name)
		mustPurge(t, c, "ns", name)
	}
	all := mustTasks(t, c)
	want := map[TaskStatus][]string{TaskRunning: nil, TaskDone: nil}
	for i, task := range all {
		status := TaskWaiting
		if i%4 != 0 {
			status = TaskCancelled
			if _, err := c.CancelTask(t.Context(), Change{}, task.ID); err != nil {
				t.Fatal(err)
			}
		}
		want[status] = append(want[status], task.ID)
		want[""] = append(want[""], task.ID)
	}
	for status, ids := range want {
		for size := 1; size <= 12; size++ {
			var got []string
			pages := 0
			for page := (Page{Paged: true, Size: size}); ; pages++ {
				list, err := c.ListTasks(t.Context(), Read{}, status, page)
				if err != nil {
					t.Fatal(err)
				}
				if len(list.Tasks) > size {
					t.Fatalf("a page of %d has %d tasks", size, len(list.Tasks))
				}
				for _, i := range list.Tasks {
					got = append(got, i.ID)
				}
				if page.Token = list.Next; page.Token == "" {
					break
				}
			}
			if !slices.Equal(got, ids) || pages > len(ids)/size {
				t.Errorf("status %q, pages of %d: %v in %d further pages, want %v", status, size, got, pages, ids)
			}
		}
	}
	if _, err := c.ListTasks(t.Context(), Read{}, "", Page{Paged: true, Token: "nonsense"}); KindOf(err) != KindInvalid {
		t.Errorf("a token that is none: %v", err)
	}
	if !slices.Equal(TaskStatuses(), []TaskStatus{TaskWaiting, TaskRunning, TaskDone, TaskCancelled}) {
		t.Error("a status is missing")
	}
}

func TestCancelTask(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	mustTable(t, c, "ns", "t")
	mustPurge(t, c, "ns", "t")
	id := mustTasks(t, c)[0].ID
	for _, unknown := range []string{"", "x", uuid.NewString(), id + "0", "../" + id} {
		if _, err := c.CancelTask(t.Context(), Change{}, unknown); KindOf(err) != KindNoSuchTask {
			t.Errorf("cancel %q: %v", unknown, err)
		}
		if _, err := c.GetTask(t.Context(), Read{}, unknown); KindOf(err) != KindNoSuchTask {
			t.Errorf("get %q: %v", unknown, err)
		}
	}
	ch := keyed("6f1c1e9e-6d0f-4b7e-9a53-0c2f4a3f7a11", "cancel")
	first, err := c.CancelTask(t.Context(), ch, id)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.CancelTask(t.Context(), ch, id)
	if err != nil {
		t.Fatal(err)
	}
	anew, err := c.CancelTask(t.Context(), Change{}, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []*TaskInfo{first, again, anew} {
		if i.Status != TaskCancelled || !i.Finished.Equal(first.Finished) || i.Finished.IsZero() || i.Index == 0 {
			t.Errorf("cancelled: %+v", i)
		}
	}
	v, err := s.log.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if empty, err := v.Empty(state.PurgesBelow(s.root)); err != nil || !empty {
		t.Errorf("the location of a task that nobody works on is not free: %v", err)
	}
}

// Metadata that names files which are being deleted must not come back: not at
// the place, not below it, not around it, and not by a plan that was made before.
func TestClearOfPurges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.node()
	wh := &WarehouseInfo{Name: "default", Root: s.root}
	plans := func(location string, named ...string) (*plan, error) {
		v, err := s.log.machine.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		p := &plan{}
		var places []iceberg.NamedLocation
		for _, n := range named {
			places = append(places, iceberg.NamedLocation{Field: "manifest-list", Location: n})
		}
		return p, clearOfPurges(v, p, wh, location, places)
	}
	try := func(p *plan) command.Outcome {
		res, err := s.log.Propose(t.Context(), &command.Transaction{Preconditions: p.preconditions})
		if err != nil {
			t.Fatal(err)
		}
		return res.Outcome
	}
	mustNamespace(t, c, "ns")
	if _, err := c.CreateTable(t.Context(), Change{}, "", CreateTable{
		Identifier: ident("ns", "t"), Location: s.root + "/a/t", Schema: []byte(testSchema),
	}); err != nil {
		t.Fatal(err)
	}
	around := map[string]bool{
		s.root + "/a/t": true, s.root + "/a": true, s.root + "/a/t/x/y": true,
		s.root + "/a/t2": false, s.root + "/a/t-old/x": false, s.root + "/b": false,
	}
	named := map[string]bool{
		s.root + "/a/t/metadata/snap-1.avro": true, s.root + "/a/t/x": true,
		s.root + "/a/t-old/x": false, s.root + "/a/snap-1.avro": false, s.root + "/b/x/snap-1.avro": false,
	}
	early := map[string]*plan{}
	for place := range named {
		p, err := plans(s.root+"/b", s.root+"/b/y", place)
		if err != nil {
			t.Fatalf("before the drop, naming %s: %v", place, err)
		}
		early[place] = p
	}
	for location := range around {
		p, err := plans(location)
		if err != nil {
			t.Fatalf("before the drop, %s: %v", location, err)
		}
		early[location] = p
	}
	mustPurge(t, c, "ns", "t")
	for place, refused := range named {
		if _, err := plans(s.root+"/b", s.root+"/b/y", place); refused != (KindOf(err) == KindAlreadyExists) {
			t.Errorf("naming %s is refused with %v, want a refusal: %v", place, err, refused)
		}
		want := command.Applied
		if refused {
			want = command.Rejected
		}
		if got := try(early[place]); got != want {
			t.Errorf("a plan that names %s made before the drop is %v, want %v", place, got, want)
		}
	}
	for location, refused := range around {
		p, err := plans(location)
		if refused != (KindOf(err) == KindAlreadyExists) {
			t.Errorf("%s is refused with %v, want a refusal: %v", location, err, refused)
		}
		want := command.Applied
		if refused {
			want = command.Rejected
		} else if got := try(p); got != want {
			t.Errorf("a plan for %s made after the drop is %v, want %v", location, got, want)
		}
		if got := try(early[location]); got != want {
			t.Errorf("a plan for %s made before the drop is %v, want %v", location, got, want)
		}
	}
	if _, err := c.CancelTask(t.Context(), Change{}, mustTasks(t, c)[0].ID); err != nil {
		t.Fatal(err)
	}
	for location := range around {
		if _, err := plans(location); err != nil {
			t.Errorf("after the cancelling, %s: %v", location, err)
		}
	}
}
