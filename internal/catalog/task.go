package catalog

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/storage"
)

// TaskPurge is the kind of the tasks that delete the files of dropped tables.
const TaskPurge = "purge"

// TaskKept is how long a task is shown after its end.
const TaskKept = 7 * 24 * time.Hour

// TaskStatus is where a task stands.
type TaskStatus string

// The statuses.
const (
	// TaskWaiting is a task that nobody works on, which may be because an attempt failed.
	TaskWaiting TaskStatus = "waiting"
	// TaskRunning is a task that a node works on.
	TaskRunning TaskStatus = "running"
	// TaskDone is a task that has nothing left to do.
	TaskDone TaskStatus = "done"
	// TaskCancelled is a task that was ended before it was done.
	TaskCancelled TaskStatus = "cancelled"
)

// TaskStatuses are all statuses, in the order of a task's life.
func TaskStatuses() []TaskStatus {
	return []TaskStatus{TaskWaiting, TaskRunning, TaskDone, TaskCancelled}
}

var taskStatuses = map[state.TaskStatus]TaskStatus{
	state.TaskStatus_TASK_STATUS_WAITING:   TaskWaiting,
	state.TaskStatus_TASK_STATUS_RUNNING:   TaskRunning,
	state.TaskStatus_TASK_STATUS_DONE:      TaskDone,
	state.TaskStatus_TASK_STATUS_CANCELLED: TaskCancelled,
}

// TaskInfo is a background job as operators see it.
type TaskInfo struct {
	// ID is a UUID.
	ID        string
	Kind      string
	Status    TaskStatus
	Created   time.Time
	Principal string
	Warehouse string
	Table     Identifier
	// Node works on it; "" where none does.
	Node string
	// Failures is how many attempts failed, and LastError why the last one did.
	Failures  int
	LastError string
	// RetryAt is when the next attempt may begin; zero where none is put off.
	RetryAt time.Time
	// FilesDeleted and FilesKept are what the workers reported.
	FilesDeleted, FilesKept uint64
	// Finished is zero before the end.
	Finished time.Time
	Index    uint64
}

// TaskList is a page of tasks, the oldest first.
type TaskList struct {
	Tasks []TaskInfo
	Next  string // "" on the last page
	Index uint64
}

// CountTasks is how many tasks a state holds of each status.
func CountTasks(v *state.View) (map[TaskStatus]int, error) {
	counts := make(map[TaskStatus]int, len(taskStatuses))
	for _, status := range taskStatuses {
		counts[status] = 0
	}
	err := scanTasks(v, state.SpaceRange(state.SpaceTask), func(_ []byte, task *state.Task) bool {
		counts[taskStatuses[task.Status]]++
		return true
	})
	return counts, err
}

func scanTasks(v *state.View, r state.KeyRange, fn func(key []byte, task *state.Task) bool) error {
	var failed error
	err := v.Scan(r, func(key []byte, value state.Value) bool {
		task := &state.Task{}
		if failed = state.Decode(value, task); failed != nil {
			return false
		}
		return fn(key, task)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return broken(err)
	}
	return nil
}

// ListTasks returns background jobs, all or those of one status; "" is all.
func (c *Catalog) ListTasks(ctx context.Context, read Read, status TaskStatus, page Page) (*TaskList, error) {
	v, err := c.view(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	all := state.SpaceRange(state.SpaceTask)
	start, err := pageStart(all, page.Token)
	if err != nil {
		return nil, err
	}
	size := page.Size
	if size <= 0 {
		size = defaultPageSize
	}
	size = min(size, maxPageSize)
	list := &TaskList{Tasks: []TaskInfo{}, Index: v.Index}
	var last []byte
	err = scanTasks(v, state.KeyRange{Start: start, End: all.End}, func(key []byte, task *state.Task) bool {
		info := showTask(task, v.Index)
		if status != "" && info.Status != status {
			return true
		}
		if page.Paged && len(list.Tasks) == size {
			list.Next = pageToken(all, last)
			return false
		}
		last = append(last[:0], key...)
		list.Tasks = append(list.Tasks, info)
		return true
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// GetTask returns one background job.
func (c *Catalog) GetTask(ctx context.Context, read Read, id string) (*TaskInfo, error) {
	v, err := c.view(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	task, _, err := findTask(v, id)
	if err != nil {
		return nil, err
	}
	info := showTask(task, v.Index)
	return &info, nil
}

// CancelTask ends a background job before it is done; what it has done stays
// done. One that has come to its end already stays as it is.
func (c *Catalog) CancelTask(ctx context.Context, ch Change, id string) (*TaskInfo, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, noSuchTask(id)
	}
	key := state.TaskKey(parsed[:])
	var after TaskInfo
	answer, err := c.change(ctx, ch, key, func(_ context.Context, v *state.View) (*plan, error) {
		task, revision, err := findTask(v, id)
		if err != nil {
			return nil, err
		}
		p := &plan{outcome: doneAnswer()}
		p.require(command.KeyUnchanged(key, revision))
		if task.FinishedMs != 0 {
			p.nothing = true
		} else if err := endTask(p, key, task, max(c.log.NowMs(), task.CreatedMs)); err != nil {
			return nil, err
		}
		p.then(func(res command.Result) { after = showTask(task, res.Index) })
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		// A repeat: what it led to is in the state.
		return c.GetTask(ctx, Read{}, id)
	}
	return &after, nil
}

// endTask makes a task a cancelled one.
func endTask(p *plan, key []byte, task *state.Task, nowMs uint64) error {
	lease := task.Lease
	task.Status, task.Lease, task.RetryMs, task.FinishedMs = state.TaskStatus_TASK_STATUS_CANCELLED, nil, 0, nowMs
	data, err := state.Encode(task)
	if err != nil {
		return err
	}
	p.write(command.PutExpiring(key, data, nowMs+uint64(TaskKept.Milliseconds())))
	p.tell(&state.Event{Kind: "task.cancel", Warehouse: task.Warehouse, Namespace: task.Namespace, Name: task.Name, Id: task.Id})
	purge := task.GetPurge()
	if purge == nil {
		return nil
	}
	p.write(command.PutValue(state.PurgesEndedKey(), nil))
	note := state.PurgeKey(purge.Location, task.Id)
	if lease == nil {
		p.write(command.DeleteKey(note))
	} else {
		// The worker may not have heard of it yet: until its lease ends, what is
		// below the location is not safe.
		p.write(command.PutExpiring(note, nil, max(lease.UntilMs, nowMs+1)))
	}
	return nil
}

func noSuchTask(id string) error {
	return refuse(KindNoSuchTask, "Task does not exist: %s", shorten(id))
}

func findTask(v *state.View, id string) (*state.Task, uint64, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, 0, noSuchTask(id)
	}
	task, revision, ok, err := v.Task(parsed[:])
	if err != nil {
		return nil, 0, broken(err)
	}
	if !ok {
		return nil, 0, noSuchTask(id)
	}
	return task, revision, nil
}

func showTask(task *state.Task, index uint64) TaskInfo {
	info := TaskInfo{
		ID: fmt.Sprintf("%x", task.Id), Kind: task.Kind, Status: taskStatuses[task.Status], Created: moment(task.CreatedMs),
		Principal: task.Principal, Warehouse: task.Warehouse, Table: Identifier{Namespace: task.Namespace, Name: task.Name},
		Node: task.GetLease().GetNode(), Failures: int(task.Failures), LastError: task.LastError, RetryAt: moment(task.RetryMs),
		FilesDeleted: task.GetProgress().GetFilesDeleted(), FilesKept: task.GetProgress().GetFilesKept(),
		Finished: moment(task.FinishedMs), Index: index,
	}
	if id, err := uuid.FromBytes(task.Id); err == nil {
		info.ID = id.String()
	}
	return info
}

func moment(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// planPurge adds to the plan that drops a table the task that deletes its files.
func (c *Catalog) planPurge(p *plan, ch Change, wh *WarehouseInfo, id Identifier, rec *state.Table) error {
	now := c.log.NowMs()
	taskID, err := c.newTaskID(now)
	if err != nil {
		return err
	}
	key := state.TaskKey(taskID)
	p.require(command.KeyAbsent(key))
	err = p.putRecord(key, &state.Task{
		Id: taskID, Kind: TaskPurge, CreatedMs: now, Principal: ch.Principal,
		Warehouse: wh.Name, Namespace: id.Namespace, Name: id.Name,
		Status: state.TaskStatus_TASK_STATUS_WAITING,
		Work: &state.Task_Purge{Purge: &state.Purge{
			TableId: rec.Id, MetadataLocation: rec.MetadataLocation, Location: rec.Location,
		}},
	})
	if err != nil {
		return err
	}
	p.write(command.PutValue(state.PurgeKey(rec.Location, taskID), nil))
	p.then(func(command.Result) {
		if call := c.opts.Observer.TaskMade; call != nil {
			call()
		}
	})
	return nil
}

// newTaskID makes a UUID of version 7: it begins with the time, so that tasks
// sort by when they were made.
func (c *Catalog) newTaskID(nowMs uint64) ([]byte, error) {
	id, err := c.newID()
	if err != nil {
		return nil, err
	}
	random := [2]byte{id[6], id[7]}
	binary.BigEndian.PutUint64(id, nowMs<<16)
	id[6], id[7] = 0x70|random[0]&0x0F, random[1]
	id[8] = 0x80 | id[8]&0x3F
	return id, nil
}

// clearOfPurges refuses an entry's location where the files of a dropped table are
// being deleted at it, below it or around it, and any other place named where they
// are around that, now and when the plan is applied. Metadata that was written
// before the drop and names those files must not come back to life.
func clearOfPurges(v *state.View, p *plan, wh *WarehouseInfo, canonical string, named []iceberg.NamedLocation) error {
	if err := noPurge(v, p, state.PurgesBelow(canonical), canonical); err != nil {
		return err
	}
	root, _ := rootOf(wh, canonical)
	seen := map[string]bool{}
	for _, around := range storage.Ancestors(root, canonical) {
		seen[around] = true
		if err := noPurge(v, p, state.PurgesAt(around), canonical); err != nil {
			return err
		}
	}
	for _, n := range named {
		place, err := confine(wh, n.Location)
		if err != nil {
			return err
		}
		if storage.Within(canonical, place) {
			continue
		}
		root, _ := rootOf(wh, place)
		for _, around := range storage.Ancestors(root, place) {
			if seen[around] {
				continue
			}
			seen[around] = true
			if err := noPurge(v, p, state.PurgesAt(around), place); err != nil {
				return err
			}
		}
	}
	return nil
}

func noPurge(v *state.View, p *plan, notes state.KeyRange, place string) error {
	empty, err := v.Empty(notes)
	if err != nil {
		return broken(err)
	}
	if !empty {
		return refuse(KindAlreadyExists, "Invalid location %q: the files of a dropped table are being deleted there; wait for the task or cancel it", shorten(place))
	}
	p.require(command.RangeEmpty(notes.Start, notes.End))
	return nil
}

// noPurgeEnds requires that no purge ends before the plan is applied. That none
// is under way now and then does not say that there was none between. It returns
// what differs once one has ended.
func noPurgeEnds(v *state.View, p *plan) (ended uint64, err error) {
	key := state.PurgesEndedKey()
	last, ok, err := v.Get(key)
	switch {
	case err != nil:
		return 0, broken(err)
	case !ok:
		p.require(command.KeyAbsent(key))
		return 0, nil
	}
	p.require(command.KeyUnchanged(key, last.Revision))
	return last.Revision, nil
}
