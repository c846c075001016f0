package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// answer is a GraphQL response.
type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors []problem       `json:"errors"`
}

// problem is one of its errors. Its code says what to do.
type problem struct {
	Message    string `json:"message"`
	Path       []any  `json:"path"`
	Extensions struct {
		Code            string `json:"code"`
		ConsentURL      string `json:"consentUrl"`
		Service         string `json:"service"`
		RetryAfter      int    `json:"retryAfter"`
		UpstreamMessage string `json:"upstreamMessage"`
	} `json:"extensions"`
}

// Error says in one line what to do about the problem.
func (p problem) Error() string { return plain(p.advice()) }

func (p problem) advice() string {
	field, e := "", p.Extensions
	for _, step := range p.Path {
		field += fmt.Sprint(step) + ": "
	}
	switch e.Code {
	case "UNAUTHENTICATED":
		return errSignedOut.Error()
	case "REAUTHENTICATION_REQUIRED":
		return field + "your consent can no longer be used; sign in again: " + program + " sign-in"
	case "INSUFFICIENT_SCOPE":
		// The address, which is for browsers, names the scopes: those consented to,
		// which are not to be lost, and those that are missing.
		at, err := url.Parse(e.ConsentURL)
		if err != nil {
			return field + p.Message
		}
		return field + "this needs your consent: " + program + " consent " + at.Query().Get("scope")
	case "UPSTREAM_UNAVAILABLE", "UPSTREAM_RATE_LIMITED", "RATE_LIMITED":
		when := "later"
		if e.RetryAfter > 0 {
			when = fmt.Sprintf("in %d s", e.RetryAfter)
		}
		return fmt.Sprintf("%s%s cannot answer now; try again %s", field, cmp.Or(e.Service, "the gateway"), when)
	case "UPSTREAM_ERROR":
		return field + cmp.Or(e.UpstreamMessage, p.Message)
	default: // the document or its arguments are wrong, or the gateway is
		return fmt.Sprintf("%s%s (%s)", field, p.Message, e.Code)
	}
}

// ask sends the document with the session that is kept. What it returns is there
// also where some of it is missing, as the error then tells.
func (a *app) ask(ctx context.Context, document string) (json.RawMessage, error) {
	session, err := a.keep.load()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.gateway+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+session)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/graphql-response+json")
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		return nil, fmt.Errorf("the gateway answers %s, and no GraphQL: %w", response.Status, err)
	}
	var problems []error
	for _, p := range got.Errors {
		problems = append(problems, p)
	}
	return got.Data, errors.Join(problems...)
}

// query prints what the gateway answers, as JSON.
func (a *app) query(ctx context.Context, document string) error {
	data, problem := a.ask(ctx, document)
	if len(data) > 0 {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, data, "", "  "); err != nil {
			return err
		}
		fmt.Fprintln(a.out, pretty.String())
	}
	if problem != nil {
		return problem
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err == nil && string(fields["viewer"]) == "null" {
		return errSignedOut // nobody is asking: the session has ended
	}
	return nil
}

const whoAmI = `{
  viewer { id name email connectedAccounts { nodes { type identifier title } } }
  session { kind createdAt expiresAt }
}`

// whoami prints who is signed in, as far as they have consented to tell.
func (a *app) whoami(ctx context.Context) error {
	data, problem := a.ask(ctx, whoAmI)
	var got struct {
		Viewer *struct {
			ID, Name, Email   string
			ConnectedAccounts struct {
				Nodes []struct{ Type, Identifier, Title string }
			}
		}
		Session struct {
			Kind                 string
			CreatedAt, ExpiresAt time.Time
		}
	}
	if len(data) == 0 {
		return problem
	}
	if err := json.Unmarshal(data, &got); err != nil {
		return err
	}
	if got.Viewer == nil {
		return cmp.Or(problem, errSignedOut)
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "user\t%s\n", plain(got.Viewer.ID))
	fmt.Fprintf(table, "name\t%s\n", plain(got.Viewer.Name))
	fmt.Fprintf(table, "e-mail\t%s\n", plain(got.Viewer.Email))
	for _, account := range got.Viewer.ConnectedAccounts.Nodes {
		fmt.Fprintf(table, "account\t%s %s %s\n", account.Type, plain(account.Identifier), plain(account.Title))
	}
	fmt.Fprintf(table, "session\t%s, since %s, until %s unless it is used\n", got.Session.Kind,
		got.Session.CreatedAt.Local().Format(time.DateTime), got.Session.ExpiresAt.Local().Format(time.DateTime))
	return errors.Join(table.Flush(), problem)
}

// plain is text without what would move the terminal's cursor: others wrote it.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}
