package httpserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"

	"galaxygate/internal/errcode"
	"galaxygate/internal/graphqlhttp"
)

// powers are those that a browser gives to pages, and that none of ours uses.
const powers = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), serial=(), usb=()"

// secure sets the headers that every answer has. Handlers that serve pages
// replace Content-Security-Policy and Cache-Control with their own.
//
// A page has its window for itself, but for those under opened: what had opened it
// could not see it end.
func secure(origin, opened string) Middleware {
	https := strings.HasPrefix(origin, "https://")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Cache-Control", "no-store")
			h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Permissions-Policy", powers)
			h.Set("Referrer-Policy", "same-origin")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("X-Frame-Options", "DENY")
			if opened == "" || !strings.HasPrefix(r.URL.Path, opened) {
				h.Set("Cross-Origin-Opener-Policy", "same-origin")
			}
			if https {
				h.Set("Strict-Transport-Security", "max-age=31536000")
			}
			next.ServeHTTP(w, r)
		})
	}
}

// shareWith lets pages of the origins read answers to requests made with
// credentials (CORS), and answers their preflight requests.
func shareWith(origins []string) Middleware {
	return cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			return len(r.Header["Origin"]) == 1 && slices.Contains(origins, origin), nil // the library would repeat a second one
		},
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:   []string{"*"},
		ExposedHeaders:   []string{requestIDHeader, "Retry-After", "WWW-Authenticate"},
		AllowCredentials: true,
		MaxAge:           600,
	}).Handler
}

// refuseForeign refuses requests that carry the session cookie and that a
// browser sent for a page of another origin than those. A request that no
// browser marked passes.
//
// GET and HEAD pass too, so that links and redirects lead here, but not to the
// GraphQL API: a query made from elsewhere spends the user's rate limits.
func refuseForeign(cookie string, origins []string) Middleware {
	protection := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			panic(err) // config has checked them
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			navigation := r.Method == http.MethodGet || r.Method == http.MethodHead
			if navigation && r.URL.Path != graphqlhttp.Path || len(r.CookiesNamed(cookie)) == 0 ||
				!contradictory(r.Header) && protection.Check(unsafely(r)) == nil {
				next.ServeHTTP(w, r)
				return
			}
			Refuse(w, r, graphqlhttp.Refusal{
				Status:  http.StatusForbidden,
				Code:    errcode.Forbidden,
				Message: "This origin may not send requests with the session cookie.",
			})
		})
	}
}

// contradictory reports whether a browser's mark came twice: somebody else has put
// one there, and the first alone would count.
func contradictory(h http.Header) bool { return len(h["Origin"]) > 1 || len(h["Sec-Fetch-Site"]) > 1 }

// unsafely is the request as one by POST: http.CrossOriginProtection lets those by
// GET, HEAD and OPTIONS pass wherever they come from. Its host is none that an
// origin may have: where Sec-Fetch-Site is missing, the library passes any origin
// of the host that was asked, also by http, and a proxy may have put any there.
func unsafely(r *http.Request) *http.Request {
	return &http.Request{Method: http.MethodPost, URL: r.URL, Header: r.Header, Host: "/"}
}
