package storage

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// azureVersion of the protocol is the oldest that tells folders from objects and
	// escapes names that XML can't hold.
	azureVersion = "2021-12-02"

	// azureBatch is how many objects one request may name: Azure's own limit.
	azureBatch = 256
)

// azureDialect speaks the Blob Service's REST API, which serves accounts with and
// without hierarchical namespaces, and knows conditional writes on both. The
// client library would add four megabytes to the program.
type azureDialect struct {
	client   *http.Client
	endpoint string // "" is the account's own
	signer   azureSigner
}

// azureSigner authorizes requests.
type azureSigner interface {
	// sign authorizes a request that is complete otherwise.
	sign(ctx context.Context, r *http.Request, account string) error
	// renew drops what the store no longer accepts.
	renew()
}

// azureAccount is the name of the account of a host.
func azureAccount(host string) string {
	account, _, _ := strings.Cut(host, ".")
	return account
}

// url of something in a container, with an escaped key, and the account it is in.
func (a *azureDialect) url(bucket, key string, query url.Values) (target, account string) {
	container, host, _ := strings.Cut(bucket, "@")
	base := a.endpoint
	if base == "" {
		// The same account's host for blobs, in whichever cloud it is.
		base = "https://" + strings.Replace(host, ".dfs.", ".blob.", 1)
	}
	target = base + "/" + container
	if key != "" {
		target += "/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target, azureAccount(host)
}

// send sends a request and gives its answer if that is a success.
func (a *azureDialect) send(ctx context.Context, method, bucket, key string, query url.Values, header http.Header, body ...[]byte) (*http.Response, error) {
	target, account := a.url(bucket, key, query)
	r, err := newWebRequest(ctx, method, target, body...)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("X-Ms-Version", azureVersion)
	if err := a.signer.sign(ctx, r, account); err != nil {
		return nil, err
	}
	response, err := exchange(a.client, r)
	if err != nil {
		return nil, classifyTransport(err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	return nil, classifyAzure(response)
}

// onlyIfAbsent is the condition under which blobs are written.
func onlyIfAbsent(kind string) http.Header {
	return http.Header{"If-None-Match": {"*"}, "Content-Type": {kind}}
}

func (a *azureDialect) create(ctx context.Context, location string, body []byte) error {
	bucket, key := splitBucket(location)
	header := onlyIfAbsent(contentType(key))
	header.Set("X-Ms-Blob-Type", "BlockBlob")
	header.Set("Content-Md5", md5Of(body))
	response, err := a.send(ctx, http.MethodPut, bucket, key, nil, header, body)
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

func (a *azureDialect) fetch(ctx context.Context, location string, header http.Header) (*http.Response, error) {
	bucket, key := splitBucket(location)
	response, err := a.send(ctx, http.MethodGet, bucket, key, nil, header)
	if err != nil {
		return nil, err
	}
	if isAzureFolder(response.Header) {
		return nil, errors.Join(ErrNotFound, response.Body.Close())
	}
	return response, nil
}

func (a *azureDialect) look(ctx context.Context, location string) error {
	bucket, key := splitBucket(location)
	response, err := a.send(ctx, http.MethodHead, bucket, key, nil, nil)
	if err != nil {
		return err
	}
	if isAzureFolder(response.Header) {
		err = ErrNotFound
	}
	return errors.Join(err, response.Body.Close())
}

// isAzureFolder recognizes folders of hierarchical namespaces, and what older
// programs put in place of them elsewhere.
func isAzureFolder(h http.Header) bool {
	return h.Get("X-Ms-Resource-Type") == "directory" || strings.EqualFold(h.Get("X-Ms-Meta-Hdi_isfolder"), "true")
}

func (a *azureDialect) erase(ctx context.Context, location string) error {
	bucket, key := splitBucket(location)
	response, err := a.send(ctx, http.MethodDelete, bucket, key, nil, http.Header{"X-Ms-Delete-Snapshots": {"include"}})
	if err != nil {
		return err
	}
	_, err = readAnswer(response)
	return err
}

func (a *azureDialect) batch() int { return azureBatch }

// eraseMany signs each of the requests in the batch as well as the whole.
func (a *azureDialect) eraseMany(ctx context.Context, bucket string, locations []string) ([]string, error) {
	requests := make([]*http.Request, len(locations))
	for i, location := range locations {
		_, key := splitBucket(location)
		target, account := a.url(bucket, key, nil)
		r, err := newWebRequest(ctx, http.MethodDelete, target)
		if err != nil {
			return nil, err
		}
		r.Header.Set("X-Ms-Delete-Snapshots", "include")
		if err := a.signer.sign(ctx, r, account); err != nil {
			return nil, err
		}
		requests[i] = r
	}
	kind, body := batchBody(requests, "%d")
	query := url.Values{"restype": {"container"}, "comp": {"batch"}}
	response, err := a.send(ctx, http.MethodPost, bucket, "", query, http.Header{"Content-Type": {kind}}, body)
	if err != nil {
		return nil, err
	}
	statuses, err := batchStatuses(response)
	if err != nil {
		return nil, err
	}
	return unconfirmed(locations, statuses), nil
}

// azureBlobs is a page of a listing.
type azureBlobs struct {
	Blobs struct {
		Blob []struct {
			Name struct {
				Encoded bool   `xml:",attr"`
				Text    string `xml:",chardata"`
			}
			Properties struct {
				Modified     string `xml:"Last-Modified"`
				Size         int64  `xml:"Content-Length"`
				ResourceType string
			}
			Metadata struct {
				IsFolder string `xml:"hdi_isfolder"`
			}
		}
	}
	NextMarker string
}

func (a *azureDialect) page(ctx context.Context, location, from string) ([]Object, string, error) {
	bucket, key := splitBucket(location)
	query := url.Values{"restype": {"container"}, "comp": {"list"}, "include": {"metadata"}, "maxresults": {strconv.Itoa(pageSize)}}
	if key != "" {
		query.Set("prefix", key+"/") // Not the neighbours whose names start alike.
	}
	if from != "" {
		query.Set("marker", from)
	}
	response, err := a.send(ctx, http.MethodGet, bucket, "", query, nil)
	if err != nil {
		return nil, "", err
	}
	body, err := readAnswer(response)
	if err != nil {
		return nil, "", err
	}
	objects, next, err := readAzureBlobs(bucket, body)
	if err != nil {
		return nil, "", &failure{kind: ErrUnavailable, cause: fmt.Errorf("the store's listing can't be read: %w", err), retry: true}
	}
	return objects, next, nil
}

func readAzureBlobs(bucket string, body []byte) ([]Object, string, error) {
	var listed azureBlobs
	if err := xml.Unmarshal(body, &listed); err != nil {
		return nil, "", err
	}
	objects := make([]Object, 0, len(listed.Blobs.Blob))
	for _, blob := range listed.Blobs.Blob {
		name := blob.Name.Text
		if blob.Name.Encoded {
			decoded, err := url.PathUnescape(name)
			if err != nil {
				return nil, "", err
			}
			name = decoded
		}
		if blob.Properties.ResourceType == "directory" || strings.EqualFold(blob.Metadata.IsFolder, "true") || strings.HasSuffix(name, "/") {
			continue
		}
		modified, err := time.Parse(http.TimeFormat, blob.Properties.Modified)
		if err != nil {
			return nil, "", err
		}
		objects = append(objects, Object{Location: schemeAzure + "://" + bucket + "/" + name, Size: blob.Properties.Size, Modified: modified})
	}
	return objects, listed.NextMarker, nil
}

func (a *azureDialect) renew() { a.signer.renew() }

// classifyAzure reads an answer that is no success. The code is in a header; the
// body, which the answer to HEAD lacks, explains it.
func classifyAzure(response *http.Response) error {
	body, err := readAnswer(response)
	if err != nil {
		return err
	}
	var said struct{ Code, Message string }
	r := refusal{status: response.StatusCode, code: response.Header.Get("X-Ms-Error-Code")}
	// Proxies answer in other ways, whose words would not help.
	if xml.Unmarshal(body, &said) == nil {
		r.message = said.Message
		if r.code == "" {
			r.code = said.Code
		}
	}
	switch r.code {
	case "BlobAlreadyExists", "PathAlreadyExists", "ConditionNotMet", "TargetConditionNotMet",
		// For signatures that may create and not write.
		"UnauthorizedBlobOverwrite",
		// A blob that somebody holds is there as well.
		"LeaseIdMissing":
		return &failure{kind: ErrExists, cause: errTaken}
	case "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "FilesystemNotFound":
		return noBucket(ErrNotFound)
	case "BlobNotFound", "PathNotFound", "ResourceNotFound", "DirectoryIsNotEmpty":
		return ErrNotFound
	case "InvalidResourceName", "InvalidUri", "OutOfRangeInput":
		return &failure{kind: ErrInvalidLocation, cause: r.cause()}
	case "ResourceTypeMismatch", "PathConflict":
		return &failure{kind: ErrDenied, cause: fmt.Errorf("a file is where a folder must be, or a folder where a file must be: %w", r.cause())}
	case "Md5Mismatch":
		return &failure{kind: ErrUnavailable, cause: r.cause(), retry: true}
	}
	return r.classify()
}
