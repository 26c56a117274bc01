package storage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// azureKey signs with an account's key; the key itself is never sent.
type azureKey struct{ key []byte }

func (k azureKey) sign(_ context.Context, r *http.Request, account string) error {
	r.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
	mac := hmac.New(sha256.New, k.key)
	mac.Write([]byte(azureStringToSign(r, account)))
	r.Header.Set("Authorization", "SharedKey "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

func (azureKey) renew() {}

// azureStringToSign puts a request into the form that is signed: the method,
// eleven headers by position, Azure's own headers by name, and what it is about.
func azureStringToSign(r *http.Request, account string) string {
	length := ""
	if r.ContentLength > 0 {
		length = strconv.FormatInt(r.ContentLength, 10)
	}
	lines := []string{
		r.Method,
		r.Header.Get("Content-Encoding"),
		r.Header.Get("Content-Language"),
		length,
		r.Header.Get("Content-Md5"),
		r.Header.Get("Content-Type"),
		"", // The date is among Azure's own headers.
		r.Header.Get("If-Modified-Since"),
		r.Header.Get("If-Match"),
		r.Header.Get("If-None-Match"),
		r.Header.Get("If-Unmodified-Since"),
		r.Header.Get("Range"),
	}
	var own []string
	for name, values := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			own = append(own, name+":"+strings.Join(values, ","))
		}
	}
	slices.Sort(own)
	lines = append(lines, own...)
	lines = append(lines, "/"+account+r.URL.EscapedPath())
	query := r.URL.Query()
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := slices.Clone(query[name])
		slices.Sort(values)
		lines = append(lines, strings.ToLower(name)+":"+strings.Join(values, ","))
	}
	return strings.Join(lines, "\n")
}

// azureSAS adds a shared access signature, which whoever sees it can use.
type azureSAS struct{ query url.Values }

func (s azureSAS) sign(_ context.Context, r *http.Request, _ string) error {
	query := r.URL.Query()
	for name, values := range s.query {
		query[name] = values
	}
	r.URL.RawQuery = query.Encode()
	return nil
}

func (azureSAS) renew() {}

// azureToken sends a token of Entra ID.
type azureToken struct{ tokens *bearer }

func (t azureToken) sign(ctx context.Context, r *http.Request, _ string) error {
	token, err := t.tokens.get(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

func (t azureToken) renew() { t.tokens.drop() }
