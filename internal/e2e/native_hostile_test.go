package e2e_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"galaxygate/internal/devrollup"
)

// TestWhereAnAppsCodeMayGo asks for codes at addresses that are allowed, and at many
// that look like one.
func TestWhereAnAppsCodeMayGo(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": strings.Join([]string{
		"http://127.0.0.1/callback", "http://127.0.0.1:4711/fixed", "http://[::1]/callback", "https://app.example.com/callback",
		"https://app.example.com/query?x=1", "https://app.example.com/deep/*", "com.example.app:/callback",
		"https://pages.example.com/callback",
	}, ","), "ALLOWED_ORIGINS": "https://pages.example.com"})
	for _, allowed := range []string{
		"http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://127.0.0.1/callback",
		"http://127.0.0.1:4711/fixed", "http://[::1]:8080/callback",
		"https://app.example.com/callback", "https://app.example.com/query?x=1", "com.example.app:/callback",
		"https://pages.example.com/callback",
	} {
		d := w.device(t)
		d.redirect = allowed
		resp, body := d.begin(t, nil)
		at, err := resp.Location()
		if err != nil || resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d %s", allowed, resp.StatusCode, body)
			continue
		}
		// Nobody vouches for who gets it but where it is claimed https (RFC 8252, section 8.6),
		// on a host without pages that call.
		if asks := at.Query().Get("prompt") == "consent"; asks == strings.HasPrefix(allowed, "https://app.") {
			t.Errorf("%s: the user is asked: %v", allowed, asks)
		}
		resp, _ = d.get(t, w.visit(t, at.String()).String())
		back := queryOf(t, resp.Header.Get("Location"))
		if !strings.HasPrefix(resp.Header.Get("Location"), allowed) || strings.Contains(allowed, "?") && back.Get("x") != "1" {
			t.Errorf("%s: it goes to %s", allowed, resp.Header.Get("Location"))
			continue
		}
		wantLive(t, d.redeem(t, w.gateway, back.Get("code")), true, w.gateway)
	}
	attempts := column(t, openDatabase(t, w.database), "SELECT state_hash FROM sign_in_attempts")
	for _, refused := range refusedRedirects(w.url) {
		d := w.device(t)
		resp, body := d.begin(t, url.Values{"redirect_uri": {refused}})
		d.wantPage(t, "redirect_uri "+refused, resp, body)
	}
	if after := column(t, openDatabase(t, w.database), "SELECT state_hash FROM sign_in_attempts"); len(after) != len(attempts) {
		t.Errorf("%d sign-ins were begun", len(after)-len(attempts))
	}
	w.keepsQuiet(t)
}

// refusedRedirects are addresses that no rule of TestWhereAnAppsCodeMayGo allows.
func refusedRedirects(gateway string) []string {
	return []string{
		"", "/", "/callback", "//evil.example/callback", "callback", "not a URL", "http://", "https:", ":", "%", "*",
		gateway, gateway + "/", gateway + "/auth/callback", gateway + "/graphql",
		// a loopback address with any port, and nothing else
		"http://127.0.0.1:49152", "http://127.0.0.1:49152/", "http://127.0.0.1:49152/callback/", "http://127.0.0.1:49152/Callback",
		"http://127.0.0.1:49152/callback/more", "http://127.0.0.1:49152/callback?x=1", "http://127.0.0.1:49152/callback?",
		"http://127.0.0.1:49152/callback#", "http://127.0.0.1:49152/callback#fragment", "http://127.0.0.1:49152//callback",
		"http://127.0.0.1:49152/./callback", "http://127.0.0.1:49152/x/../callback", "http://127.0.0.1:49152/x%2f..%2fcallback",
		"http://127.0.0.1:49152/%63allback", "http://127.0.0.1:49152/callback%00", "http://127.0.0.1:49152/callback%20",
		"http://127.0.0.1:49152\\@evil.example/callback", "http://127.0.0.1:49152@evil.example/callback", "http://evil.example@127.0.0.1:49152/callback",
		"http://127.0.0.1:@evil.example/callback", "http://127.0.0.1.evil.example/callback", "http://127.0.0.1:49152.evil.example/callback",
		"http://127.0.0.1:/callback", "http://127.0.0.1:0/callback", "http://127.0.0.1:65536/callback", "http://127.0.0.1:-1/callback",
		"http://127.0.0.1:+80/callback", "http://127.0.0.1:80:80/callback", "http://127.0.0.1:http/callback", "http://127.0.0.1:４９/callback",
		"http://localhost:49152/callback", "http://127.0.0.2:49152/callback", "http://127.1:49152/callback", "http://2130706433/callback",
		"http://0x7f000001/callback", "http://0177.0.0.1/callback", "http://0.0.0.0/callback", "http://[::]/callback", "http://[::ffff:127.0.0.1]/callback",
		"http://[0:0:0:0:0:0:0:1]/callback", "http://[::1%25lo]/callback", "https://127.0.0.1:49152/callback", "HTTP://127.0.0.1:49152/callback",
		"http:127.0.0.1/callback", "http:/127.0.0.1/callback", "http:///127.0.0.1/callback", " http://127.0.0.1/callback", "http://127.0.0.1/callback ",
		"http://127.0.0.1/call\tback", "http://127.0.0.1/callback\r\nX-Evil: 1", "http://127.0.0.1:49152/callback,http://evil.example/",
		// a rule with a port
		"http://127.0.0.1:4712/fixed", "http://127.0.0.1/fixed", "http://127.0.0.1:04711/fixed", "http://127.0.0.1:4711/fixed/",
		// claimed https
		"http://app.example.com/callback", "https://app.example.com:443/callback", "https://app.example.com:8443/callback", "https://APP.example.com/callback",
		"https://app.example.com./callback", "https://app.example.com/callback/", "https://app.example.com/CALLBACK", "https://app.example.com/callback?x=1",
		"https://app.example.com/callback#x", "https://user@app.example.com/callback", "https://app.example.com/x/../callback",
		"https://app.example.com/%2e/callback", "https://app.example.com%2fcallback", "https://evil.example/https://app.example.com/callback",
		"https://app.example.com/query", "https://app.example.com/query?x=2", "https://app.example.com/query?x=1&y=2", "https://app.example.com/query?x=%31",
		// what a rule for web pages allows below a path
		"https://app.example.com/deep/", "https://app.example.com/deep/callback", "https://app.example.com/deep/*",
		// a private-use scheme
		"com.example.app:", "com.example.app:callback", "com.example.app://callback", "com.example.app:///callback", "com.example.app:/callback/",
		"com.example.app:/callback?x=1", "COM.EXAMPLE.APP:/callback", "com.example.other:/callback", "com.example.app:/callback#x",
		"javascript:alert(1)", "JavaScript:alert(1)//http://127.0.0.1/callback", "data:text/html,<script>1</script>", "file:///callback", "about:blank",
		"urn:ietf:wg:oauth:2.0:oob", "intent://callback#Intent;scheme=http;end", "http://127.0.0.1:49152/callback" + strings.Repeat("/x", 4000),
	}
}

// wantPage wants a page for the user, from which nobody is sent anywhere.
func (d *device) wantPage(t *testing.T, what string, resp *http.Response, body string) {
	t.Helper()
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%.200q: got %d, to %q: %.500s", what, resp.StatusCode, resp.Header.Get("Location"), body)
	}
	if strings.Contains(body, canary) || strings.Contains(body, "evil") || d.session() != "" {
		t.Errorf("%.200q: the page repeats it, or the browser is signed in: %s", what, body)
	}
}

// TestWhatAnAppMayNotAsk sends the authorization endpoint requests that are wrong.
// Where the app is known, it is told (RFC 6749, section 4.1.2.1).
func TestWhatAnAppMayNotAsk(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	known := w.device(t)
	challenge := known.request(nil).Get("code_challenge")
	for _, tt := range []struct {
		name    string
		changed url.Values
		want    string // the error that the app gets; empty: the user gets a page
	}{
		{"no client", url.Values{"client_id": nil}, ""},
		{"an empty client", url.Values{"client_id": {""}}, ""},
		{"an unknown client", url.Values{"client_id": {"evil"}}, ""},
		{"the gateway's own client", url.Values{"client_id": {"galaxygate"}}, ""},
		{"a client that is almost right", url.Values{"client_id": {"Native"}}, ""},
		{"no redirect", url.Values{"redirect_uri": nil}, ""},
		{"two redirects", url.Values{"redirect_uri": {known.redirect, "http://evil.example/"}}, ""},
		{"the same redirect twice", url.Values{"redirect_uri": {known.redirect, known.redirect}}, ""},
		{"two clients", url.Values{"client_id": {"native", "native"}}, ""},
		{"two states", url.Values{"state": {"a", "b"}}, ""},
		{"two challenges", url.Values{"code_challenge": {challenge, challenge}}, ""},
		{"two methods", url.Values{"code_challenge_method": {"S256", "plain"}}, ""},
		{"two types", url.Values{"response_type": {"code", "token"}}, ""},
		{"two scopes", url.Values{"scope": {"email", "profile"}}, ""},
		{"no type", url.Values{"response_type": nil}, "invalid_request"},
		{"the implicit flow", url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		{"a hybrid flow", url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
		{"no challenge", url.Values{"code_challenge": nil}, "invalid_request"},
		{"an empty challenge", url.Values{"code_challenge": {""}}, "invalid_request"},
		{"a short challenge", url.Values{"code_challenge": {challenge[1:]}}, "invalid_request"},
		{"a long challenge", url.Values{"code_challenge": {challenge + "A"}}, "invalid_request"},
		{"a challenge that is no base64url", url.Values{"code_challenge": {"+/" + challenge[2:]}}, "invalid_request"},
		{"no method, which is plain", url.Values{"code_challenge_method": nil}, "invalid_request"},
		{"plain", url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		{"plain with a verifier", url.Values{"code_challenge_method": {"plain"}, "code_challenge": {known.verifier}}, "invalid_request"},
		{"an unknown method", url.Values{"code_challenge_method": {"s256"}}, "invalid_request"},
		{"a scope that is none", url.Values{"scope": {`"`}}, "invalid_scope"},
		{"too many scopes", url.Values{"scope": {strings.Repeat("x ", 51)}}, "invalid_scope"},
	} {
		d := w.device(t)
		resp, body := d.begin(t, tt.changed)
		if tt.want == "" {
			d.wantPage(t, tt.name, resp, body)
			continue
		}
		got := queryOf(t, resp.Header.Get("Location"))
		if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), d.redirect+"?") ||
			got.Get("error") != tt.want || got.Get("state") != d.state || got.Get("iss") != w.url || got.Has("code") {
			t.Errorf("%s: got %d %v, want %s", tt.name, resp.StatusCode, resp.Header["Location"], tt.want)
		}
	}
	for _, raw := range []string{"%zz", "redirect_uri=%zz", "a;b", strings.Repeat("x=1&", 10_000)} {
		d := w.device(t)
		resp, body := d.get(t, w.url+"/auth/authorize?"+d.request(url.Values{"redirect_uri": nil}).Encode()+"&"+raw)
		d.wantPage(t, raw, resp, body)
	}
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut} {
		resp, _ := known.with(t, method, w.url+"/auth/authorize?"+known.request(nil).Encode(), "", "")
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %d", method, resp.StatusCode)
		}
	}
	w.keepsQuiet(t)
}

// with sends a request.
func (d *device) with(t *testing.T, method, target, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return d.send(t, req)
}

// TestWhatAnAppIsTold wants the app to get back its state to the byte, and to be told
// of what did not succeed; and nothing of the browser's to change.
func TestWhatAnAppIsTold(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	for _, state := range []string{
		" ", "a b+c&d=e#f?g/h%20;,", `"'<script>\`, "%2525", strings.Repeat("x", 1024),
	} {
		d := w.device(t)
		d.state = state
		d.code(t) // wants the state back
	}
	for _, state := range []string{"Zebra\r\nSet-Cookie: x=1", "\x00", "\x7f", "ünï🦓", "\xff\xfe", strings.Repeat("x", 10<<10)} {
		resp, body := w.device(t).begin(t, url.Values{"state": {state}})
		got := queryOf(t, resp.Header.Get("Location"))
		if got.Get("error") != "invalid_request" || got.Has("state") || got.Get("iss") != w.url {
			t.Errorf("state %.50q: got %d %v: %.500s", state, resp.StatusCode, got, body)
		}
	}
	without := w.device(t)
	without.state = ""
	without.returns(t, without.callback(t, w.url+"/auth/authorize?"+without.request(url.Values{"state": nil}).Encode()))

	bob := w.device(t)
	bob.signInAs(t, "bob")
	session := bob.session()
	fail := func(name, want string, visitor *devrollup.Visitor, s devrollup.Switches) {
		t.Helper()
		w.rollup.Set(func(now *devrollup.Switches) { *now = s })
		defer w.rollup.Set(func(now *devrollup.Switches) { *now = devrollup.Switches{} })
		resp, body := bob.begin(t, nil)
		back, err := visitor.Visit(t.Context(), resp.Header.Get("Location"))
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, body)
		}
		got := bob.returns(t, back)
		if got.Get("error") != want || got.Get("error_description") == "" || got.Has("code") {
			t.Errorf("%s: the app gets %v, want %s", name, got, want)
		}
	}
	alice := &devrollup.Visitor{Person: "alice"}
	broken := func(f devrollup.Fault) devrollup.Switches {
		return devrollup.Switches{Faults: map[devrollup.Endpoint]devrollup.Fault{devrollup.Token: f}}
	}
	fail("a user who says no", "access_denied", &devrollup.Visitor{Person: "alice", Deny: true}, devrollup.Switches{})
	fail("a provider that is away", "temporarily_unavailable", alice, broken(devrollup.Fault{Status: http.StatusBadGateway}))
	fail("a provider that hangs up", "temporarily_unavailable", alice, broken(devrollup.Fault{Reset: true}))
	fail("a provider that lies", "server_error", alice, devrollup.Switches{Forgery: devrollup.ForgedSignature})
	fail("a provider that refuses the gateway", "server_error", alice, broken(devrollup.Fault{
		Status: http.StatusUnauthorized, Body: `{"error":"invalid_client"}`, ContentType: "application/json",
	}))

	resp, _ := bob.begin(t, nil)
	back, err := alice.Visit(t.Context(), resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	token := bob.redeem(t, w.gateway, bob.returns(t, back).Get("code"))
	if who := answerOf(t, w.gateway, token, `{ viewer { id } }`).at("viewer", "id"); who != devrollup.AliceURN {
		t.Errorf("the app is %v's", who)
	}
	if who := answerOf(t, w.gateway, session, `{ viewer { id } }`).at("viewer", "id"); who != devrollup.BobURN || bob.session() != session {
		t.Errorf("Bob's own session: %v", who)
	}
}

// TestAppsEndpointsAnswerInJSON sends the token and the revocation endpoint what no
// app sends. What they answer is an error of RFC 6749, section 5.2, whatever it is.
func TestAppsEndpointsAnswerInJSON(t *testing.T) {
	t.Parallel()
	w := found(t, sqlite(t), rollup, map[string]string{"ALLOWED_REDIRECTS": "http://127.0.0.1/callback"})
	d := w.device(t)
	session := d.redeem(t, w.gateway, d.code(t))
	form := d.form(canary, nil).Encode()
	const encoded = "application/x-www-form-urlencoded"
	double := func(name string) string { return form + "&" + name + "=x" }
	attacks := []struct{ name, contentType, body string }{
		{"nothing", "", ""},
		{"an empty form", encoded, ""},
		{"no media type", "", form},
		{"JSON", "application/json", `{"grant_type":"authorization_code","code":"` + canary + `"}`},
		{"JSON that is called a form", encoded, `{"grant_type":"authorization_code"}`},
		{"text", "text/plain", form},
		{"a multipart form", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nauthorization_code\r\n--x--\r\n"},
		{"a media type that is none", "/;;=", form},
		{"a form in another character set", encoded + "; charset=utf-16", form},
		{"a form that is broken", encoded, "grant_type=%zz&token=%zz"},
		{"semicolons", encoded, strings.ReplaceAll(form, "&", ";")},
		{"null bytes", encoded, "grant_type=authorization_code&code=%00&client_id=%00&token=%00"},
		{"bytes that are no text", encoded, "grant_type=\xff\xfe&code=\xff&token=\xff"},
		{"a large body", encoded, form + "&x=" + strings.Repeat("x", 1<<20)},
		{"a large code", encoded, d.form(strings.Repeat("x", 15<<10), nil).Encode()},
		{"many parameters", encoded, form + strings.Repeat("&x=1", 3000)},
		{"many more parameters", encoded, form + strings.Repeat("&x=1", 300_000)},
		{"no grant type", encoded, d.form(canary, url.Values{"grant_type": nil}).Encode()},
		{"a refresh", encoded, "grant_type=refresh_token&client_id=native&refresh_token=" + canary},
		{"a password", encoded, "grant_type=password&client_id=native&username=alice&password=" + canary},
		{"the client's own", encoded, "grant_type=client_credentials&client_id=native&client_secret=" + canary},
		{"no client", encoded, d.form(canary, url.Values{"client_id": nil}).Encode()},
		{"an unknown client", encoded, d.form(canary, url.Values{"client_id": {"evil"}}).Encode()},
		{"an unknown code", encoded, form},
		{"a hint", encoded, "token=" + canary + "&token_type_hint=" + canary},
	}
	for _, name := range []string{"grant_type", "code", "client_id", "redirect_uri", "code_verifier", "token"} {
		attacks = append(attacks, struct{ name, contentType, body string }{name + " twice", encoded, double(name) + "&" + name + "=y"})
	}
	for _, path := range []string{"/auth/token", "/auth/revoke"} {
		for _, attack := range attacks {
			resp, body := d.with(t, http.MethodPost, w.url+path, attack.contentType, attack.body)
			wantJSON(t, path+" "+attack.name, resp, body)
			if path == "/auth/token" && resp.StatusCode < 400 {
				t.Errorf("%s is answered %d", attack.name, resp.StatusCode)
			}
		}
		resp, body := d.with(t, http.MethodPost, w.url+path+"?"+form+"&token="+session, encoded, "")
		if wantJSON(t, path+" in the URL", resp, body); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: what the URL says is answered %d", path, resp.StatusCode)
		}
		for _, credentials := range []string{"Basic bmF0aXZlOg==", "Basic !", "Basic " + canary, "Bearer " + canary, "Bearer " + session, "Digest x", canary} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, strings.NewReader(form+"&token="+canary))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", encoded)
			req.Header.Set("Authorization", credentials)
			resp, body := d.send(t, req)
			wantJSON(t, path+" with "+credentials, resp, body)
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			if resp, _ := d.with(t, method, w.url+path+"?"+form, "", ""); resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: got %d", method, path, resp.StatusCode)
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, strings.NewReader(form+"&token="+session))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", encoded)
		req.Header.Set("Cookie", "galaxygate="+session)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, body = d.send(t, req)
		if wantJSON(t, path+" from another site", resp, body); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s from another site: got %d", path, resp.StatusCode)
		}
		resp, err = http.Post(w.url+path, encoded, io.LimitReader(rand.Reader, 100_000)) // no length, no sense
		if err != nil {
			t.Fatal(err)
		}
		random, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		wantJSON(t, path+" at random", resp, string(random))
	}
	wantLive(t, session, true, w.gateway)
	w.keepsQuiet(t)
}

// keepsQuiet stops the gateway, and wants nothing of what the apps sent in its log.
func (w *world) keepsQuiet(t *testing.T) {
	t.Helper()
	w.stop(t)
	for _, word := range []string{canary, "evil", "panic"} {
		if log := w.log.String(); len(log) < 2000 || strings.Contains(log, word) {
			t.Errorf("%s is in the log: %s", word, around(log, word))
		}
	}
}

// wantJSON wants an answer that a client understands, and that nobody keeps.
func wantJSON(t *testing.T, what string, resp *http.Response, body string) {
	t.Helper()
	header := resp.Header
	if resp.StatusCode >= 500 || header.Get("Cache-Control") != "no-store" || strings.Contains(body, canary) {
		t.Errorf("%.200s: got %d, Cache-Control %q: %.500s", what, resp.StatusCode, header.Get("Cache-Control"), body)
	}
	if resp.StatusCode != http.StatusOK && (header.Get("Content-Type") != "application/json" || !strings.HasPrefix(body, `{"error":"`)) {
		t.Errorf("%.200s: got %d, %q: %.500s", what, resp.StatusCode, header.Get("Content-Type"), body)
	}
}
