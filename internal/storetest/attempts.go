package storetest

import (
	"errors"
	"time"

	"galaxygate/internal/login"
	"galaxygate/internal/secret"
)

// attempt saves an attempt that lives for ten minutes.
func (f *fixture) attempt() login.Attempt {
	f.t.Helper()
	a := login.Attempt{
		State:     secret.Random(),
		Browser:   secret.Random(),
		Nonce:     secret.Random(),
		Verifier:  secret.Random(),
		ReturnTo:  "http://localhost:8080/welcome?a=b",
		ExpiresAt: f.now.Add(10 * time.Minute),
	}
	f.must(f.SaveAttempt(f.t.Context(), a))
	return a
}

// noAttempt ends the test unless err is login.ErrNoAttempt.
func (f *fixture) noAttempt(err error) {
	f.t.Helper()
	if !errors.Is(err, login.ErrNoAttempt) {
		f.t.Fatalf("TakeAttempt: got %v, want ErrNoAttempt", err)
	}
}

func attemptTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a saved attempt is taken whole": func(f *fixture) {
			a := f.attempt()
			got, err := f.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
			f.must(err)
			f.same("attempt", got, a)
		},
		"an attempt without an address to return to has none": func(f *fixture) {
			a := f.attempt()
			a.State, a.ReturnTo = secret.Random(), ""
			f.must(f.SaveAttempt(f.t.Context(), a))
			got, err := f.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
			f.must(err)
			f.same("attempt", got, a)
		},
		"an attempt for an app knows the app": func(f *fixture) {
			a := f.attempt()
			a.State, a.ReturnTo = secret.Random(), ""
			a.App = &login.App{Client: "native", RedirectURI: "com.example.app:/in", Challenge: "challenge", State: "its own"}
			f.must(f.SaveAttempt(f.t.Context(), a))
			got, err := f.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
			f.must(err)
			f.same("attempt", got, a)
		},
		"another browser does not get the attempt for an app": func(f *fixture) {
			a := f.attempt()
			a.State, a.App = secret.Random(), &login.App{Client: "native"}
			f.must(f.SaveAttempt(f.t.Context(), a))
			for _, browser := range []secret.Text{secret.Random(), {}} {
				_, err := f.TakeAttempt(f.t.Context(), a.State, browser, f.now)
				f.noAttempt(err)
			}
		},
		"an unknown state has no attempt": func(f *fixture) {
			a := f.attempt()
			_, err := f.TakeAttempt(f.t.Context(), secret.Random(), a.Browser, f.now)
			f.noAttempt(err)
		},
		"another browser does not get the attempt, and leaves it": func(f *fixture) {
			a := f.attempt()
			_, err := f.TakeAttempt(f.t.Context(), a.State, secret.Random(), f.now)
			f.noAttempt(err)
			_, err = f.TakeAttempt(f.t.Context(), a.State, secret.Text{}, f.now)
			f.noAttempt(err)
			_, err = f.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
			f.must(err)
		},
		"an attempt ends at its time": func(f *fixture) {
			a := f.attempt()
			_, err := f.TakeAttempt(f.t.Context(), a.State, a.Browser, a.ExpiresAt)
			f.noAttempt(err)
			_, err = f.TakeAttempt(f.t.Context(), a.State, a.Browser, a.ExpiresAt.Add(-time.Microsecond))
			f.must(err)
		},
		"an attempt is taken once": func(f *fixture) {
			a := f.attempt()
			_, err := f.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
			f.must(err)
			_, err = f.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
			f.noAttempt(err)
		},
		"one of 20 at once takes the attempt": func(f *fixture) {
			a := f.attempt()
			taken := f.atOnce(20, func(i int) error {
				store := f.Store
				if i%2 == 0 {
					store = f.Replica
				}
				_, err := store.TakeAttempt(f.t.Context(), a.State, a.Browser, f.now)
				return err
			}, f.noAttempt)
			f.same("attempts taken", taken, 1)
		},
		"a state is saved once": func(f *fixture) {
			a := f.attempt()
			err := f.SaveAttempt(f.t.Context(), a)
			if err == nil {
				f.t.Fatal("SaveAttempt: got no error for a state that is there")
			}
		},
	}
}
