package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
)

// step is something that a user does.
type step struct {
	name string
	// prepare does what goes before, and returns what is done under the fault.
	prepare func(t *testing.T, s *stage, b *browser) act
}

// act is done under a fault.
type act struct {
	// do calls strike when the fault is to begin, and returns what the client saw.
	do func(t *testing.T, strike func()) string
	// stored looks at the database under the fault, when nothing is under way any
	// more that the fault does not hold up.
	stored func(t *testing.T) string
	// presented counts what the step presents at the provider.
	presented func() int
	// after says what the user can do when the fault is gone.
	after func(t *testing.T) string
}

// login is the redirect to the provider.
func login(t *testing.T, s *stage, b *browser) act {
	t.Helper()
	before := s.count(t, "sign_in_attempts")
	return act{
		do: func(_ *testing.T, strike func()) string {
			strike()
			status, _ := b.open(s.url + "/auth/login")
			return status
		},
		stored: func(t *testing.T) string {
			t.Helper()
			return counted(s.count(t, "sign_in_attempts")-before, "nothing", "the attempt")
		},
		presented: func() int { return 0 },
		after:     func(t *testing.T) string { t.Helper(); return s.signsIn(t, b) },
	}
}

// callback is the way back from the provider.
func callback(t *testing.T, s *stage, b *browser) act {
	t.Helper()
	at := b.callback(t, s.url+"/auth/login").String()
	grant, sessions, attempts := s.grant(t), s.count(t, "sessions"), s.count(t, "sign_in_attempts")
	open := func() string {
		status, _ := b.open(at)
		if b.session() != "" {
			return "signed in"
		}
		return status
	}
	return act{
		do: func(_ *testing.T, strike func()) string {
			strike()
			return open()
		},
		stored: func(t *testing.T) string {
			t.Helper()
			return strings.Join([]string{
				counted(attempts-s.count(t, "sign_in_attempts"), "attempt kept", "attempt spent"),
				counted(s.count(t, "sessions")-sessions, "no session", "session"),
				s.since(t, grant),
			}, ", ")
		},
		presented: s.exchanges,
		after: func(t *testing.T) string {
			t.Helper()
			if b.session() == "" && open() == "signed in" {
				return "the same link works"
			}
			return s.signsIn(t, b)
		},
	}
}

// storingSignIn is a callback whose fault begins while the provider is asked.
func storingSignIn(t *testing.T, s *stage, b *browser) act {
	t.Helper()
	return s.whileAsked(callback(t, s, b))
}

// query asks both the provider and Galaxy, with a token that is valid.
func query(t *testing.T, s *stage, b *browser) act {
	t.Helper()
	b.signIn(t, s.url+"/auth/login")
	before := s.grant(t)
	return act{
		do:        func(_ *testing.T, strike func()) string { strike(); return b.sees() },
		stored:    func(t *testing.T) string { t.Helper(); return s.since(t, before) },
		presented: s.refreshes,
		after:     func(t *testing.T) string { t.Helper(); return s.recovers(t, b) },
	}
}

// refresh is three such queries at once, with a token that has expired.
func refresh(t *testing.T, s *stage, b *browser) act {
	t.Helper()
	s.signInBriefly(t, b)
	before := s.grant(t)
	return act{
		do: func(_ *testing.T, strike func()) string {
			strike()
			return thrice(b)
		},
		stored: func(t *testing.T) string {
			t.Helper()
			s.noLeaseStands(t)
			return s.since(t, before)
		},
		presented: s.refreshes,
		after:     func(t *testing.T) string { t.Helper(); return s.recovers(t, b) },
	}
}

// storingRefresh is a refresh whose fault begins while the provider is asked. It
// is one field's: others might read the database only then.
func storingRefresh(t *testing.T, s *stage, b *browser) act {
	t.Helper()
	a := refresh(t, s, b)
	a.do = func(_ *testing.T, strike func()) string {
		strike()
		return b.seesOf("name")
	}
	a = s.whileAsked(a)
	before := s.grant(t)
	a.stored = func(t *testing.T) string { t.Helper(); return s.since(t, before) } // its lease stands
	after := a.after
	a.after = func(t *testing.T) string {
		t.Helper()
		s.noLeaseStands(t)
		return s.since(t, before) + " stored, " + after(t)
	}
	return a
}

// whileAsked makes the fault of the act begin when the provider has got what is
// presented, and lets it answer then.
func (s *stage) whileAsked(a act) act {
	do := a.do
	a.do = func(t *testing.T, strike func()) string {
		t.Helper()
		s.holdTokens(true)
		before := a.presented()
		seen := make(chan string, 1)
		go func() { seen <- do(t, func() {}) }()
		eventually(t, 10*time.Second, func() bool { return a.presented() > before }, func() string { return "the provider is not asked" })
		strike()
		s.holdTokens(false)
		return <-seen
	}
	return a
}

// holdTokens makes the provider keep its answers at the token endpoint, or let
// them go.
func (w *world) holdTokens(on bool) {
	w.rollup.Set(func(s *devrollup.Switches) {
		s.Faults = map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: {Hang: on}}
	})
}

// signInBriefly signs in with an access token that has expired on return.
func (w *world) signInBriefly(t *testing.T, browsers ...*browser) {
	t.Helper()
	w.setLife(time.Second)
	defer w.setLife(time.Hour)
	for _, b := range browsers {
		b.signIn(t, w.url+"/auth/login")
	}
	signedIn := time.Now()
	eventually(t, 10*time.Second, func() bool { return time.Since(signedIn) > 1100*time.Millisecond }, func() string { return "time stands still" })
}

// signsIn signs in anew and queries.
func (s *stage) signsIn(t *testing.T, b *browser) string {
	t.Helper()
	b.signIn(t, s.url+"/auth/login")
	if got := b.sees(); got != "data" {
		return "after a new sign-in: " + got
	}
	return "a new sign-in works"
}

// recovers asks until it is answered, or the user must sign in again, which works.
func (s *stage) recovers(t *testing.T, b *browser) string {
	t.Helper()
	var last string
	const signInAgain = "email, name, profile: REAUTHENTICATION_REQUIRED"
	eventually(t, 20*time.Second, func() bool {
		last = b.sees()
		return last == "data" || last == signInAgain
	}, func() string { return "it does not recover: " + last })
	if last == signInAgain {
		return "REAUTHENTICATION_REQUIRED, " + s.signsIn(t, b)
	}
	return "queries work"
}

// open returns the status of the answer, or why there is none, and the body.
func (b *browser) open(target string) (status, body string) {
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return err.Error(), ""
	}
	resp, body, err := b.do(req)
	if err != nil {
		return err.Error(), ""
	}
	return fmt.Sprint(resp.StatusCode), body
}

// sees queries what is the provider's, name and email, and what is Galaxy's,
// profile.
func (b *browser) sees() string { return b.seesOf("name email profile { displayName }") }

// seesOf queries those fields of the viewer's. It returns "data", or the fields
// that are missing and why, or the status of a refusal.
func (b *browser) seesOf(fields string) string {
	query := url.Values{"query": {"{ viewer { id " + fields + " } }"}}
	status, body := b.open(b.w.url + "/graphql?" + query.Encode())
	if status != "200" {
		return status
	}
	var r result
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		return err.Error()
	}
	missing := map[string][]string{}
	for _, e := range r.Errors {
		why := fmt.Sprint(e.Extensions["code"])
		if service, ok := e.Extensions["service"]; ok {
			why += fmt.Sprint(" ", service)
		}
		missing[why] = append(missing[why], fmt.Sprint(e.Path[len(e.Path)-1]))
	}
	if len(missing) == 0 {
		return "data"
	}
	var all []string
	for _, why := range slices.Sorted(maps.Keys(missing)) {
		slices.Sort(missing[why])
		all = append(all, strings.Join(missing[why], ", ")+": "+why)
	}
	return strings.Join(all, "; ")
}

// thrice queries three times at once, and returns what was seen.
func thrice(b *browser) string {
	answers := make([]string, 3)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = b.sees() })
	}
	all.Wait()
	slices.Sort(answers)
	return strings.Join(slices.Compact(answers), " or ")
}

// counted names how many there are more than before.
func counted(n int, names ...string) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("%d more", n)
	}
	return names[n]
}
