package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/ops"
)

type idKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

func TestLinesCarryTheRequestID(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := ops.NewLogger(ops.LogOptions{Writer: &out, Format: ops.FormatJSON, RequestID: requestID})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), idKey{}, "r1")
	for name, log := range map[string]func(){
		"plain":          func() { logger.InfoContext(ctx, "m") },
		"with":           func() { logger.With("a", 1).InfoContext(ctx, "m") },
		"given by hand":  func() { logger.InfoContext(ctx, "m", "request_id", "r1") },
		"given by With":  func() { logger.With("request_id", "r1").InfoContext(ctx, "m") },
		"level filtered": func() { logger.DebugContext(ctx, "m"); logger.WarnContext(ctx, "m") },
	} {
		out.Reset()
		log()
		if got := strings.Count(out.String(), `"request_id":"r1"`); got != 1 {
			t.Errorf("%s: the id is in there %d times: %s", name, got, out.String())
		}
	}
	out.Reset()
	logger.InfoContext(t.Context(), "m")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	if diff := cmp.Diff(map[string]any{"level": "INFO", "msg": "m"}, line); diff != "" {
		t.Error(diff)
	}
}

func TestLevelChangesAtOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := &slog.LevelVar{}
	level.Set(slog.LevelWarn)
	logger, err := ops.NewLogger(ops.LogOptions{Writer: &out, Format: ops.FormatText, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("unseen")
	level.Set(slog.LevelInfo)
	logger.WithGroup("g").Info("seen")
	if got := out.String(); strings.Contains(got, "unseen") || !strings.Contains(got, "seen") {
		t.Error(got)
	}
	if _, err := ops.NewLogger(ops.LogOptions{Writer: &out, Format: "xml"}); err == nil {
		t.Error("an unknown format was taken")
	}
}
