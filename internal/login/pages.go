package login

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"galaxygate/internal/grant"
)

// failure is why a sign-in did not succeed: what the user reads, and what the
// log and the audit log hold.
type failure struct {
	page   page
	reason string
	err    error // may be nil
}

// page is one of the pages that a user reads when something went wrong.
type page int

const (
	badReturn page = iota
	badApp
	badScope
	badState
	denied
	providerAway
	providerBroken
	providerRefuses
	storeAway
)

// content is what a page says. None repeats what the request or the provider
// said.
type content struct {
	status int
	code   string // for return_to's error parameter
	title  string
	text   string
}

func (p page) content() content {
	switch p {
	case badReturn:
		return content{
			http.StatusBadRequest, "invalid_request", "This link is not right",
			"The address to return to after sign-in is not one that this service allows.",
		}
	case badApp:
		return content{
			http.StatusBadRequest, "invalid_request", "This link is not right",
			"It does not come from an app that this service knows, or would lead to where that app does not belong.",
		}
	case badScope:
		return content{
			http.StatusBadRequest, "invalid_scope", "This link is not right",
			"The permissions that it asks for are not well-formed.",
		}
	case badState:
		return content{
			http.StatusBadRequest, "invalid_request", "This sign-in is over",
			"It was already used, took too long, or was begun in another browser. Nothing has happened; please begin again.",
		}
	case denied:
		return content{
			http.StatusForbidden, "access_denied", "You were not signed in",
			"You chose not to give your consent. You can try again whenever you like.",
		}
	case providerAway:
		return content{
			http.StatusServiceUnavailable, "temporarily_unavailable", "Sign-in is not available right now",
			"The sign-in service did not answer as it should. Please try again in a moment.",
		}
	case providerBroken:
		return content{
			http.StatusBadGateway, "server_error", "You could not be signed in",
			"The sign-in service sent an answer that cannot be trusted or used. Please begin again.",
		}
	case providerRefuses:
		return content{
			http.StatusServiceUnavailable, "server_error", "Sign-in is not available right now",
			"This service and its sign-in service do not agree on how it is set up. Its operators have to mend that.",
		}
	default: // storeAway
		return content{
			http.StatusServiceUnavailable, "temporarily_unavailable", "Sign-in is not available right now",
			"Something on our side is not available. You are not signed out; please try again in a moment.",
		}
	}
}

// providerFailure says what a provider's failure means for a sign-in.
func providerFailure(err error) failure {
	f := grant.AsFailure(err)
	switch f.Kind {
	case grant.OperatorFault:
		return failure{providerRefuses, f.Reason, f}
	case grant.SignInAgain:
		return failure{providerBroken, f.Reason, f}
	default:
		return failure{providerAway, f.Reason, f}
	}
}

// refusal says what an error code in the authorization response means (RFC
// 6749, section 4.1.2.1; OpenID Connect Core 1.0, section 3.1.2.6).
func refusal(code string) *failure {
	switch code {
	case "access_denied", "consent_required", "interaction_required", "login_required", "account_selection_required":
		return &failure{denied, code, nil}
	case "temporarily_unavailable":
		return &failure{providerAway, code, nil}
	case "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "server_error":
		return &failure{providerBroken, code, nil}
	default:
		return &failure{providerBroken, "unknown_error", errors.New("the provider answered with an error code of its own")}
	}
}

//go:embed page.css
var pageCSS string

//nolint:gochecknoglobals // parsed once, and never changed
var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>{{.CSS}}</style>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
<p><a href="/auth/login">Sign in</a> <a href="/">Start page</a></p>
</main>
</html>
`))

// page answers with a page that explains what went wrong and has a way on.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, p page) {
	c := p.content()
	sum := sha256.Sum256([]byte(pageCSS))
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "+
		"style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	w.WriteHeader(c.status)
	data := struct {
		Title, Text string
		CSS         template.CSS
	}{c.title, c.text, template.CSS(pageCSS)} //nolint:gosec // our own file
	if err := pageTemplate.Execute(w, data); err != nil {
		h.Logger.DebugContext(r.Context(), "page not written", "error", err)
	}
}
