package httpserver

import (
	"net/http"
	"net/netip"
	"testing"
	"unicode/utf8"
)

// FuzzIdentity holds what is known of a client against what is true of any: it
// cannot choose its own address.
func FuzzIdentity(f *testing.F) {
	for _, seed := range [][2]string{
		{"192.0.2.1:80", "198.51.100.7"},
		{"10.0.0.1:80", "198.51.100.7, 10.0.0.2"},
		{"10.0.0.1:80", "10.0.0.3"},
		{"10.0.0.1:80", "unknown, 198.51.100.7"},
		{"[fd00::1]:80", "[2001:db8::1]:443"},
		{"10.0.0.1:80", "198.51.100.7:1234,"},
		{"[::ffff:10.0.0.1]:1", "::ffff:198.51.100.7"},
		{"[fe80::1%eth0]:1", "fe80::1%a"},
		{"@", ""},
		{"10.0.0.1", ",,"},
	} {
		f.Add(seed[0], seed[1], "Mozilla/5.0 \xff")
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	f.Fuzz(func(t *testing.T, peer, forwarded, agent string) {
		address := func(forwarded ...string) string {
			return clientAddress(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": forwarded}}, trusted)
		}
		got := address(forwarded)
		from, known := parseAddress(peer)
		if !known {
			if got != "" {
				t.Errorf("from %q: got %q", peer, got)
			}
			return
		}
		parsed, err := netip.ParseAddr(got)
		if err != nil || parsed.Zone() != "" || parsed.Is4In6() {
			t.Fatalf("got %q, %v", got, err)
		}
		if !within(trusted, from) && parsed != from {
			t.Errorf("%q says that it is %q, and is believed", peer, got)
		}
		if !within(trusted, parsed) { // it is known: whatever stands before it was written by the client
			for _, lie := range []string{"203.0.113.9", "10.9.9.9", "x", ""} {
				if lied := address(lie + "," + forwarded); lied != got {
					t.Errorf("with %q in front of %q: got %q, want %q", lie, forwarded, lied, got)
				}
				if lied := address(lie, forwarded); lied != got {
					t.Errorf("with %q in a line before %q: got %q, want %q", lie, forwarded, lied, got)
				}
			}
		}
		if short := cut(agent, maxUserAgent); len(short) > maxUserAgent || !utf8.ValidString(short) {
			t.Errorf("got %q", short)
		}
		if requestIDLike.MatchString(agent) && (len(agent) > 40 || agent != cut(agent, 40)) {
			t.Errorf("taken for the ID of a request: %q", agent)
		}
	})
}
