package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestOnlyTheAnswerWithTheStateCounts(t *testing.T) {
	answers := make(chan url.Values, 1)
	handler := callback("right", answers)
	for _, tt := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/callback?code=forged", http.StatusBadRequest},
		{"GET", "/callback?code=forged&state=", http.StatusBadRequest},
		{"GET", "/callback?code=forged&state=wrong", http.StatusBadRequest},
		{"GET", "/callback?error=access_denied&state=wrong", http.StatusBadRequest},
		{"POST", "/callback?code=forged&state=right", http.StatusMethodNotAllowed},
		{"GET", "/favicon.ico?code=forged&state=right", http.StatusNotFound},
		{"GET", "/callback?code=first&state=right", http.StatusOK},
		{"GET", "/callback?code=second&state=right", http.StatusOK}, // a page that is loaded again
	} {
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequest(tt.method, tt.target, nil))
		if response.Code != tt.status {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.target, response.Code, tt.status)
		}
	}
	if got := (<-answers).Get("code"); got != "first" {
		t.Errorf("the code is %q", got)
	}
}
