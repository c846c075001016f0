package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// browser is a client with cookies that remembers all that it was sent.
type browser struct {
	client *http.Client
	w      *world
	token  string // sent as bearer, where there is one

	mu   sync.Mutex
	seen strings.Builder // every response, headers and body, but for Set-Cookie
	jar  []string        // every value of a cookie that was set
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{w: w, client: &http.Client{
		Jar:           jar,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send sends the request and returns the response with its body read.
func (b *browser) send(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, body, err := b.do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return resp, body
}

func (b *browser) do(req *http.Request) (*http.Response, string, error) {
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, values := range resp.Header {
		if name != "Set-Cookie" {
			b.seen.WriteString(name + ": " + strings.Join(values, "\n") + "\n")
		}
	}
	b.seen.Write(body)
	for _, cookie := range resp.Cookies() {
		if cookie.Value != "" {
			b.jar = append(b.jar, cookie.Value)
		}
	}
	return resp, string(body), nil
}

// bearer makes it an app, which sends the session's token itself.
func (b *browser) bearer(token string) { b.token = token }

func (b *browser) get(t *testing.T, target string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.send(t, req)
}

func (b *browser) post(t *testing.T, target, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	return b.send(t, req)
}

// callback goes to the provider and comes back: it returns the callback's URL,
// not opened yet.
func (b *browser) callback(t *testing.T, loginURL string) *url.URL {
	t.Helper()
	resp, body := b.get(t, loginURL)
	target, err := resp.Location()
	if err != nil {
		t.Fatalf("login answers %d: %s", resp.StatusCode, body)
	}
	return b.w.visit(t, target.String())
}

// signIn signs Alice in, wants it to succeed, and returns where it ends.
func (b *browser) signIn(t *testing.T, loginURL string) string {
	t.Helper()
	resp, body := b.get(t, b.callback(t, loginURL).String())
	if resp.StatusCode != http.StatusSeeOther || b.session() == "" {
		t.Fatalf("the callback answers %d: %s", resp.StatusCode, body)
	}
	return resp.Header.Get("Location")
}

// session is the session cookie's value.
func (b *browser) session() string {
	at, err := url.Parse(b.w.url)
	if err != nil {
		return ""
	}
	for _, cookie := range b.client.Jar.Cookies(at) {
		if cookie.Name == "galaxygate" {
			return cookie.Value
		}
	}
	return ""
}

// result is a GraphQL response.
type result struct {
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
}

// at returns what stands at the path of names and indexes; nil where nothing.
func (r result) at(path ...any) any {
	var value any = r.Data
	for _, step := range path {
		switch s := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			value = object[s]
		case int:
			list, _ := value.([]any)
			if s >= len(list) {
				return nil
			}
			value = list[s]
		}
	}
	return value
}

// code returns the code and the extensions of the error at the field, empty
// where there is none.
func (r result) code(field string) (string, map[string]any) {
	for _, e := range r.Errors {
		if len(e.Path) > 0 && e.Path[len(e.Path)-1] == field {
			code, _ := e.Extensions["code"].(string)
			return code, e.Extensions
		}
	}
	return "", nil
}

// query asks the gateway as a client does.
func (b *browser) query(t *testing.T, document string) result {
	t.Helper()
	encoded, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	resp, body := b.post(t, b.w.url+"/graphql", "application/json", string(encoded))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("query answers %d: %s", resp.StatusCode, body)
	}
	var r result
	if err := json.NewDecoder(bytes.NewBufferString(body)).Decode(&r); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	return r
}
