package strictop

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// login signs the chosen user in and sends the browser on, or shows a page of
// users where nobody is chosen. "user" in the query chooses, too.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	id, name := r.URL.Query().Get("id"), r.URL.Query().Get("user")
	p.mu.Lock()
	consent, refuse := p.consent, p.refuse
	if name == "" {
		name = p.user
	}
	p.mu.Unlock()

	request, ok := p.memory.request(id)
	if !ok {
		http.Error(w, "no such authorization request", http.StatusNotFound)
		return
	}
	if refuse {
		http.Redirect(w, r, denied(request.GetRedirectURI(), request.GetState()), http.StatusFound)
		return
	}
	if _, known := findUser(name); !known {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = loginPage().Execute(w, map[string]any{"ID": id, "Users": users()})
		return
	}
	p.memory.update(func(*memory) {
		request.subject = name
		request.Scopes = slices.DeleteFunc(request.Scopes, func(scope string) bool {
			return consent != nil && scope != oidc.ScopeOpenID && scope != oidc.ScopeOfflineAccess &&
				!slices.Contains(consent, scope)
		})
	})
	ctx := op.ContextWithIssuer(r.Context(), p.Issuer)
	http.Redirect(w, r, op.AuthCallbackURL(p.op)(ctx, id), http.StatusFound)
}

// denied is where a user who says no is sent (RFC 6749, section 4.1.2.1).
func denied(redirectURI, state string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return redirectURI
	}
	query := u.Query()
	query.Set("error", "access_denied")
	query.Set("error_description", "the user said no")
	query.Set("state", state)
	u.RawQuery = query.Encode()
	return u.String()
}

func loginPage() *template.Template {
	return template.Must(template.New("login").Parse(`<!doctype html>
<title>Sign in</title>
<h1>Sign in as</h1>
<ul>{{range .Users}}<li><a href="/login?id={{$.ID}}&amp;user={{.Subject}}">{{.Name}}</a>{{end}}</ul>
`))
}
