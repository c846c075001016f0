package devrollup

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Visitor is a person at a browser, who fills in Passport's forms over HTTP. For
// tests.
type Visitor struct {
	// Person is alice or bob; used where the sign-in page is shown.
	Person string
	// Deny makes them say no on the consent page.
	Deny bool
	// Scopes are those allowed of what is asked; nil, all of them.
	Scopes []string
	// Accounts are the URNs of the accounts allowed; nil, all of them.
	Accounts []string
	// Client sends the requests; nil, one made with a cookie jar of its own on
	// the first visit. It must have a jar, and follow no redirects.
	Client *http.Client
	// Pages counts the pages that were shown, over all visits.
	Pages int
}

var offered = regexp.MustCompile(`name="(scope|account)" value="([^"]+)"`)

// maxPages is after how many answers a visit has lost its way.
const maxPages = 8

// Visit opens an authorization URL, fills in whatever is shown, and returns the
// address that the browser is sent back to, which it does not open.
func (v *Visitor) Visit(ctx context.Context, authorizationURL string) (*url.URL, error) {
	if v.Client == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, fmt.Errorf("make cookie jar: %w", err)
		}
		v.Client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
	}
	var form url.Values
	for range maxPages {
		location, page, err := v.send(ctx, authorizationURL, form)
		if err != nil {
			return nil, err
		}
		switch {
		case location != nil && location.Path != "/authorize":
			return location, nil
		case location != nil:
			authorizationURL, form = location.String(), nil
		default:
			v.Pages++
			form = v.fill(page)
		}
	}
	return nil, errors.New("the visit goes round in circles")
}

// send returns either where the answer redirects to or the page that it shows.
func (v *Visitor) send(ctx context.Context, target string, form url.Values) (*url.URL, string, error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", fmt.Errorf("make request: %w", err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := v.Client.Do(request)
	if err != nil {
		return nil, "", fmt.Errorf("open authorization URL: %w", err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, "", fmt.Errorf("read page: %w", err)
	}
	switch response.StatusCode {
	case http.StatusSeeOther:
		location, err := response.Location()
		return location, "", err
	case http.StatusOK:
		return nil, string(page), nil
	}
	return nil, "", fmt.Errorf("page answers %s", response.Status)
}

// fill answers a page: sign-in where there is nothing to decide, else consent.
func (v *Visitor) fill(page string) url.Values {
	if !strings.Contains(page, `name="decision"`) {
		return url.Values{"person": {v.Person}}
	}
	if v.Deny {
		return url.Values{"decision": {"deny"}}
	}
	form := url.Values{"decision": {"allow"}}
	for _, match := range offered.FindAllStringSubmatch(page, -1) {
		name, value := match[1], html.UnescapeString(match[2])
		wanted := v.Scopes
		if name == "account" {
			wanted = v.Accounts
		}
		if wanted == nil || slices.Contains(wanted, value) {
			form.Add(name, value)
		}
	}
	return form
}
