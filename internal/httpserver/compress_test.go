package httpserver_test

import (
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/httpserver"
)

// sized answers with as many bytes as the URL's query says, of that media type.
func sized(media string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.RawQuery)
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Length", r.URL.RawQuery)
		w.Header().Set("ETag", `"x"`)
		w.Header().Add("Vary", "Accept")
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})
}

func TestCompression(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		path   string
		accept string
		header http.Header
		gzip   bool
	}{
		{name: "JSON of some size", path: "/json?5000", accept: "gzip", gzip: true},
		{name: "as browsers ask for it", path: "/json?5000", accept: "gzip, deflate, br, zstd", gzip: true},
		{name: "the smallest", path: "/json?1024", accept: "gzip", gzip: true},
		{name: "less", path: "/json?1023", accept: "gzip"},
		{name: "a client that does not ask", path: "/json?5000"},
		{name: "a client that excludes it", path: "/json?5000", accept: "gzip;q=0, identity"},
		{name: "HEAD", method: "HEAD", path: "/json?5000", accept: "gzip"},
		{name: "a picture", path: "/picture?5000", accept: "gzip"},
		{name: "a stream", path: "/stream?5000", accept: "gzip"},
		{name: "a connection to be taken over", path: "/json?5000", accept: "gzip", header: http.Header{"Upgrade": {"websocket"}}},
	}
	h := newPublic(func(p *httpserver.Public) {
		p.Routes["/json"] = sized("application/json; charset=utf-8")
		p.Routes["/picture"] = sized("image/png")
		p.Routes["/stream"] = sized("text/event-stream")
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for name, values := range tt.header {
				header[name] = values
			}
			if tt.accept != "" {
				header.Set("Accept-Encoding", tt.accept)
			}
			_, query, _ := strings.Cut(tt.path, "?")
			got := send(t, h, cmp.Or(tt.method, http.MethodGet), tt.path, "", header)
			length, etag, body := query, `"x"`, got.body
			if tt.gzip {
				length, etag, body = "", `"x-gzip"`, unpack(t, got.body)
			}
			if (got.header.Get("Content-Encoding") == "gzip") != tt.gzip || got.header.Get("Content-Length") != length || got.header.Get("ETag") != etag {
				t.Errorf("got %v", got.header)
			}
			if tt.method != http.MethodHead && strconv.Itoa(len(body)) != query {
				t.Errorf("got %d bytes, want %s", len(body), query)
			}
		})
	}
}

func TestAStreamIsNotHeldBack(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "identity"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(newPublic(func(p *httpserver.Public) {
				p.Routes["/stream"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, "event: next\n\n")
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Errorf("flush: %v", err)
					}
					<-r.Context().Done() // until the client has read it, and goes
				})
			}))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/stream", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", encoding)
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			event := make([]byte, len("event: next\n\n"))
			if _, err := io.ReadFull(response.Body, event); err != nil || response.Header.Get("Content-Encoding") != "" {
				t.Errorf("got %q, %v, %v", event, response.Header, err)
			}
			cancel()
		})
	}
}

func TestVaryNamesEachHeaderOnce(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) { p.Routes["/json"] = sized("application/json") })
	got := send(t, h, http.MethodGet, "/json?5000", "", http.Header{"Accept-Encoding": {"gzip"}, "Origin": {allowedOrigin}})
	if vary := strings.Join(got.header.Values("Vary"), ", "); vary != "Origin, Accept-Encoding, Accept" {
		t.Errorf("Vary: got %q", vary)
	}
}

func TestCompressionOfAnAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	h := newPublic(func(p *httpserver.Public) {
		p.Routes["/breaks"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			panic("unspeakable")
		})
	})
	defer func() {
		if recover() == nil {
			t.Error("a broken answer passed for a whole one")
		}
	}()
	send(t, h, http.MethodGet, "/breaks", "", http.Header{"Accept-Encoding": {"gzip"}})
}

func unpack(t *testing.T, compressed string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
