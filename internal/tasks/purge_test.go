package tasks_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg/manifest/manifesttest"
)

func TestPurgeDeletesWhatTheTableRefersTo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("events", nil)
	archive := s.create("events-archive", nil)
	s.fill("events-archive", archive, 2, 3)
	stays := s.files()
	// Of the table itself, only its files that nothing refers to stay.
	stays = slices.DeleteFunc(stays, func(f string) bool { return strings.HasPrefix(f, s.root+"/ns/events/") })
	s.fill("events", s.root+"/ns/events", 7, 5)
	stays = append(stays, s.write(s.root+"/ns/events/data/nobody-knows.parquet", nil), s.write(s.root+"/ns/events/metadata/nobody-knows.avro", nil))

	s.drop("events")
	if i := s.task(); i.Status != catalog.TaskWaiting || i.Kind != catalog.TaskPurge || i.Principal != "somebody" ||
		i.Warehouse != "default" || i.Table.String() != "ns.events" || i.Created.IsZero() || !i.Finished.IsZero() {
		t.Errorf("the new task is %+v", i)
	}
	s.start(&node{name: "a"})
	done := s.awaitDone()
	s.wantFiles(stays)
	// 35 data and delete files, 7 manifests and lists each, 2 of statistics, and the
	// metadata files of the creation, 7 snapshots and the statistics.
	if done.FilesDeleted != 35+7+7+2+9 || done.FilesKept != 0 || done.Finished.IsZero() || done.Failures != 0 || done.Node != "" {
		t.Errorf("the task ended as %+v", done)
	}
	if _, err := s.cat.LoadTable(t.Context(), "", ident("events-archive"), catalog.LoadOptions{}); err != nil {
		t.Error(err)
	}
}

func TestPurgeStaysBelowTheLocation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	location := s.create("t", nil)
	other := s.create("t_other", nil)
	s.fill("t_other", other, 1, 2)
	stays := append(slices.DeleteFunc(s.files(), func(f string) bool { return strings.HasPrefix(f, location+"/") }),
		// Data beside the table, as with write.data.path.
		s.write(s.root+"/elsewhere/1.parquet", nil))
	foreign := func(name string) string {
		i := slices.IndexFunc(stays, func(f string) bool { return strings.HasPrefix(f, other+"/metadata/"+name) })
		return stays[i]
	}
	// A manifest that names files of others, and a list that names a manifest of others.
	m := s.write(location+"/metadata/m.avro", manifesttest.Manifest(1, []manifesttest.Entry{
		{Path: s.write(location+"/data/own.parquet", nil)},
		{Path: s.root + "/elsewhere/1.parquet"},
		{Path: other + "/data/p=0%2F/stranger.parquet"},
		{Path: location + "/../t_other/metadata/x.avro"},
		{Path: location + "//data/own.parquet"},
		{Path: location},
		{Path: location + "/"},
		{Path: "s3://bucket/x"},
		{Path: "not a location"},
		{Path: s.write(location+"/data/removed.parquet", nil), Removed: true},
	}))
	stays = append(stays, location+"/data/removed.parquet")
	list := s.write(location+"/metadata/list.avro", manifesttest.List(1, []manifesttest.File{
		{Path: m}, {Path: foreign("1-m0-")},
	}))
	s.addSnapshot("t", 1, list)
	s.addSnapshot("t", 2, foreign("snap-1-"))
	s.drop("t")
	s.start(&node{name: "a"})
	done := s.awaitDone()
	s.wantFiles(stays)
	if done.FilesKept != 10 || done.FilesDeleted != 1+1+1+3 {
		t.Errorf("the task ended as %+v", done)
	}
}

func TestPurgeWithoutGarbageCollection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	location := s.create("t", map[string]string{"gc.enabled": "false"})
	s.fill("t", location, 3, 4)
	data := slices.DeleteFunc(s.files(), func(f string) bool { return !strings.HasPrefix(f, location+"/data/") })
	s.drop("t")
	s.start(&node{name: "a"})
	s.awaitDone()
	s.wantFiles(data)
}

// Tables of format version 1 may name their manifests in the metadata itself.
func TestPurgeOfEmbeddedManifests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	location := s.create("t", map[string]string{"format-version": "1"})
	m := s.write(location+"/metadata/m.avro", manifesttest.Manifest(1, []manifesttest.Entry{{Path: s.write(location+"/data/1.parquet", nil)}}))
	s.commit("t", `[{"action":"add-snapshot","snapshot":{"snapshot-id":1,"timestamp-ms":`+strconv.FormatUint(s.log.NowMs(), 10)+`,"manifests":["`+m+`"],"summary":{"operation":"append"}}}]`)
	s.drop("t")
	s.start(&node{name: "a"})
	s.awaitDone()
	s.wantFiles(nil)
}

// What can't be followed stays, with all that leads to it; the failure is seen,
// and the task goes on once it is mended.
func TestPurgeOfUnreadableManifest(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"garbage":   []byte("no Avro file"),
		"cut":       manifesttest.Manifest(1, []manifesttest.Entry{{Path: "x"}})[:400],
		"no path":   manifesttest.Manifest(1, []manifesttest.Entry{{Path: ""}}),
		"encrypted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			location := s.create("t", nil)
			file := s.write(location+"/data/lost.parquet", nil)
			broken := manifesttest.File{Path: s.write(location+"/metadata/broken.avro", body)}
			if body == nil {
				broken.Key = []byte("key")
			}
			good := s.write(location+"/metadata/good.avro", manifesttest.Manifest(1, []manifesttest.Entry{{Path: s.write(location+"/data/1.parquet", nil)}}))
			lists := []string{
				s.write(location+"/metadata/list1.avro", manifesttest.List(1, []manifesttest.File{{Path: good}})),
				s.write(location+"/metadata/list2.avro", manifesttest.List(2, []manifesttest.File{{Path: good}, broken})),
				s.write(location+"/metadata/list3.avro", manifesttest.List(3, []manifesttest.File{broken, {Path: good}})),
			}
			for i, list := range lists {
				s.addSnapshot("t", int64(i+1), list)
			}
			all := s.files()
			s.drop("t")
			s.start(&node{name: "a"})
			failed := s.await("to fail", func(i catalog.TaskInfo) bool { return i.Failures == 1 })
			if failed.Status != catalog.TaskWaiting || !strings.Contains(failed.LastError, broken.Path) || failed.RetryAt.Before(time.Now()) || !failed.Finished.IsZero() {
				t.Errorf("the task failed as %+v", failed)
			}
			gone := []string{location + "/data/1.parquet", good, lists[0]}
			s.wantFiles(slices.DeleteFunc(all, func(f string) bool { return slices.Contains(gone, f) }))
			if body == nil {
				return // There is no mend without the key.
			}
			s.write(broken.Path, manifesttest.Manifest(1, []manifesttest.Entry{{Path: file}}))
			s.log.skip(tasksRetryFirst)
			s.awaitDone()
			s.wantFiles(nil)
		})
	}
}

// A failing store is tried again, ever less often, and never given up.
func TestFailuresBackOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	location := s.create("t", nil)
	if err := os.WriteFile(path(s.files()[0]), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.drop("t")
	s.log.freeze()
	s.start(&node{name: "a"})
	for failures := 1; failures <= 12; failures++ {
		i := s.await("to fail again", func(i catalog.TaskInfo) bool { return i.Failures == failures && i.Status == catalog.TaskWaiting })
		pause := time.Duration(i.RetryAt.UnixMilli()-int64(s.log.NowMs())) * time.Millisecond
		want := min(tasksRetryFirst<<(failures-1), 10*time.Minute)
		if pause != want {
			t.Errorf("after %d failures the next attempt is in %s, want %s", failures, pause, want)
		}
		if !strings.Contains(i.LastError, location) {
			t.Errorf("the error does not name the file: %s", i.LastError)
		}
		s.log.skip(pause)
	}
}

// What is not there was done before: by a crash's predecessor or by somebody else.
func TestPurgeOfMissingFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	location := s.create("t", nil)
	s.fill("t", location, 4, 3)
	for _, f := range s.files() {
		if strings.Contains(f, "/snap-2-") || strings.Contains(f, "/1-m0-") || strings.Contains(f, "/p=0") {
			if err := os.Remove(path(f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.drop("t")
	s.start(&node{name: "a"})
	s.awaitDone()
	for _, f := range s.files() {
		if !strings.Contains(f, "/data/p=1%2F/1-") && !strings.Contains(f, "/data/p=2%2F/1-") {
			t.Errorf("%s stays", f)
		}
	}
	gone := s.create("gone", nil)
	if err := os.RemoveAll(path(gone)); err != nil {
		t.Fatal(err)
	}
	s.drop("gone")
	s.awaitDone()
}

func TestPurgeOfCompressedMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill("t", s.create("t", map[string]string{"write.metadata.compression-codec": "gzip"}), 2, 2)
	s.drop("t")
	s.start(&node{name: "a"})
	s.awaitDone()
	s.wantFiles(nil)
}

// The request is answered before any file is touched, and a table of the same
// name at the same place can be made while the old one's files go.
func TestTableMadeAnewWhilePurging(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill("t", s.create("t", nil), 2, 2)
	s.drop("t")
	before := s.files()
	location := s.create("t", nil)
	s.fill("t", location, 1, 2)
	stays := slices.DeleteFunc(s.files(), func(f string) bool { return slices.Contains(before, f) })
	s.start(&node{name: "a"})
	s.awaitDone()
	s.wantFiles(stays)
}

// While a purge goes on its files can't become a table's again. Its end is noted,
// so that no register that saw them before goes on either.
func TestRegisterMeetsPurge(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("t", nil)
	file := s.files()[0]
	register := func() error {
		_, err := s.cat.RegisterTable(t.Context(), catalog.Change{}, "", catalog.RegisterTable{Identifier: ident("again"), MetadataLocation: file})
		return err
	}
	ended := func() bool {
		v, err := s.log.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		_, ok, err := v.Get(state.PurgesEndedKey())
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	s.drop("t")
	if err := register(); catalog.KindOf(err) != catalog.KindAlreadyExists || ended() {
		t.Errorf("before the purge: %v", err)
	}
	s.start(&node{name: "a", deleting: func(*node, []string) error {
		if err := register(); catalog.KindOf(err) != catalog.KindAlreadyExists {
			t.Errorf("amid the purge: %v", err)
		}
		return nil
	}})
	s.awaitDone()
	if err := register(); catalog.KindOf(err) != catalog.KindNotFound || !ended() {
		t.Errorf("after the purge: %v", err)
	}
	s.write(file, nil)
	if err := register(); catalog.KindOf(err) == catalog.KindAlreadyExists {
		t.Errorf("the place is not free: %v", err)
	}
}

const tasksRetryFirst = 5 * time.Second
