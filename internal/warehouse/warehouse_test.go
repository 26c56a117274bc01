package warehouse_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/warehouse"
)

// The life of a warehouse in a folder: made, used, changed, deleted and made again.
func TestWarehouse(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	made := y.create(y.folder("w"))
	if made.Generation == 0 || made.FromSettings || made.Created.IsZero() || !made.Changed.IsZero() || made.Root != y.site.Made()+"/w" {
		t.Fatalf("got %+v", made)
	}
	got, err := y.Get(t.Context(), catalog.Read{}, "w")
	if err != nil {
		t.Fatal(err)
	}
	made.Index, got.Index = 0, 0
	same(t, "the warehouse", made, got)
	if _, err := y.Create(t.Context(), by(""), y.folder("w")); err == nil {
		t.Fatal("made twice")
	} else {
		refused(t, err, catalog.KindAlreadyExists, "already exists: w")
	}
	if location := y.table("w"); !strings.HasPrefix(location, made.Root+"/ns/") {
		t.Errorf("the table lies at %s", location)
	}
	_, err = y.Delete(t.Context(), by(""), "w", nil)
	refused(t, err, catalog.KindWarehouseRefused, "not empty")

	// What it may not be deleted as.
	_, err = y.Delete(t.Context(), by(""), "default", nil)
	refused(t, err, catalog.KindWarehouseRefused, "nodes' settings")
	_, err = y.Delete(t.Context(), by(""), "nowhere", nil)
	refused(t, err, catalog.KindNoSuchWarehouse, "nowhere")

	id := catalog.Identifier{Namespace: []string{"ns"}, Name: "t"}
	if _, err := y.cat.DropTable(t.Context(), by(""), "w", id, false); err != nil {
		t.Fatal(err)
	}
	if _, err := y.cat.DropNamespace(t.Context(), by(""), "w", []string{"ns"}); err != nil {
		t.Fatal(err)
	}
	old := made.Generation
	_, err = y.Delete(t.Context(), by(""), "w", new(uint64))
	refused(t, err, catalog.KindWarehouseChanged, fmt.Sprintf("generation %d and not 0", old))
	y.site.PutPolicies("w", `forbid (principal, action, resource is Floeberg::Table);`)
	index, err := y.Delete(t.Context(), by(""), "w", &old)
	if err != nil || index == 0 {
		t.Fatal(index, err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimPrefix(made.Root, "file://"), "*", "*", "metadata", "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("of the files in the store there are %v, %v", files, err)
	}
	if err := y.load("w"); catalog.KindOf(err) != catalog.KindNoSuchWarehouse {
		t.Errorf("got %v", err)
	}

	// Another one of the name has none of its policies.
	again := y.create(y.folder("w"))
	if again.Generation <= made.Generation || bytes.Equal(y.record("w").GetId(), nil) {
		t.Errorf("got %+v", again)
	}
	v, err := y.site.Log.State()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, _, ok, err := v.PolicySet("w"); ok || err != nil {
		t.Errorf("it has policies: %v, %v", ok, err)
	}
	if empty, err := v.Empty(state.PolicyVersionsOf("w")); !empty || err != nil {
		t.Errorf("it has a history of policies: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	made := y.site.Made()
	y.create(warehouse.Create{Name: "w", Root: made + "/w", AllowedRoots: []string{made + "/more"}})
	s3 := &warehouse.Credentials{AccessKeyID: "k", SecretAccessKey: "s"}
	for name, c := range map[string]struct {
		q    warehouse.Create
		kind catalog.Kind
		says string
	}{
		"no name":            {warehouse.Create{Root: made + "/x"}, catalog.KindInvalid, "1 to 128"},
		"a path as name":     {warehouse.Create{Name: "a/b", Root: made + "/x"}, catalog.KindInvalid, "ASCII"},
		"a dot first":        {warehouse.Create{Name: "..", Root: made + "/x"}, catalog.KindInvalid, "letter or digit first"},
		"looks alike":        {warehouse.Create{Name: "prоd", Root: made + "/x"}, catalog.KindInvalid, "ASCII"},
		"a word of paths":    {warehouse.Create{Name: "config", Root: made + "/x"}, catalog.KindInvalid, "fixed part"},
		"no root":            {warehouse.Create{Name: "x", Root: ""}, catalog.KindInvalid, "empty"},
		"dots in the root":   {warehouse.Create{Name: "x", Root: made + "/w/../x"}, catalog.KindInvalid, `".."`},
		"another's root":     {warehouse.Create{Name: "x", Root: made + "/w"}, catalog.KindWarehouseRefused, "of another warehouse"},
		"with a slash":       {warehouse.Create{Name: "x", Root: made + "/w/"}, catalog.KindWarehouseRefused, "of another warehouse"},
		"in another's":       {warehouse.Create{Name: "x", Root: made + "/more/x"}, catalog.KindWarehouseRefused, "of another warehouse"},
		"around all others":  {warehouse.Create{Name: "x", Root: made}, catalog.KindInvalid, "keep for themselves"},
		"around another's":   {warehouse.Create{Name: "x", Root: made + "/x", AllowedRoots: []string{made + "/w/ns"}}, catalog.KindWarehouseRefused, "of another warehouse"},
		"not below a place":  {warehouse.Create{Name: "x", Root: y.site.Root + "/x"}, catalog.KindInvalid, "--warehouse-locations"},
		"beside a place":     {warehouse.Create{Name: "x", Root: made + "-evil/x"}, catalog.KindInvalid, "--warehouse-locations"},
		"the nodes' own":     {warehouse.Create{Name: "x", Root: made + "/kept/x"}, catalog.KindInvalid, "keep for themselves"},
		"the nodes' rights":  {warehouse.Create{Name: "x", Root: "s3://lake/x"}, catalog.KindInvalid, "the nodes' own credentials"},
		"endpoint alone":     {warehouse.Create{Name: "x", Root: "s3://lake/x", Endpoint: "http://evil"}, catalog.KindInvalid, "needs credentials"},
		"a folder's key":     {warehouse.Create{Name: "x", Root: made + "/x", Credentials: s3}, catalog.KindInvalid, "without credentials"},
		"a folder's region":  {warehouse.Create{Name: "x", Root: made + "/x", Region: "r"}, catalog.KindInvalid, "region"},
		"another's key":      {warehouse.Create{Name: "x", Root: "gs://lake/x", Credentials: s3}, catalog.KindInvalid, "none for gs://"},
		"half a key":         {warehouse.Create{Name: "x", Root: "s3://lake/x", Credentials: &warehouse.Credentials{AccessKeyID: "k"}}, catalog.KindInvalid, "both needed"},
		"two kinds of store": {warehouse.Create{Name: "x", Root: "s3://lake/x", AllowedRoots: []string{made + "/x"}, Credentials: s3}, catalog.KindInvalid, "another kind of store"},
		"a bad endpoint":     {warehouse.Create{Name: "x", Root: "s3://lake/x", Endpoint: "http://u:p@h/", Credentials: s3}, catalog.KindStoreRefused, "can't be opened"},
		"a google command": {warehouse.Create{Name: "x", Root: "gs://lake/x", Credentials: &warehouse.Credentials{
			ServiceAccountKey: `{"type": "external_account", "credential_source": {"executable": {"command": "/bin/sh"}}}`,
		}}, catalog.KindInvalid, "not the key file of a service account"},
		"a token from elsewhere": {warehouse.Create{Name: "x", Root: "gs://lake/x", Credentials: &warehouse.Credentials{
			ServiceAccountKey: `{"type": "service_account", "client_email": "a@b", "token_uri": "http://169.254.169.254/"}`,
		}}, catalog.KindInvalid, "not Google"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := y.Create(t.Context(), by(""), c.q)
			refused(t, err, c.kind, c.says)
		})
	}
	if list, err := y.List(t.Context(), catalog.Read{}, catalog.Page{Paged: true}); err != nil || len(list.Warehouses) != 3 {
		t.Errorf("got %+v, %v", list, err)
	}
}

// Of warehouses that meet, and are asked for at once, one is made.
func TestWarehousesThatMeetAreMadeOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 8 {
		wg.Go(func() {
			root := y.site.Made() + "/meet"
			for range i % 3 {
				root += "/deeper"
			}
			_, err := y.site.Warehouses(y.cat).Create(t.Context(), by(""), warehouse.Create{Name: fmt.Sprint("w", i), Root: root})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if catalog.KindOf(err) != catalog.KindWarehouseRefused {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("%d were made", made)
	}
}

// Credentials are tried before anything is made, are sealed, and are shown to nobody.
func TestCredentials(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	s3 := newFakeS3(t, "key-1")
	_, err := y.Create(t.Context(), by(""), s3.bucket("w", "key-0"))
	refused(t, err, catalog.KindStoreRefused, "An object can't be written below s3://lake/w")
	if strings.Contains(err.Error(), plainSecret) {
		t.Errorf("the refusal tells the secret: %v", err)
	}
	s3.takes("key-1", "GET")
	_, err = y.Create(t.Context(), by(""), s3.bucket("w", "key-1"))
	refused(t, err, catalog.KindStoreRefused, "can't be read")
	s3.takes("key-1", "DELETE")
	_, err = y.Create(t.Context(), by(""), s3.bucket("w", "key-1"))
	refused(t, err, catalog.KindStoreRefused, "can't be deleted")
	s3.takes("key-1", "")
	before, _ := s3.left()
	made := y.create(s3.bucket("w", "key-1"))
	if made.Credentials != "access key key-1" || made.Endpoint != s3.URL || made.Region != "eu-test-1" || !made.PathStyle {
		t.Errorf("got %+v", made)
	}
	if after, _ := s3.left(); after != before {
		t.Errorf("%d objects are left of the trial", after-before)
	}
	rec, err := proto.Marshal(y.record("w"))
	if err != nil || bytes.Contains(rec, []byte(plainSecret)) {
		t.Errorf("the record has the secret in the clear: %v", err)
	}
	y.table("w")

	// Keys are changed on the store first, then here.
	s3.takes("key-2", "")
	_, err = y.Update(t.Context(), by(""), warehouse.Update{Name: "w", AllowedRoots: &[]string{"s3://more"}})
	refused(t, err, catalog.KindStoreRefused, "can't be written")
	changed, err := y.Update(t.Context(), by(""), warehouse.Update{Name: "w", Credentials: &warehouse.Credentials{AccessKeyID: "key-2", SecretAccessKey: plainSecret}})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Credentials != "access key key-2" || changed.Generation <= made.Generation || changed.Changed.IsZero() {
		t.Errorf("got %+v", changed)
	}
	updates, err := iceberg.ParseUpdates([]byte(`[{"action": "set-properties", "updates": {"a": "b"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	commit := catalog.CommitTable{Identifier: catalog.Identifier{Namespace: []string{"ns"}, Name: "t"}, Updates: updates}
	if _, err := y.cat.CommitTable(t.Context(), by(""), "w", commit); err != nil {
		t.Error(err)
	}
	// What is kept goes to where it was given for.
	elsewhere := "http://127.0.0.1:1"
	_, err = y.Update(t.Context(), by(""), warehouse.Update{Name: "w", Endpoint: &elsewhere})
	refused(t, err, catalog.KindInvalid, "needs the credentials again")
	_, err = y.Update(t.Context(), by(""), warehouse.Update{Name: "w", NodeCredentials: true})
	refused(t, err, catalog.KindInvalid, "the nodes' own credentials")

	// A store that is not there is none of the request's faults.
	s3.Close()
	_, err = y.Create(t.Context(), by(""), s3.bucket("x", "key-2"))
	refused(t, err, catalog.KindUnavailable, "try again")
	for _, text := range []string{fmt.Sprint(s3.bucket("x", "k").Credentials), fmt.Sprintf("%#v", *s3.bucket("x", "k").Credentials), fmt.Sprintf("%+v", s3.bucket("x", "k"))} {
		if strings.Contains(text, plainSecret) {
			t.Errorf("formatted they are %s", text)
		}
	}
}

// Where tables may lie is narrowed: at once, for what was there before too.
func TestUpdateNarrows(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	more := y.site.Made() + "/more"
	q := y.folder("w")
	q.AllowedRoots = []string{more, more + "/"}
	made := y.create(q)
	same(t, "the allowed roots", []string{more}, made.AllowedRoots)
	ns, id := []string{"ns"}, catalog.Identifier{Namespace: []string{"ns"}, Name: "t"}
	if _, err := y.cat.CreateNamespace(t.Context(), by(""), "w", ns, nil); err != nil {
		t.Fatal(err)
	}
	table := catalog.CreateTable{
		Identifier: id, Location: more + "/t",
		Schema: []byte(`{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","type":"long","required":true}]}`),
	}
	before, err := y.cat.CreateTable(t.Context(), by(""), "w", table)
	if err != nil {
		t.Fatal(err)
	}
	narrow := warehouse.Update{Name: "w", AllowedRoots: &[]string{}, Expect: &made.Generation}
	changed, err := y.Update(t.Context(), by("k"), narrow)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the allowed roots", 0, len(changed.AllowedRoots))
	again, err := y.Update(t.Context(), by("k"), narrow)
	if err != nil {
		t.Fatal(err)
	}
	again.Index, changed.Index = 0, 0
	same(t, "the repeat", changed, again)
	_, err = y.Update(t.Context(), by(""), narrow)
	refused(t, err, catalog.KindWarehouseChanged, "ask again with that generation")
	if same, err := y.Update(t.Context(), by(""), warehouse.Update{Name: "w", AllowedRoots: &[]string{}}); err != nil || same.Generation != changed.Generation {
		t.Errorf("a change of nothing: %+v, %v", same, err)
	}

	refused(t, y.load("w"), catalog.KindForbiddenLocation, "any more")
	_, err = y.cat.CommitTable(t.Context(), by(""), "w", catalog.CommitTable{Identifier: id})
	refused(t, err, catalog.KindForbiddenLocation, "any more")
	table.Name = "other"
	_, err = y.cat.CreateTable(t.Context(), by(""), "w", table)
	refused(t, err, catalog.KindForbiddenLocation, "not below the warehouse's root")
	_, err = y.cat.DropTable(t.Context(), by(""), "w", id, true)
	refused(t, err, catalog.KindForbiddenLocation, "any more")

	// Another warehouse may lie there now. It does not reach into what was there.
	y.create(warehouse.Create{Name: "x", Root: more + "/x"})
	if _, err := y.Update(t.Context(), by(""), warehouse.Update{Name: "w", AllowedRoots: &[]string{more}}); err == nil {
		t.Error("it has another's place back")
	} else {
		refused(t, err, catalog.KindWarehouseRefused, "of another warehouse")
	}
	if _, err := y.cat.DropTable(t.Context(), by(""), "w", id, false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(strings.TrimPrefix(before.MetadataLocation, "file://")); err != nil {
		t.Error(err)
	}

	// That of the settings can be given and taken further places, and nothing else.
	if _, err := y.Update(t.Context(), by(""), warehouse.Update{Name: "default", AllowedRoots: &[]string{y.site.Made() + "/d"}}); err != nil {
		t.Error(err)
	}
	region := "r"
	_, err = y.Update(t.Context(), by(""), warehouse.Update{Name: "default", Region: &region})
	refused(t, err, catalog.KindWarehouseRefused, "nodes' settings")
	_, err = y.Update(t.Context(), by(""), warehouse.Update{Name: "default", AllowedRoots: &[]string{y.site.Root + "/d"}})
	refused(t, err, catalog.KindInvalid, "--warehouse-locations")
}

// Below what files of dropped tables are being deleted stays.
func TestPurgesKeepTheWarehouse(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.create(y.folder("w"))
	y.table("w")
	if _, err := y.cat.DropTable(t.Context(), by(""), "w", catalog.Identifier{Namespace: []string{"ns"}, Name: "t"}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := y.cat.DropNamespace(t.Context(), by(""), "w", []string{"ns"}); err != nil {
		t.Fatal(err)
	}
	_, err := y.Delete(t.Context(), by(""), "w", nil)
	refused(t, err, catalog.KindWarehouseRefused, "are being deleted")
	tasks, err := y.cat.ListTasks(t.Context(), catalog.Read{}, "", catalog.Page{Paged: true})
	if err != nil || len(tasks.Tasks) != 1 {
		t.Fatal(tasks, err)
	}
	if _, err := y.cat.CancelTask(t.Context(), by(""), tasks.Tasks[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Delete(t.Context(), by(""), "w", nil); err != nil {
		t.Error(err)
	}
}

// A request is carried out once; what belonged to a warehouse that is gone is no answer
// for one that has its name.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	create := func(key string) (*warehouse.Info, error) {
		return y.Create(t.Context(), by(key), y.folder("w"))
	}
	first, err := create("1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := create("1")
	if err != nil {
		t.Fatal(err)
	}
	first.Index, again.Index = 0, 0
	same(t, "the repeat", first, again)

	if _, err := y.cat.CreateNamespace(t.Context(), by("2"), "w", []string{"ns"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := y.cat.DropNamespace(t.Context(), by("3"), "w", []string{"ns"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := y.Delete(t.Context(), by("4"), "w", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := create("5"); err != nil {
		t.Fatal(err)
	}
	_, err = y.cat.CreateNamespace(t.Context(), by("2"), "w", []string{"ns"}, nil)
	refused(t, err, catalog.KindKeyReused, "is gone")
	_, err = y.Delete(t.Context(), by("4"), "w", nil)
	refused(t, err, catalog.KindKeyReused, "is gone")
}
