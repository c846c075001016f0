package playground

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed assets/*.css assets/*.js assets/*.txt web
var files embed.FS

// AssetsPath is the prefix under which the page's files are served.
const AssetsPath = "/-/playground/"

// asset is one file that the page loads.
type asset struct {
	url         string // changes with the content
	etag        string
	contentType string
	content     []byte
	compressed  func() []byte // gzip, made once when first asked for
}

// loadAssets returns the assets by the names of their files. The page's own scripts
// import each other by relative URLs, so they are served under a hash of them all.
func loadAssets() (map[string]asset, error) {
	out := map[string]asset{}
	for _, pattern := range []string{"assets/*", "web/*.css", "web/*.js"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", pattern, err)
		}
		contents := make(map[string][]byte, len(names))
		var all []byte
		for _, name := range names {
			content, err := files.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("read asset: %w", err)
			}
			contents[name] = content
			all = append(all, content...)
		}
		for name, content := range contents {
			directory := hash(content)
			if pattern == "web/*.js" {
				directory = hash(all)
			}
			out[path.Base(name)] = newAsset(directory, path.Base(name), content)
		}
	}
	return out, nil
}

func newAsset(directory, name string, content []byte) asset {
	return asset{
		url:         AssetsPath + directory + "/" + name,
		etag:        `"` + hash(content) + `"`,
		contentType: contentType(name),
		content:     content,
		compressed:  sync.OnceValue(func() []byte { return compress(content) }),
	}
}

// hash is part of the content's SHA-256, in hexadecimal.
func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	default:
		return "text/plain; charset=utf-8"
	}
}

func compress(content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(content) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// ServeHTTP serves the asset, compressed where the client takes gzip. Its URL
// names its content, so it is cached for good. That answers vary by what a client
// takes says whoever compresses the others.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Del("Set-Cookie") // a cache that many share would give it to all of them
	if !takesGzip(r) {
		h.Set("ETag", a.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
		return
	}
	h.Set("Content-Encoding", "gzip")
	h.Set("ETag", strings.TrimSuffix(a.etag, `"`)+`-gzip"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.compressed()))
}

// takesGzip reports whether gzip is among the encodings that the client names,
// and not excluded (RFC 9110, section 12.5.3).
func takesGzip(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(header, ",") {
			name, params, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			weight, given := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
			return !given || strings.Trim(weight, "0.") != ""
		}
	}
	return false
}
