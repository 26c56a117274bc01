package storage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// gcsDialect speaks the JSON API of Google Cloud Storage. Its client library would
// add more to the program than everything else in it.
type gcsDialect struct {
	client   *http.Client
	endpoint string
	tokens   *bearer // nil where no credentials are sent
}

// gcsBatch is how many objects one request may name: Google's own limit.
const gcsBatch = 100

// send sends a request and gives its answer if that is a success.
func (g *gcsDialect) send(ctx context.Context, method, path string, query url.Values, header http.Header, body ...[]byte) (*http.Response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	response, err := g.ask(ctx, method, path, header, body...)
	if err == nil && response.StatusCode/100 != 2 {
		return nil, classifyGCS(response)
	}
	return response, err
}

// ask sends a request and gives its answer, whatever that is.
func (g *gcsDialect) ask(ctx context.Context, method, path string, header http.Header, body ...[]byte) (*http.Response, error) {
	r, err := newWebRequest(ctx, method, g.endpoint+path, body...)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", userAgent)
	// Objects come as they are stored, even where that is with an encoding.
	r.Header.Set("Accept-Encoding", "gzip")
	if g.tokens != nil {
		token, err := g.tokens.get(ctx)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := exchange(g.client, r)
	if err != nil {
		return nil, classifyTransport(err)
	}
	return response, nil
}

// gcsObject is the path of an object.
func gcsObject(location string) string {
	bucket, key := splitBucket(location)
	return gcsBucket(bucket) + "/" + url.PathEscape(key)
}

func gcsBucket(bucket string) string { return "/storage/v1/b/" + url.PathEscape(bucket) + "/o" }

// onlyIfNew is the condition under which objects are written.
func onlyIfNew(uploadType string) url.Values {
	return url.Values{"uploadType": {uploadType}, "ifGenerationMatch": {"0"}, "fields": {"name"}}
}

// gcsResource is what is told of an object when it is written.
type gcsResource struct {
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	MD5         string `json:"md5Hash,omitempty"`
}

func (g *gcsDialect) create(ctx context.Context, location string, body []byte) error {
	bucket, key := splitBucket(location)
	about, err := json.Marshal(gcsResource{Name: key, ContentType: contentType(key), MD5: md5Of(body)})
	if err != nil {
		return err
	}
	boundary := rand.Text()
	head := fmt.Appendf(nil, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n",
		boundary, about, boundary, contentType(key))
	header := http.Header{"Content-Type": {"multipart/related; boundary=" + boundary}}
	response, err := g.send(ctx, http.MethodPost, "/upload"+gcsBucket(bucket), onlyIfNew("multipart"), header,
		head, body, fmt.Appendf(nil, "\r\n--%s--\r\n", boundary))
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

func (g *gcsDialect) fetch(ctx context.Context, location string, header http.Header) (*http.Response, error) {
	return g.send(ctx, http.MethodGet, gcsObject(location), url.Values{"alt": {"media"}}, header)
}

func (g *gcsDialect) look(ctx context.Context, location string) error {
	response, err := g.send(ctx, http.MethodGet, gcsObject(location), url.Values{"fields": {"name"}}, nil)
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

func (g *gcsDialect) erase(ctx context.Context, location string) error {
	response, err := g.send(ctx, http.MethodDelete, gcsObject(location), nil, nil)
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

func (g *gcsDialect) batch() int { return gcsBatch }

func (g *gcsDialect) eraseMany(ctx context.Context, _ string, locations []string) ([]string, error) {
	requests := make([]*http.Request, len(locations))
	for i, location := range locations {
		r, err := newWebRequest(ctx, http.MethodDelete, g.endpoint+gcsObject(location))
		if err != nil {
			return nil, err
		}
		requests[i] = r
	}
	kind, body := batchBody(requests, "<%d>")
	response, err := g.send(ctx, http.MethodPost, "/batch/storage/v1", nil, http.Header{"Content-Type": {kind}}, body)
	if err != nil {
		return nil, err
	}
	statuses, err := batchStatuses(response)
	if err != nil {
		return nil, err
	}
	return unconfirmed(locations, statuses), nil
}

func (g *gcsDialect) page(ctx context.Context, location, from string) ([]Object, string, error) {
	bucket, key := splitBucket(location)
	query := url.Values{"maxResults": {strconv.Itoa(pageSize)}, "fields": {"items(name,size,updated),nextPageToken"}}
	if key != "" {
		query.Set("prefix", key+"/") // Not the neighbours whose names start alike.
	}
	if from != "" {
		query.Set("pageToken", from)
	}
	response, err := g.send(ctx, http.MethodGet, gcsBucket(bucket), query, nil)
	if err != nil {
		return nil, "", err
	}
	body, err := readAnswer(response)
	if err != nil {
		return nil, "", err
	}
	var listed struct {
		Items []struct {
			Name    string
			Size    int64 `json:",string"`
			Updated time.Time
		}
		NextPageToken string
	}
	if err := json.Unmarshal(body, &listed); err != nil {
		return nil, "", &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store's listing can't be read: %w", err), retry: true}
	}
	objects := make([]Object, 0, len(listed.Items))
	for _, item := range listed.Items {
		if strings.HasSuffix(item.Name, "/") {
			continue // A folder's marker, no object.
		}
		objects = append(objects, Object{Location: schemeGCS + "://" + bucket + "/" + item.Name, Size: item.Size, Modified: item.Updated})
	}
	return objects, listed.NextPageToken, nil
}

func (g *gcsDialect) renew() {
	if g.tokens != nil {
		g.tokens.drop()
	}
}

// classifyGCS reads an answer that is no success.
func classifyGCS(response *http.Response) error {
	body, err := readAnswer(response)
	if err != nil {
		return err
	}
	var said struct {
		Error struct {
			Message string
			Errors  []struct{ Reason string }
		}
	}
	r := refusal{status: response.StatusCode}
	// Proxies answer in other ways, whose words would not help.
	if json.Unmarshal(body, &said) == nil {
		r.message = said.Error.Message
		if len(said.Error.Errors) > 0 {
			r.code = said.Error.Errors[0].Reason
		}
	}
	switch {
	case r.status == http.StatusNotFound && strings.Contains(r.message, "bucket does not exist"):
		return noBucket(ErrNotFound)
	case r.code == "rateLimitExceeded", r.code == "userRateLimitExceeded":
		return &failure{kind: ErrUnavailable, cause: r.cause(), retry: true}
	}
	return r.classify()
}
