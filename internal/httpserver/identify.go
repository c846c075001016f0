package httpserver

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"galaxygate/internal/audit"
)

const (
	requestIDHeader = "X-Request-ID"
	maxUserAgent    = 256
)

// requestIDLike matches the request IDs that are taken over from a caller. It
// is shorter than any token of the gateway's, so that none passes for an ID and
// ends up in every log line.
var requestIDLike = regexp.MustCompile(`^[A-Za-z0-9._:-]{8,40}$`)

// identify gives the request an ID, which the response repeats, and puts its
// audit.Actor into the context.
func identify(trusted []netip.Prefix) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			actor := audit.Actor{
				IPAddress: clientAddress(r, trusted),
				UserAgent: cut(r.UserAgent(), maxUserAgent),
				RequestID: r.Header.Get(requestIDHeader),
			}
			if actor.RequestID == "" || !requestIDLike.MatchString(actor.RequestID) {
				actor.RequestID = rand.Text()
			}
			w.Header().Set(requestIDHeader, actor.RequestID)
			next.ServeHTTP(w, r.WithContext(audit.WithActor(r.Context(), actor)))
		})
	}
}

// clientAddress is the peer's address; where that is a trusted proxy, the
// rightmost address in X-Forwarded-For that is none. What stands left of it
// anyone may have written.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	address, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(trusted, address); i-- {
		hop, ok := parseAddress(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		address = hop
	}
	return address.String()
}

// parseAddress reads an IP address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return address.Unmap().WithZone(""), err == nil
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// cut shortens text to at most n bytes of valid UTF-8.
func cut(text string, n int) string {
	return strings.ToValidUTF8(text[:min(len(text), n)], "")
}
