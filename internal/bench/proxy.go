package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// serveProxy serves, until ctx ends, a reverse proxy as good as the standard
// library makes one: buffers are reused, and no connection is closed that the
// load can use again. It adds the two headers that the gateway adds.
func serveProxy(ctx context.Context, args []string, stdout io.Writer) error {
	target, err := url.Parse(args[0])
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	token, key := "Bearer "+rand.Text(), rand.Text()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header["Authorization"] = []string{token}
			r.Out.Header["X-Galaxy-Key"] = []string{key}
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 2 * connections,
			DisableCompression:  true,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Otherwise the server closes the request's body when the answer begins, which
		// the transport, where it has sent the body but not yet seen its end, takes for
		// a reason to cut the answer.
		_ = http.NewResponseController(w).EnableFullDuplex() // never refused for HTTP/1
		proxy.ServeHTTP(w, r)
	})
	return serve(ctx, stdout, func(string) (http.Handler, error) { return handler, nil })
}

// buffers is an httputil.BufferPool.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.pool.Get().(*[32 << 10]byte)[:] } // New's

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }
