package playground

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"net/http"
)

// contentSecurityPolicy lets the page load its own files alone, and add styles
// by the nonce. Pictures may come from elsewhere: GraphiQL previews the ones
// that a response links to.
func contentSecurityPolicy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; connect-src 'self'; " +
		"font-src 'self' data:; img-src 'self' data: https:; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// Options say which page there is.
type Options struct {
	// Playground puts GraphiQL on the page; else it is a short one.
	Playground bool
	// SignedIn returns what to call the user of the request's session, and
	// whether there is one. The short page shows it.
	SignedIn func(ctx context.Context) (name string, ok bool)
}

// page is what the template shows.
type page struct {
	Playground bool
	Nonce      string
	SignedIn   bool
	Name       string
	Error      string
}

// Handler serves the page at "/" and its files under AssetsPath, by GET and
// HEAD. The page shows the error with which a sign-in came back (RFC 6749,
// section 4.1.2.1).
func Handler(o Options) (http.Handler, error) {
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	layout, err := template.New("page.html").
		Funcs(template.FuncMap{"asset": func(name string) string { return assets[name].url }}).
		ParseFS(files, "web/page.html")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	mux := http.NewServeMux()
	for _, a := range assets {
		mux.Handle("GET "+a.url, a)
	}
	mux.Handle("GET /{$}", o.page(layout))
	return mux, nil
}

func (o Options) page(layout *template.Template) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := page{Playground: o.Playground, Nonce: rand.Text()}
		p.Name, p.SignedIn = o.SignedIn(r.Context())
		p.Error = signInError(r)
		var body bytes.Buffer
		if err := layout.Execute(&body, p); err != nil {
			http.Error(w, "Internal error.", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", contentSecurityPolicy(p.Nonce))
		h.Set("Cache-Control", "no-store")
		_, _ = body.WriteTo(w) // the client has gone: nobody is left to tell
	}
}

// signInError returns what to say of the error in the request's URL. Anyone may
// have written that, so none of its words are shown.
func signInError(r *http.Request) string {
	switch r.URL.Query().Get("error") {
	case "":
		return ""
	case "access_denied":
		return "Sign-in was declined."
	case "temporarily_unavailable":
		return "Sign-in is not possible right now. Try again in a moment."
	default:
		return "Sign-in did not succeed. Please begin again."
	}
}
