package passport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// maxReply is how much of any answer is read.
const maxReply = 1 << 20

// errTooLarge ends the reading of an answer that exceeds maxReply.
var errTooLarge = errors.New("reply too large")

// reply is what the token endpoint answered, as far as it could be read.
type reply struct {
	resp    *http.Response
	members members
	broken  string // why the body ended early or made no sense; empty: it was whole
	sent    []secret.Text
	now     time.Time
}

// readReply reads the body and closes it.
func readReply(resp *http.Response, sent []secret.Text, now time.Time) reply {
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	r := reply{resp: resp, sent: sent, now: now}
	r.members, r.broken = parse(body, resp.Header.Get("Content-Type"))
	if err != nil && !endsObject(body, r.broken) {
		r.broken = transportReason(err)
	}
	return r
}

// failure returns what the reply means where it is no success (RFC 6749,
// section 5.2, and what Rollup, GitHub and proxies make of it), else nil.
func (r reply) failure() *grant.Failure {
	if r.resp.StatusCode/100 == 2 && r.hasTokens() {
		return nil
	}
	f := statusFailure(r.resp, r.now)
	f.Message = secret.Scrub(r.words(), r.secrets()...)
	switch status := r.resp.StatusCode; {
	case status == http.StatusTooManyRequests, status >= 500:
		// A provider in trouble is not believed when it condemns a grant.
		if kind, known := kindOf(r.members.text("error")); known && kind == grant.Later {
			f.Reason = r.members.text("error")
		}
	case status >= 400, status < 300:
		r.classify(f)
	}
	return f
}

// classify sets kind and reason by the body of a 2xx or 4xx reply.
func (r reply) classify(f *grant.Failure) {
	code := r.members.text("error")
	if kind, known := kindOf(code); known {
		f.Kind, f.Reason = kind, code
		return
	}
	if kind, reason := rollupKind(r.members); code == "" && reason != "" && f.Status >= 400 {
		f.Kind, f.Reason = kind, reason
		return
	}
	switch {
	case f.Status < 300 && r.broken != "":
		f.Reason = r.broken
	case f.Status < 300:
		f.Reason = "no_access_token"
	case code == "" && f.Status == http.StatusUnauthorized && challengesBasic(r.resp.Header):
		// RFC 6749, section 5.2: so is the client refused, not the token.
		f.Kind, f.Reason = grant.OperatorFault, "invalid_client"
	}
}

// hasTokens reports whether the reply holds tokens that must not be lost. A body
// that breaks off counts if both tokens had come: the one presented may be spent.
func (r reply) hasTokens() bool {
	if r.members.text("access_token") == "" {
		return false
	}
	return r.broken == "" || r.members.text("refresh_token") != ""
}

// words returns the provider's own explanation.
func (r reply) words() string {
	code, words := r.members.text("error"), r.members.text("error_description")
	if code != "" && words != "" {
		return code + ": " + words
	}
	if code+words != "" {
		return code + words
	}
	return r.members.text("message")
}

// secrets returns what must not be quoted: what was sent, and what came.
func (r reply) secrets() []secret.Text {
	known := append([]secret.Text(nil), r.sent...)
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		known = append(known, secret.New(r.members.text(name)))
	}
	return known
}

// canonical returns the reply as RFC 6749, section 5.1, would have it, for
// x/oauth2: without expires_in where that says nothing of use.
func (r reply) canonical() *http.Response {
	body, _ := json.Marshal(map[string]any{ // strings and a number: never fails
		"access_token":  r.members.text("access_token"),
		"refresh_token": r.members.text("refresh_token"),
		"id_token":      r.members.text("id_token"),
		"scope":         r.members.words("scope"),
		"expires_in":    seconds(r.members["expires_in"]),
		// Keycloak's word for it, or GitHub's and Microsoft's.
		"refresh_expires_in": max(seconds(r.members["refresh_expires_in"]), seconds(r.members["refresh_token_expires_in"])),
	})
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: r.resp.Proto, ProtoMajor: r.resp.ProtoMajor, ProtoMinor: r.resp.ProtoMinor,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r.resp.Request,
	}
}

// kindOf returns what an error code of the token endpoint means, and whether it
// is known: those of RFC 6749 (sections 4.1.2.1 and 5.2) and OpenID Connect Core
// 1.0 (section 3.1.2.6), and GitHub's.
func kindOf(code string) (grant.Kind, bool) {
	switch code {
	case "invalid_grant", "interaction_required", "login_required", "consent_required",
		"bad_verification_code", "bad_refresh_token":
		return grant.SignInAgain, true
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request",
		"incorrect_client_credentials", "redirect_uri_mismatch":
		return grant.OperatorFault, true
	case "temporarily_unavailable", "server_error", "slow_down":
		return grant.Later, true
	}
	return grant.Later, false
}

// rollupKind returns what Rollup's {"code", "message"} means, or an empty reason
// where it says nothing for certain.
func rollupKind(m members) (grant.Kind, string) {
	switch strings.ToLower(m.text("message")) {
	case "invalid client credentials":
		return grant.OperatorFault, "invalid_client"
	case "mismatch client id":
		return grant.OperatorFault, "client_mismatch"
	}
	if m.text("code") == "UNAUTHORIZED" {
		return grant.SignInAgain, "unauthorized"
	}
	return grant.Later, ""
}

func challengesBasic(h http.Header) bool {
	for _, challenge := range h.Values("WWW-Authenticate") {
		if scheme, _, _ := strings.Cut(challenge, " "); strings.EqualFold(scheme, "Basic") {
			return true
		}
	}
	return false
}

// members are the top-level members of a reply's body.
type members map[string]json.RawMessage

// parse reads JSON whatever the media type says, or a form where it says form or
// plain text, as GitHub does. It returns what was whole before the body broke
// off, and why it did.
func parse(body []byte, contentType string) (members, string) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) == 0 {
		return nil, "empty_reply"
	}
	if body[0] == '{' {
		return parseJSON(body)
	}
	mediaType, _, _ := mime.ParseMediaType(contentType)
	if mediaType == "application/x-www-form-urlencoded" || mediaType == "text/plain" {
		return parseForm(body)
	}
	return nil, "malformed_reply"
}

func parseJSON(body []byte) (members, string) {
	m := members{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	_, _ = decoder.Token() // the brace that parse has seen
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return m, brokenReason(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return m, brokenReason(err)
		}
		m[name.(string)] = value // the decoder lets nothing but a string be a name
	}
	if _, err := decoder.Token(); err != nil {
		return m, brokenReason(err)
	}
	return m, ""
}

// endsObject reports whether body is a whole JSON object, in which nothing can
// be missing although its reading ended in an error.
func endsObject(body []byte, broken string) bool {
	return broken == "" && bytes.HasSuffix(bytes.TrimSpace(body), []byte("}"))
}

func brokenReason(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "truncated_reply"
	}
	return "malformed_reply"
}

func parseForm(body []byte) (members, string) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, "malformed_reply"
	}
	m := members{}
	for name := range values {
		m[name], _ = json.Marshal(values.Get(name)) // a string: never fails
	}
	if m["access_token"] == nil && m["error"] == nil {
		return nil, "malformed_reply" // any plain text parses as a form
	}
	return m, ""
}

// text returns a member that is a string, else "".
func (m members) text(name string) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}

// words returns a member that is a string, or an array of strings joined by
// spaces; else "".
func (m members) words(name string) string {
	var list []string
	if json.Unmarshal(m[name], &list) == nil {
		return strings.Join(list, " ")
	}
	return m.text(name)
}

// seconds reads a number of seconds, which comes as 3600, "3600", 3600.0 or not at all.
// What is not a positive number is 0, unknown: never "for ever".
func seconds(raw json.RawMessage) int64 {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	if err != nil || !(n >= 1) {
		return 0
	}
	return int64(min(n, 1<<40))
}
