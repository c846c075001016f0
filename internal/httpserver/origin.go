package httpserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"

	"galaxygate/internal/graphqlhttp"
)

// secure sets the headers that every answer has. Handlers that serve pages
// replace Content-Security-Policy and Cache-Control with their own.
func secure(origin string) Middleware {
	https := strings.HasPrefix(origin, "https://")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Cache-Control", "no-store")
			h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Referrer-Policy", "same-origin")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("X-Frame-Options", "DENY")
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
		AllowOriginFunc:  func(origin string) bool { return slices.Contains(origins, origin) },
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:   []string{"*"},
		ExposedHeaders:   []string{requestIDHeader, "Retry-After"},
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
// http.CrossOriginProtection lets them pass there as well.
func refuseForeign(cookie string, origins []string) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			navigation := r.Method == http.MethodGet || r.Method == http.MethodHead
			if navigation && r.URL.Path != graphqlhttp.Path || len(r.CookiesNamed(cookie)) == 0 || !foreign(r, origins) {
				next.ServeHTTP(w, r)
				return
			}
			Refuse(w, r, graphqlhttp.Refusal{
				Status:  http.StatusForbidden,
				Code:    graphqlhttp.CodeForbidden,
				Message: "This origin may not send requests with the session cookie.",
			})
		})
	}
}

// foreign reports whether a browser says that the request was made for a page
// of an origin that is not among those (Fetch Metadata, Sec-Fetch-Site).
func foreign(r *http.Request, origins []string) bool {
	origin := r.Header.Get("Origin")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return origin != "" && !slices.Contains(origins, origin)
	default:
		return !slices.Contains(origins, origin)
	}
}
