package playground

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"net/http"
)

// contentSecurityPolicy lets the page load its own files alone, and add styles by the
// nonce. Pictures come from nowhere else, so no request leaves the gateway by itself.
func contentSecurityPolicy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; connect-src 'self'; " +
		"font-src 'self' data:; img-src 'self' data:; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// donePath is where a sign-in in a window of its own ends.
const donePath = AssetsPath + "done"

// donePolicy is the Content-Security-Policy there.
const donePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Options say which page there is.
type Options struct {
	// Playground puts GraphiQL on the page; else it is a short one.
	Playground bool
	// TrustedOnly says that the API runs known operations alone. Then there is
	// nothing to explore, and the page is the short one, which says so.
	TrustedOnly bool
	// Introspection says that the API describes itself. Without it the page has no
	// docs and no completion.
	Introspection bool
	// Origin is the scheme and host that browsers use for the gateway.
	Origin string
	// SignedIn returns what to call the user of the request's session, and
	// whether there is one. The short page shows it.
	SignedIn func(ctx context.Context) (name string, ok bool)
}

// page is what the template shows.
type page struct {
	Playground    bool
	Refused       bool // the playground is wanted, and of no use
	Introspection bool
	Origin        string
	Nonce         string
	SignedIn      bool
	Name          string
	Error         string
	Errors        map[string]string
	Examples      []example
}

// Handler serves the page at "/" and its files under AssetsPath, by GET and
// HEAD. The page shows the error with which a sign-in came back (RFC 6749,
// section 4.1.2.1).
func Handler(o Options) (http.Handler, error) {
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	examples, err := loadExamples()
	if err != nil {
		return nil, err
	}
	layouts, err := template.New("").
		Funcs(template.FuncMap{"asset": func(name string) string { return assets[name].url }}).
		ParseFS(files, "web/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	mux := http.NewServeMux()
	for _, a := range assets {
		mux.Handle("GET "+a.url, a)
	}
	mux.Handle("GET /{$}", o.page(layouts.Lookup("page.html"), examples))
	if o.Playground {
		mux.Handle("GET "+donePath, done(layouts.Lookup("done.html")))
	}
	return mux, nil
}

func (o Options) page(layout *template.Template, examples []example) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := page{
			Playground:    o.Playground && !o.TrustedOnly,
			Refused:       o.Playground && o.TrustedOnly,
			Introspection: o.Introspection,
			Origin:        o.Origin,
			Nonce:         rand.Text(),
			Error:         signInError(r),
			Errors:        signInErrors(),
			Examples:      examples,
		}
		p.Name, p.SignedIn = o.SignedIn(r.Context())
		write(w, layout, contentSecurityPolicy(p.Nonce), p)
	}
}

// done serves the page that tells the playground, in another window, that a sign-in has
// ended. The two windows share nothing but their origin.
func done(layout *template.Template) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, layout, donePolicy, nil) }
}

func write(w http.ResponseWriter, layout *template.Template, policy string, data any) {
	var body bytes.Buffer
	if err := layout.Execute(&body, data); err != nil {
		http.Error(w, "Internal error.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	_, _ = body.WriteTo(w) // the client has gone: nobody is left to tell
}

// signInErrors are what is said of the errors of sign-ins, by their codes; "" is any
// other. Anyone may have written the URL that an error comes in, so none of its words
// are shown.
func signInErrors() map[string]string {
	return map[string]string{
		"access_denied":           "Sign-in was declined.",
		"temporarily_unavailable": "Sign-in is not possible right now. Try again in a moment.",
		"":                        "Sign-in did not succeed. Please begin again.",
	}
}

// signInError returns what to say of the error in the request's URL.
func signInError(r *http.Request) string {
	code := r.URL.Query().Get("error")
	if code == "" {
		return ""
	}
	all := signInErrors()
	if text, ok := all[code]; ok {
		return text
	}
	return all[""]
}
