package telemetry

import (
	"log/slog"
	"regexp"
	"strings"
)

const masked = "***"

// secretKey reports whether the text of an attribute with that name is a secret,
// whatever it looks like.
func secretKey(key string) bool {
	key = strings.ToLower(key)
	for _, name := range []string{"token", "secret", "password", "cookie", "authorization", "code_verifier", "api_key", "keyset"} {
		if before, ok := strings.CutSuffix(key, name); ok && (before == "" || before[len(before)-1] == '_') {
			return true
		}
	}
	return false
}

// userinfo matches the user and password of a URL (RFC 3986, section 3.2.1).
var userinfo = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]*@`)

// credential matches what is a secret by its form: credentials after their
// scheme, session cookies, secrets in a URL's query, and JSON Web Tokens.
var credential = regexp.MustCompile(`(?i:\b(?:Bearer|Basic)\s+|galaxygate=|\b(?:code|state|nonce|client_secret|code_verifier|password|(?:\w+_)?token(?:_hint)?)=)` +
	`[^\s"',;&@]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*`)

// random matches runs that are as long as the gateway's own secrets, 256 bits
// in base64url, or longer.
var random = regexp.MustCompile(`[\w+=-]{40,}`)

// shortestRandom is the length of the shortest such run.
const shortestRandom = 40

// mask is the net under the log: rooms log no secrets, and where one does by
// mistake, or an error quotes one, its text is masked. URNs, paths, addresses
// and the gateway's own IDs stay.
func mask(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, maskText(a.Key, a.Value.String()))
	case slog.KindDuration: // a number of nanoseconds tells a reader nothing
		return slog.String(a.Key, a.Value.Duration().String())
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, maskText(a.Key, err.Error()))
		}
	}
	return a
}

func maskText(key, text string) string {
	if text != "" && secretKey(key) {
		return masked
	}
	if plain(text) {
		return text
	}
	text = userinfo.ReplaceAllString(text, "://"+masked+"@")
	text = credential.ReplaceAllString(text, masked)
	return random.ReplaceAllStringFunc(text, func(run string) string {
		if looksRandom(run) {
			return masked
		}
		return run
	})
}

// plain reports whether a text is short and has nothing that a masked one has:
// almost every text that is logged, and matching costs more than the rest of a
// log line.
func plain(text string) bool {
	if len(text) >= shortestRandom || strings.ContainsAny(text, "=@") || strings.Contains(text, "eyJ") {
		return false
	}
	lower := strings.ToLower(text)
	return !strings.Contains(lower, "bearer") && !strings.Contains(lower, "basic")
}

// looksRandom reports whether a long run is base64 rather than words or a
// hexadecimal number: it mixes cases and digits, and is no 0x… of whatever case.
func looksRandom(run string) bool {
	if digits, ok := strings.CutPrefix(run, "0x"); ok && strings.Trim(digits, "0123456789abcdefABCDEF") == "" {
		return false
	}
	return strings.ContainsAny(run, "0123456789") &&
		strings.ContainsAny(run, "abcdefghijklmnopqrstuvwxyz") &&
		strings.ContainsAny(run, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}
