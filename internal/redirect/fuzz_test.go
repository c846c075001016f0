package redirect_test

import (
	"net/url"
	"strings"
	"testing"

	"galaxygate/internal/redirect"
)

// FuzzResolve holds whatever is allowed against a second reading, by the rules that
// browsers read a Location by (WHATWG URL, section 4.4): it must lead where the
// rules say.
func FuzzResolve(f *testing.F) {
	for _, target := range []string{
		"/", "//evil.example", "/\\evil.example", "/%5cevil.example", "https://gate.example", "https://GATE.example/x", "https://gate.example:443/",
		"https://app.example.com/dir/x", "https://app.example.com/dir/%2e%2e/x", "https://app.example.com/dir/..;/x", "https://app.example.com@evil.example/dir/",
		"https://app.example.com.evil.example/dir/", "https:app.example.com/dir/", "https:///app.example.com/dir/", "https://app.example.com/dir/?a=/../",
		"http://127.0.0.1:1/cb", "http://127.0.0.1:1@evil.example/cb", "http://[::1]/cb", "com.example.app:/callback", "com.example.app://callback",
		"javascript:alert(1)", "ht\ttps://evil.example", "https://app.example.com%2f@evil.example", "https://app.example.com:/dir/a", "https://exact.example/back?x=1#f",
	} {
		f.Add(target)
	}
	base := &url.URL{Scheme: "https", Host: "gate.example"}
	rules, err := redirect.Parse([]string{
		"https://app.example.com/dir/*", "https://exact.example/back?x=1", "com.example.app:/callback", "http://127.0.0.1/cb",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, err := rules.Resolve(base, target)
		if rules.AllowsExactly(target) && got != target {
			t.Errorf("%q is allowed exactly, and resolved it is %q, %v", target, got, err)
		}
		if err != nil {
			if got != "" {
				t.Errorf("got both %q and %v", got, err)
			}
			return
		}
		if again, err := rules.Resolve(base, got); err != nil || again != got {
			t.Errorf("%q becomes %q, and that %q, %v", target, got, again, err)
		}
		if strings.ContainsAny(got, "\r\n\t\x00 \\") {
			t.Errorf("%q becomes %q, which has no place in a header", target, got)
		}
		origin, path := browsed(got)
		allowed := origin == "https://gate.example" ||
			origin == "https://app.example.com" && strings.HasPrefix(path, "/dir/") ||
			origin == "https://exact.example" && path == "/back?x=1" ||
			origin == "com.example.app:" && path == "/callback" ||
			strings.HasPrefix(origin, "http://127.0.0.1") && strings.Trim(origin[len("http://127.0.0.1"):], ":0123456789") == "" && path == "/cb"
		if !allowed {
			t.Errorf("%q becomes %q, which a browser takes for %s at %s", target, got, path, origin)
		}
	})
}

// browsed is the origin that a browser takes the absolute URL for, and its path and
// query, dot segments resolved.
func browsed(text string) (origin, path string) {
	text = strings.Trim(text, "\x00\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	text = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(text)
	scheme, rest, _ := strings.Cut(text, ":")
	scheme = strings.ToLower(scheme)
	rest, _, _ = strings.Cut(rest, "#")
	if scheme != "http" && scheme != "https" {
		return scheme + ":", rest
	}
	rest, query, asked := strings.Cut(rest, "?")
	rest = strings.TrimLeft(strings.ReplaceAll(rest, "\\", "/"), "/")
	authority, rest, _ := strings.Cut(rest, "/")
	host := authority[strings.LastIndex(authority, "@")+1:]
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":")
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	path = undotted(rest)
	if asked {
		path += "?" + query
	}
	return scheme + "://" + host, path
}

// undotted resolves the dot segments of a path, plain and encoded.
func undotted(path string) string {
	var kept []string
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		case ".":
		default:
			kept = append(kept, segment)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}
