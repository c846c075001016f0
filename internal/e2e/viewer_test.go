package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// seen is what a client sees that asks for the user's name, which the gateway
// can know by a valid token alone.
type seen struct {
	name  string
	code  string // of the error, where there is one
	fault error  // why there is no answer
}

// viewer asks the gateway at the URL, under that session.
func viewer(ctx context.Context, client *http.Client, url, session string) seen {
	body := strings.NewReader(`{"query":"{ viewer { name } }"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/graphql", body)
	if err != nil {
		return seen{fault: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+session)
	resp, err := client.Do(req)
	if err != nil {
		return seen{fault: err}
	}
	defer resp.Body.Close()
	var r result
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return seen{fault: err}
	}
	name, _ := r.at("viewer", "name").(string)
	code, _ := r.code("name")
	if code == "" && len(r.Errors) > 0 {
		code = r.Errors[0].Message
	}
	return seen{name: name, code: code}
}
