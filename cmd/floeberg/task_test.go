package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/management"
)

// A dropped table's files are purged by a job that one can watch. The job of a
// table whose metadata can't be read is tried again until it is cancelled.
func TestTaskCommands(t *testing.T) {
	t.Parallel()
	n := serveInProcess(t)
	n.spoil(t)
	change(t, n.file(t, "changed"), func(string) string { return "no metadata" })
	for _, name := range []string{"sound", "changed"} {
		if code, answer := request(t, testKey, http.MethodDelete, n.url+"/v1/default/namespaces/wrecks/tables/"+name+"?purgeRequested=true", ""); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, answer)
		}
	}
	list := func(status string) (tasks []management.Task) {
		n.asJSON(t, &tasks, "task", "list", "--status", status)
		return tasks
	}
	// Looked at once: a task that waits may run again a moment later.
	find := func() (done, stuck management.Task, ok bool) {
		ended, waiting := list("done"), list("waiting")
		if len(ended) < 1 || len(waiting) < 1 || waiting[0].LastError == nil {
			return done, stuck, false
		}
		return ended[0], waiting[0], true
	}
	deadline := time.After(30 * time.Second)
	done, stuck, ok := find()
	for ; !ok; done, stuck, ok = find() {
		select {
		case <-deadline:
			t.Fatalf("done: %+v, waiting: %+v", list("done"), list("waiting"))
		case <-time.After(20 * time.Millisecond):
		}
	}
	if done.Name != "sound" || done.FilesDeleted == 0 || stuck.Name != "changed" || stuck.Failures == 0 {
		t.Errorf("done %+v, waiting %+v", done, stuck)
	}

	code, stdout, _ := n.command(t, "task", "list")
	if code != exitDone || !strings.Contains(stdout, "wrecks.sound") || !strings.Contains(stdout, "wrecks.changed") || strings.Count(stdout, "\n") != 3 {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	code, stdout, _ = n.command(t, "task", "show", stuck.ID)
	if code != exitDone || !strings.Contains(stdout, "waiting") || !strings.Contains(stdout, *stuck.LastError) {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	for range 2 {
		code, stdout, _ = n.command(t, "task", "cancel", stuck.ID, "--yes")
		if code != exitDone || !strings.Contains(stdout, "cancelled") {
			t.Errorf("exit code %d\n%s", code, stdout)
		}
	}
	for says, args := range map[string][]string{
		"--status": {"task", "list", "--status", "asleep"},
		"--yes":    {"task", "cancel", stuck.ID},
	} {
		if code, _, stderr := n.command(t, args...); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	if code, _, stderr := n.command(t, "task", "show", "nothing"); code != exitFailed || !strings.Contains(stderr, "nothing") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
