package redirect_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"galaxygate/internal/redirect"
)

var rules = []string{
	"https://app.example.com/callback",
	"https://app.example.com/deep/*",
	"https://exact.example.com/a?b=c",
	"com.example.app:/signed-in",
	"com.example.app://signed-in",
	"http://127.0.0.1/native",
	"http://[::1]/native",
	"http://localhost:3000/spa",
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target, want string // want is empty: refused
	}{
		{"a path of the gateway", "/profile?tab=1#top", "https://gate.example.com/profile?tab=1#top"},
		{"an absolute URL of the gateway", "https://gate.example.com/x", "https://gate.example.com/x"},
		{"the gateway by http", "http://gate.example.com/x", ""},
		{"the gateway on another port", "https://gate.example.com:444/x", ""},
		{"a host with the gateway's name in front", "https://gate.example.com.evil.example/", ""},
		{"the gateway as a user name", "https://gate.example.com@evil.example/", ""},
		{"two slashes", "//evil.example/", ""},
		{"slash and backslash", `/\evil.example/`, ""},
		{"backslashes", `\\evil.example`, ""},
		{"a tab in the slashes", "/\t/evil.example/", ""},
		{"a newline", "/a\r\nSet-Cookie: x=y", ""},
		{"an empty address", "", ""},
		{"a relative path", "profile", ""},
		{"code", "javascript:alert(1)", ""},
		{"code in capitals", "JavaScript://gate.example.com/%0aalert(1)", ""},
		{"data", "data:text/html,x", ""},
		{"an allowed URL", "https://app.example.com/callback", "https://app.example.com/callback"},
		{"an allowed URL with a query of its own", "https://app.example.com/callback?x=1", ""},
		{"an allowed URL with a fragment", "https://app.example.com/callback#x", ""},
		{"an allowed URL with a slash more", "https://app.example.com/callback/", ""},
		{"an allowed URL with its query", "https://exact.example.com/a?b=c", "https://exact.example.com/a?b=c"},
		{"an allowed host by http", "http://app.example.com/callback", ""},
		{"below an allowed path", "https://app.example.com/deep/er/still?q=1", "https://app.example.com/deep/er/still?q=1"},
		{"beside an allowed path", "https://app.example.com/deeper", ""},
		{"dot segments", "https://app.example.com/deep/../secret", ""},
		{"encoded dot segments", "https://app.example.com/deep/%2e%2E/secret", ""},
		{"dot segments encoded twice", "https://app.example.com/deep/%252e%252e/secret", ""},
		{"dot segments encoded often", "https://app.example.com/deep/%2525252525252e%2525252525252e/secret", ""},
		{"a host in capitals", "https://APP.example.com/callback", "https://app.example.com/callback"},
		{"encoded slashes", "https://app.example.com/deep/..%2fsecret", ""},
		{"encoded backslashes", "https://app.example.com/deep/..%5Csecret", ""},
		{"a private-use scheme", "com.example.app:/signed-in", "com.example.app:/signed-in"},
		{"a private-use scheme with a host", "com.example.app://signed-in", "com.example.app://signed-in"},
		{"a private-use scheme, another path", "com.example.app:/other", ""},
		{"loopback on any port", "http://127.0.0.1:51004/native", "http://127.0.0.1:51004/native"},
		{"IPv6 loopback on any port", "http://[::1]:51004/native", "http://[::1]:51004/native"},
		{"loopback, another path", "http://127.0.0.1:51004/other", ""},
		{"another loopback address", "http://127.0.0.2:51004/native", ""},
		{"localhost keeps its port", "http://localhost:3000/spa", "http://localhost:3000/spa"},
		{"localhost on another port", "http://localhost:3001/spa", ""},
	}
	base := &url.URL{Scheme: "https", Host: "gate.example.com"}
	parsed, err := redirect.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parsed.Resolve(base, tt.target)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (tt.want == "") != errors.Is(err, redirect.ErrRefused) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestAllowsExactly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target string
		want         bool
	}{
		{"an allowed URL", "https://app.example.com/callback", true},
		{"its host in capitals", "https://APP.example.com/callback", false},
		{"its path encoded", "https://app.example.com/%63allback", false},
		{"its port spelled out", "https://app.example.com:443/callback", false},
		{"a query of its own", "https://app.example.com/callback?x=1", false},
		{"an empty query", "https://app.example.com/callback?", false},
		{"an empty fragment", "https://app.example.com/callback#", false},
		{"an allowed URL with its query", "https://exact.example.com/a?b=c", true},
		{"below an allowed path", "https://app.example.com/deep/er", false},
		{"the rule of an allowed path", "https://app.example.com/deep/*", false},
		{"a path of the gateway", "/profile", false},
		{"the gateway", "https://gate.example.com/", false},
		{"a private-use scheme", "com.example.app:/signed-in", true},
		{"its scheme in capitals", "COM.example.app:/signed-in", false},
		{"a private-use scheme with a host", "com.example.app://signed-in", true},
		{"a private-use scheme, another path", "com.example.app:/other", false},
		{"loopback without a port", "http://127.0.0.1/native", true},
		{"loopback on any port", "http://127.0.0.1:51004/native", true},
		{"IPv6 loopback on any port", "http://[::1]:51004/native", true},
		{"loopback on no port", "http://127.0.0.1:/native", false},
		{"loopback on port 0", "http://127.0.0.1:0/native", false},
		{"loopback on a port beyond the last", "http://127.0.0.1:65536/native", false},
		{"loopback by https", "https://127.0.0.1:51004/native", false},
		{"loopback, another path", "http://127.0.0.1:51004/native/", false},
		{"loopback with a user name", "http://127.0.0.1:51004@evil.example/native", false},
		{"another loopback address", "http://127.0.0.2:51004/native", false},
		{"loopback by name", "http://localhost:51004/native", false},
		{"localhost on its port", "http://localhost:3000/spa", true},
		{"localhost on another port", "http://localhost:3001/spa", false},
		{"nothing", "", false},
		{"a newline", "https://app.example.com/callback\n", false},
	}
	parsed, err := redirect.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := parsed.AllowsExactly(tt.target); got != tt.want {
				t.Errorf("%q: got %v", tt.target, got)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, rule, want string
	}{
		{"any address", "*", "scheme is missing"},
		{"a wildcard host", "https://*.example.com/", "* is only allowed at the end"},
		{"a wildcard without a host", "com.example.app:/*", "needs a host"},
		{"plain http", "http://app.example.com/", "only allowed on loopback"},
		{"code", "javascript:alert(1)", "runs code"},
		{"a fragment", "https://app.example.com/#x", "fragment"},
		{"no host", "https:///path", "host is missing"},
		{"a user name", "https://alice@app.example.com/", "user name"},
		{"dot segments before the wildcard", "https://app.example.com/a/../*", "dot segments"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := redirect.Parse([]string{tt.rule})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	_, err := redirect.Parse([]string{"*", "https:///x"})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v, want both problems", err)
	}
}
