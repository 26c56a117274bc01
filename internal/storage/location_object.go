package storage

import (
	"fmt"
	"strings"
)

// What Azure takes beside a key's length.
const (
	maxAzureSegments = 254
	maxHostBytes     = 253
)

// splitBucket gives bucket and key of a canonical location of an object store;
// the key of a bucket itself is empty. On Azure the bucket is container@host.
func splitBucket(location string) (bucket, key string) {
	_, rest, _ := strings.Cut(location, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key
}

// canonicalBucket is for the stores whose locations are a bucket and a key.
func canonicalBucket(location, scheme, rest string, valid func(string) bool) (string, error) {
	after, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", invalid(location, fmt.Sprintf("it starts with %s:// and a bucket", scheme))
	}
	bucket, key, _ := strings.Cut(after, "/")
	if !valid(bucket) {
		return "", invalid(location, "its bucket name is not valid")
	}
	key, err := checkKey(location, key)
	if err != nil {
		return "", err
	}
	if key == "" {
		return reuse(location, scheme+"://", bucket), nil
	}
	return reuse(location, scheme+"://", after[:len(bucket)+1+len(key)]), nil
}

// canonicalAzure is for container@account.dfs.core.windows.net/key, as all engines
// write it. The same blobs have names on the account's blob host too, and older
// schemes for these (wasb, wasbs); they are refused, so that a place has one name.
func canonicalAzure(location, rest string) (string, error) {
	const form = "write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
	after, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", invalid(location, form)
	}
	authority, key, _ := strings.Cut(after, "/")
	container, host, ok := strings.Cut(authority, "@")
	if !ok {
		return "", invalid(location, "it names no account; "+form)
	}
	if !isBucket(container) {
		return "", invalid(location, "its container name is not valid")
	}
	lower := strings.ToLower(host)
	if !isDataLakeHost(lower) {
		return "", invalid(location, "its host is not that of an account's data lake; "+form)
	}
	key, err := checkKey(location, key)
	if err != nil {
		return "", err
	}
	if strings.Count(key, "/") >= maxAzureSegments {
		return "", invalid(location, fmt.Sprintf("its path has more than %d segments", maxAzureSegments))
	}
	// Azure drops them from what it is asked for: two names would be one place.
	if strings.HasSuffix(key, ".") || strings.Contains(key, "./") {
		return "", invalid(location, `one of its segments ends in a ".", which Azure drops`)
	}
	if lower != host {
		authority = container + "@" + lower
		after = authority + after[len(authority):]
	}
	if key == "" {
		return reuse(location, schemeAzure+"://", authority), nil
	}
	return reuse(location, schemeAzure+"://", after[:len(authority)+1+len(key)]), nil
}

// checkKey gives the key without its trailing slash.
func checkKey(location, key string) (string, error) {
	if key == "/" {
		return "", invalid(location, emptySegment)
	}
	key = strings.TrimSuffix(key, "/")
	if len(key) > maxKeyBytes {
		return "", invalid(location, fmt.Sprintf("its key is longer than %d bytes", maxKeyBytes))
	}
	return key, checkSegments(location, key, maxKeyBytes)
}

// isBucket accepts what S3 and the stores that speak its protocol accept:
// AWS's own rules, and the capitals and underscores of older buckets. Anything
// that could be read as credentials, a port or a path is refused.
func isBucket(s string) bool {
	if len(s) < 3 || len(s) > 63 || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		inner := 0 < i && i < len(s)-1 && (c == '-' || c == '.' || c == '_')
		if !alnum && !inner {
			return false
		}
	}
	return true
}

// isGCSBucket accepts Google's names: lower case, and longer than others when
// they are domains, each part of which may have 63 bytes.
func isGCSBucket(s string) bool {
	if len(s) < 3 || len(s) > 222 || !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || len(part) > 63 {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isLowerAlnum(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// isDataLakeHost accepts account.dfs.core.windows.net and its like in other
// clouds: lower-case labels, of which one after the first is "dfs".
func isDataLakeHost(host string) bool {
	labels := strings.Split(host, ".")
	lake := false
	for i, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for j := range len(label) {
			if c := label[j]; !isLowerAlnum(c) && c != '-' {
				return false
			}
		}
		lake = lake || i > 0 && i < len(labels)-1 && label == "dfs"
	}
	return lake && len(host) <= maxHostBytes
}
