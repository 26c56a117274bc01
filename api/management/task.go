package management

import (
	"context"
	"time"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Task is a background job as operators see it.
type Task struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	Principal string    `json:"principal"`
	Warehouse string    `json:"warehouse"`
	Namespace []string  `json:"namespace"`
	Name      string    `json:"name"`
	// Node is null where nobody works on it.
	Node         *string    `json:"node"`
	Failures     int        `json:"failures"`
	LastError    *string    `json:"last_error"`
	RetryAt      *time.Time `json:"retry_at"`
	FilesDeleted uint64     `json:"files_deleted"`
	FilesKept    uint64     `json:"files_kept"`
	FinishedAt   *time.Time `json:"finished_at"`
}

// TaskList is a page of background jobs.
type TaskList struct {
	Tasks         []Task `json:"tasks"`
	NextPageToken string `json:"next_page_token,omitempty"`
}

func showTask(t *catalog.TaskInfo) Task {
	return Task{
		ID: t.ID, Kind: t.Kind, Status: string(t.Status), CreatedAt: t.Created, Principal: t.Principal,
		Warehouse: t.Warehouse, Namespace: append([]string{}, t.Table.Namespace...), Name: t.Table.Name,
		Node: given(t.Node), Failures: t.Failures, LastError: given(t.LastError), RetryAt: moment(t.RetryAt),
		FilesDeleted: t.FilesDeleted, FilesKept: t.FilesKept, FinishedAt: moment(t.Finished),
	}
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *api) listTasks(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	status, err := taskStatus(c)
	if err != nil {
		return nil, err
	}
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	list, err := a.catalog.ListTasks(ctx, c.Read, status, p)
	if err != nil {
		return nil, err
	}
	body := TaskList{Tasks: make([]Task, 0, len(list.Tasks)), NextPageToken: list.Next}
	for i := range list.Tasks {
		body.Tasks = append(body.Tasks, showTask(&list.Tasks[i]))
	}
	return serve.JSON(list.Index, body)
}

// taskStatus reads which tasks are asked for; "" is all.
func taskStatus(c *serve.Call) (catalog.TaskStatus, error) {
	if !c.Query.Has("status") {
		return "", nil
	}
	text := c.Query.Get("status")
	for _, status := range catalog.TaskStatuses() {
		if text == string(status) {
			return status, nil
		}
	}
	return "", serve.BadRequest("Invalid query: status must be one of %v, not %q", catalog.TaskStatuses(), text)
}

func (a *api) showTask(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	t, err := a.catalog.GetTask(ctx, c.Read, c.Param("task"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(t.Index, showTask(t))
}

func (a *api) cancelTask(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	t, err := a.catalog.CancelTask(ctx, c.Change(), c.Param("task"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(t.Index, showTask(t))
}
