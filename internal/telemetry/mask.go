package telemetry

import (
	"log/slog"
	"regexp"
	"strings"
)

const masked = "***"

// secretKeys matches the names of attributes whose text is a secret, whatever
// it looks like.
var secretKeys = regexp.MustCompile(`(?i)(^|_)(token|secret|password|cookie|authorization|code_verifier|api_key|keyset)$`)

// userinfo matches the user and password of a URL (RFC 3986, section 3.2.1).
var userinfo = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]*@`)

// credential matches what is a secret by its form: credentials after their
// scheme, session cookies, secrets in a URL's query, and JSON Web Tokens.
var credential = regexp.MustCompile(`(?i:\b(?:Bearer|Basic)\s+|galaxygate=|\b(?:code|state|nonce|client_secret|code_verifier|password|(?:\w+_)?token(?:_hint)?)=)` +
	`[^\s"',;&@]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*`)

// random matches runs that are as long as the gateway's own secrets, 256 bits
// in base64url, or longer.
var random = regexp.MustCompile(`[\w+=-]{40,}`)

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
	if text != "" && secretKeys.MatchString(key) {
		return masked
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
