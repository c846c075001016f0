package httpserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is that of the body's first GraphQL error.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var response struct {
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal([]byte(a.body), &response); err != nil || len(response.Errors) == 0 {
		t.Fatalf("body %q: no GraphQL error: %v", a.body, err)
	}
	return response.Errors[0].Extensions.Code
}

func send(t *testing.T, h http.Handler, method, target, body string, header http.Header) answer {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Result().Header, body: w.Body.String()}
}
