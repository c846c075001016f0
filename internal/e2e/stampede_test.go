package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestManyRequestsAtExpiryCauseOneRefresh sends 500 requests when the token has
// just expired, of which a tenth are cancelled by their callers.
func TestManyRequestsAtExpiryCauseOneRefresh(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]func(t *testing.T) *world{
		"sqlite and rollup":   func(t *testing.T) *world { return found(t, sqlite(t), rollup, nil) },
		"postgres and strict": func(t *testing.T) *world { return found(t, postgres(t), strict, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stampede(t, w(t))
		})
	}
}

func stampede(t *testing.T, w *world) {
	t.Helper()
	const requests = 500
	b := w.browser(t)
	w.setLife(time.Second)
	b.signIn(t, w.url+"/auth/login")
	signedIn := time.Now()
	w.setLife(time.Hour)
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })

	var all sync.WaitGroup
	failures := make(chan string, requests)
	for i := range requests {
		all.Go(func() {
			ctx := t.Context()
			if i%10 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*100*time.Microsecond)
				defer cancel()
			}
			if failure := ask(ctx, b); failure != "" && ctx.Err() == nil {
				failures <- fmt.Sprintf("request %d: %s", i, failure)
			}
		})
	}
	all.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	if n := w.refreshes(); n != 1 {
		t.Errorf("the refresh token was presented %d times", n)
	}
}

// ask queries a field that needs the token, and says what went wrong.
func ask(ctx context.Context, b *browser) string {
	body := strings.NewReader(`{"query":"{ viewer { name } }"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.w.url+"/graphql", body)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	answer := make([]byte, 1<<10)
	n, err := resp.Body.Read(answer)
	if text := string(answer[:n]); !strings.Contains(text, `"name":"Alice`) {
		return fmt.Sprintf("%d %s %v", resp.StatusCode, text, errors.Unwrap(err))
	}
	return ""
}
