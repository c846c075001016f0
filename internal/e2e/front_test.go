package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// disturbance is what a front does to the provider behind it.
type disturbance string

const (
	none disturbance = ""
	// withholding lets refreshes take effect and keeps their replies back until
	// it ends, or their client is gone.
	withholding disturbance = "withholding"
	// refusing answers refreshes with 503 and asks for 5 s of patience.
	refusing disturbance = "refusing"
	// hiding answers discovery with 503.
	hiding disturbance = "hiding"
)

// front stands before a provider. It sees every presentation of a refresh token,
// and can get in the way.
type front struct {
	provider http.Handler
	arrived  atomic.Pointer[func(*http.Request)] // called with every request, where it is set

	mu        sync.Mutex
	disturbed disturbance
	ended     chan struct{}  // closed with the disturbance
	presented map[string]int // how often each refresh token was
	count     presentations
}

// presentations are counts of presented refresh tokens.
type presentations struct {
	total      int
	repeated   int // of a token that had been presented before
	live       int // under way
	overlapped int // begun while another was under way
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if arrived := f.arrived.Load(); arrived != nil {
		(*arrived)(r)
	}
	token, err := refreshToken(r)
	if err != nil {
		http.Error(w, "cannot read the body", http.StatusBadRequest)
		return
	}
	disturbed, ended := f.arrive(token)
	if token == "" {
		if disturbed == hiding && strings.HasPrefix(r.URL.Path, "/.well-known/") {
			http.Error(w, "hiding", http.StatusServiceUnavailable)
			return
		}
		f.provider.ServeHTTP(w, r)
		return
	}
	defer f.leave()
	switch disturbed {
	case withholding:
		answer := httptest.NewRecorder()
		f.provider.ServeHTTP(answer, r)
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-ended:
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	case refusing:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "refusing", http.StatusServiceUnavailable)
	default:
		f.provider.ServeHTTP(w, r)
	}
}

// refreshToken is the token that the request presents, if it is a refresh.
func refreshToken(r *http.Request) (string, error) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/token") {
		return "", nil
	}
	// The whole body: only after it does a server notice that its client is gone.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("grant_type") != "refresh_token" {
		return "", nil //nolint:nilerr // the provider is to say what is wrong with it
	}
	return form.Get("refresh_token"), nil
}

func (f *front) arrive(token string) (disturbance, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if token == "" {
		return f.disturbed, f.ended
	}
	if f.presented == nil {
		f.presented = map[string]int{}
	}
	f.count.total++
	if f.presented[token]++; f.presented[token] > 1 {
		f.count.repeated++
	}
	if f.count.live++; f.count.live > 1 {
		f.count.overlapped++
	}
	return f.disturbed, f.ended
}

func (f *front) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.live--
}

// disturb ends one disturbance and begins another.
func (f *front) disturb(d disturbance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != nil {
		close(f.ended)
	}
	f.disturbed, f.ended = d, make(chan struct{})
}

// presentations are those so far.
func (f *front) presentations() presentations {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}
