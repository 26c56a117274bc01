package main

import (
	"encoding/json"
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
	to := []string{"--addr", n.url, "--key", testKey, "--output", "json"}
	list := func(status string) (tasks []management.Task) {
		code, stdout, stderr := command(t, append([]string{"task", "list", "--status", status}, to...)...)
		if err := json.Unmarshal([]byte(stdout), &tasks); err != nil || code != exitDone {
			t.Fatalf("exit code %d, %v: %q %q", code, err, stdout, stderr)
		}
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

	human := to[:len(to)-2]
	code, stdout, _ := command(t, append([]string{"task", "list"}, human...)...)
	if code != exitDone || !strings.Contains(stdout, "wrecks.sound") || !strings.Contains(stdout, "wrecks.changed") || strings.Count(stdout, "\n") != 3 {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	code, stdout, _ = command(t, append([]string{"task", "show", stuck.ID}, human...)...)
	if code != exitDone || !strings.Contains(stdout, "waiting") || !strings.Contains(stdout, *stuck.LastError) {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	for range 2 {
		code, stdout, _ = command(t, append([]string{"task", "cancel", stuck.ID, "--yes"}, human...)...)
		if code != exitDone || !strings.Contains(stdout, "cancelled") {
			t.Errorf("exit code %d\n%s", code, stdout)
		}
	}
	for says, args := range map[string][]string{
		"--status": {"task", "list", "--status", "asleep"},
		"--yes":    {"task", "cancel", stuck.ID},
	} {
		if code, _, stderr := command(t, append(args, human...)...); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	if code, _, stderr := command(t, append([]string{"task", "show", "nothing"}, human...)...); code != exitFailed || !strings.Contains(stderr, "nothing") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
