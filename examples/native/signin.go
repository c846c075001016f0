package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// metadata is what the gateway says about its endpoints (RFC 8414).
type metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
}

func (a *app) discover(ctx context.Context) (metadata, error) {
	var m metadata
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.gateway+"/.well-known/oauth-authorization-server", nil)
	if err != nil {
		return m, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return m, fmt.Errorf("is the gateway running? %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return m, fmt.Errorf("%s answers %s: is it a galaxygate?", request.URL, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&m); err != nil {
		return m, fmt.Errorf("read %s: %w", request.URL, err)
	}
	if m.Issuer != a.gateway { // RFC 8414, section 3.3
		return m, fmt.Errorf("the gateway at %s calls itself %q: call it so with --gateway", a.gateway, m.Issuer)
	}
	if !strings.HasPrefix(m.AuthorizationEndpoint, a.gateway+"/") {
		return m, errors.New("the gateway's sign-in is at another address") // which would be opened
	}
	return m, nil
}

// signIn asks the user to sign in and to consent to the scopes beside the gateway's
// own, keeps the session, and ends the one that was kept before.
func (a *app) signIn(ctx context.Context, scopes []string) error {
	if _, err := a.keep.file(); err != nil {
		return err // before the user has done anything in vain
	}
	m, err := a.discover(ctx)
	if err != nil {
		return err
	}
	session, err := a.authorize(ctx, m, scopes)
	if err != nil {
		return fmt.Errorf("not signed in: %w", err)
	}
	old, _ := a.keep.load()
	where, err := a.keep.save(session)
	if err != nil {
		return errors.Join(err, a.revoke(context.WithoutCancel(ctx), m, session))
	}
	fmt.Fprintf(a.out, "You are signed in. The session is in %s.\n", where)
	if old != "" {
		return a.revoke(ctx, m, old)
	}
	return nil
}

// authorize gets a session by the authorization code flow with PKCE, through the
// system browser and a redirect to a port of this machine (RFC 8252, section 7.3).
func (a *app) authorize(ctx context.Context, m metadata, scopes []string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errors.New("the browser did not come back in time"))
	defer cancel()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	config := oauth2.Config{
		ClientID:    clientID,
		Endpoint:    oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
		RedirectURL: "http://" + listener.Addr().String() + "/callback",
		Scopes:      scopes,
	}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	a.open(ctx, config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	answer, err := await(ctx, listener, state)
	switch {
	case err != nil:
		return "", err
	case answer.Get("iss") != m.Issuer: // another server's answer (RFC 9207)
		return "", fmt.Errorf("the answer is %q's, not the gateway's", answer.Get("iss"))
	case answer.Get("error") != "":
		return "", fmt.Errorf("%q: %q", answer.Get("error"), answer.Get("error_description"))
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.client)
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// open opens the address in the user's browser. Whether that works nobody says
// reliably, so that the address is printed too; there is no secret in it.
func (a *app) open(ctx context.Context, address string) {
	if a.noBrowser {
		fmt.Fprintf(a.out, "To sign in, go to\n\n  %s\n\n", address)
		return
	}
	fmt.Fprintf(a.out, "Your browser opens, for you to sign in. If it does not, go to\n\n  %s\n\n", address)
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	// It may be the browser itself, which outlives this program.
	opener := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	if opener.Start() == nil {
		go func() { _ = opener.Wait() }()
	}
}

// await serves the redirect's address until the browser comes back to it with the
// state, and returns what it brings.
func await(ctx context.Context, listener net.Listener, state string) (url.Values, error) {
	answers := make(chan url.Values, 1)
	server := &http.Server{Handler: callback(state, answers), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // when the browser has got its page
	}()
	select {
	case answer := <-answers:
		return answer, nil
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// page is what the browser shows in the end.
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Back to the terminal</title>
<p>You can close this page, and go back to the terminal.</p>
</html>
`

// callback takes the browser back. What does not know the state is not the answer
// to this request, and changes nothing.
func callback(state string, answers chan<- url.Values) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(state)) != 1 {
			http.Error(w, "This is not the sign-in that was begun.", http.StatusBadRequest)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = io.WriteString(w, page)
		select {
		case answers <- query:
		default: // the first answer counts
		}
	})
	return mux
}

// signOut ends the session, at the gateway and here: here also where the gateway cannot
// be told, for the user wants it gone.
func (a *app) signOut(ctx context.Context) error {
	session, err := a.keep.load()
	if err != nil {
		return err
	}
	m, problem := a.discover(ctx)
	if problem == nil {
		problem = a.revoke(ctx, m, session)
	}
	if err := a.keep.erase(); err != nil {
		return errors.Join(err, problem)
	}
	if problem != nil {
		return fmt.Errorf("the session is forgotten here, but the gateway may not know: %w", problem)
	}
	fmt.Fprintln(a.out, "You are signed out.")
	return nil
}

// revoke ends the session at the gateway (RFC 7009).
func (a *app) revoke(ctx context.Context, m metadata, session string) error {
	form := url.Values{"token": {session}, "client_id": {clientID}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("session not ended: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("session not ended: the gateway answers %s", response.Status)
	}
	return nil
}
