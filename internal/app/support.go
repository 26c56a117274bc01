package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/config"
)

// supportService is the name under which nodes ask each other for it.
const supportService = "support"

// logTail is how much of the log a node keeps in memory.
const logTail = 1 << 20

// askSupport bounds the wait for one node.
const askSupport = 15 * time.Second

// support gathers what helps to find out what is wrong, here and elsewhere.
type support struct{ app *App }

// Gather implements management.Support.
func (s support) Gather(ctx context.Context) ([]management.NodeSupport, error) {
	ctx, cancel := context.WithTimeout(ctx, askSupport)
	defer cancel()
	peers := s.app.node.Status().Peers
	out := make([]management.NodeSupport, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			raw, err := s.app.node.AskService(ctx, p.ID, supportService, nil)
			if err == nil {
				err = json.Unmarshal(raw, &out[i])
			}
			if err != nil {
				out[i] = management.NodeSupport{
					Files: []management.SupportFile{}, Missing: []management.MissingSupport{{Reason: err.Error()}},
				}
			}
			out[i].Node = p.ID
		})
	}
	wg.Wait()
	return out, nil
}

// answerSupport tells what this node can tell.
func (a *App) answerSupport(ctx context.Context, _ []byte) ([]byte, error) {
	out := management.NodeSupport{Node: a.config.NodeID, Files: []management.SupportFile{}, Missing: []management.MissingSupport{}}
	for _, part := range []struct {
		name string
		make func(context.Context) ([]byte, error)
	}{
		{"version.json", a.supportVersion},
		{"settings.json", func(context.Context) ([]byte, error) { return readable(a.config.Shown()) }},
		{"status.json", func(context.Context) ([]byte, error) { return readable(a.node.Status()) }},
		{"cluster.json", func(ctx context.Context) ([]byte, error) {
			o, err := a.node.Overview(ctx)
			if err != nil {
				return nil, err
			}
			return readable(o)
		}},
		{"metrics.txt", a.supportMetrics},
		{"log.txt", func(context.Context) ([]byte, error) { return a.tail.Bytes(), nil }},
		{"files.txt", a.supportFiles},
		{"goroutines.txt", func(context.Context) ([]byte, error) { return profile("goroutine", 1) }},
		{"heap.pprof", func(context.Context) ([]byte, error) { return profile("heap", 0) }},
	} {
		data, err := part.make(ctx)
		if err != nil {
			out.Missing = append(out.Missing, management.MissingSupport{Name: part.name, Reason: err.Error()})
			continue
		}
		out.Files = append(out.Files, management.SupportFile{Name: part.name, Data: data})
	}
	hide(&out, a.secrets())
	return json.Marshal(out)
}

// secrets are what must not be in it, wherever it turns up: settings, as they are
// written and as they are used.
func (a *App) secrets() []string {
	out := a.config.Secrets()
	if len(a.config.GossipKey) > 0 {
		out = append(out, string(a.config.GossipKey), base64.StdEncoding.EncodeToString(a.config.GossipKey))
	}
	return out
}

// hide takes secrets out. None should be in: what nodes log and tell has none.
func hide(s *management.NodeSupport, secrets []string) {
	for i := range s.Files {
		for _, secret := range secrets {
			s.Files[i].Data = bytes.ReplaceAll(s.Files[i].Data, []byte(secret), []byte(config.Hidden))
		}
	}
	for i := range s.Missing {
		for _, secret := range secrets {
			s.Missing[i].Reason = strings.ReplaceAll(s.Missing[i].Reason, secret, config.Hidden)
		}
	}
}

func readable(value any) ([]byte, error) { return json.MarshalIndent(value, "", "  ") }

func (a *App) supportVersion(context.Context) ([]byte, error) {
	return readable(map[string]any{
		"version": a.opts.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		"cpus": runtime.NumCPU(), "time": time.Now().UTC(),
	})
}

// supportMetrics is what a scrape gives.
func (a *App) supportMetrics(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	w := &page{header: http.Header{}, status: http.StatusOK}
	a.metrics.Handler().ServeHTTP(w, req)
	if w.status != http.StatusOK {
		return nil, fmt.Errorf("status %d", w.status)
	}
	return w.body.Bytes(), nil
}

// page takes what a handler writes.
type page struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (p *page) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *page) WriteHeader(status int) { p.status = status }

// Write implements http.ResponseWriter.
func (p *page) Write(data []byte) (int, error) { return p.body.Write(data) }

// supportFiles lists the data folder: names, sizes and times, no contents. The
// warehouse, which may be in it, is left out.
func (a *App) supportFiles(context.Context) ([]byte, error) {
	var out bytes.Buffer
	root := a.config.DataDir
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && path == filepath.Join(root, "warehouse") {
			return fs.SkipDir
		}
		out.WriteString(fileLine(path, entry, err) + "\n")
		return nil
	})
	return out.Bytes(), err
}

// fileLine is a file in a listing. What can't be looked at went meanwhile, as files
// of a database do.
func fileLine(path string, entry fs.DirEntry, err error) string {
	var info fs.FileInfo
	if err == nil {
		info, err = entry.Info()
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %12d %s %s", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), path)
}

func profile(name string, debug int) ([]byte, error) {
	var out bytes.Buffer
	err := pprof.Lookup(name).WriteTo(&out, debug)
	return out.Bytes(), err
}
