package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// persisted are operations by a hash or an ID that is not theirs.
func (a attacker) persisted() []hostile {
	digest := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	unknown, wrong := digest("nobody knows"), digest("another document")
	invalid := "{ password }"
	var all []hostile
	for body, w := range map[string]want{
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + unknown + `"}}}`:                                   refusal(200, "PERSISTED_QUERY_NOT_FOUND"),
		`{"query":"","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + unknown + `"}}}`:                        refusal(200, "PERSISTED_QUERY_NOT_FOUND"),
		`{"query":"{__typename}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + wrong + `"}}}`:              refusal(200, "BAD_USER_INPUT"),
		`{"query":"` + invalid + `","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + digest(invalid) + `"}}}`: refusal(200, "GRAPHQL_VALIDATION_FAILED"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + digest(invalid) + `"}}}`:                           refusal(200, "PERSISTED_QUERY_NOT_FOUND"),
		`{"extensions":{"persistedQuery":{"version":2,"sha256Hash":"` + unknown + `"}}}`:                                   refusal(200, "PERSISTED_QUERY_NOT_SUPPORTED"),
		`{"extensions":{"persistedQuery":{"version":"1","sha256Hash":"` + unknown + `"}}}`:                                 refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":{"version":1}}}`:                                                                  refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":""}}}`:                                                  refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + canary + `"}}}`:                                    refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":["` + unknown + `"]}}}`:                                 refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"../../etc/passwd"}}}`:                                  refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":"` + canary + `"}}`:                                                               refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":[]}}`:                                                                             refusal(200, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":null}}`:                                                                           refusal(400, "BAD_USER_INPUT"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + strings.ToUpper(unknown) + `"}}}`:                  refusal(200, "PERSISTED_QUERY_NOT_FOUND"),
		`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + strings.Repeat("a", 100_000) + `"}}}`:              refusal(200, "BAD_USER_INPUT"),
		`{"documentId":"` + canary + `"}`:                                                                                  refusal(200, "PERSISTED_QUERY_NOT_SUPPORTED"),
		`{"documentId":"sha256:` + unknown + `"}`:                                                                          refusal(200, "PERSISTED_QUERY_NOT_FOUND"),
		`{"documentId":""}`:                                     refusal(400, "BAD_USER_INPUT"),
		`{"documentId":7}`:                                      refusal(400, "BAD_USER_INPUT"),
		`{"documentId":["` + canary + `"]}`:                     refusal(400, "BAD_USER_INPUT"),
		`{"documentId":"` + strings.Repeat("x", 100_000) + `"}`: refusal(200, "PERSISTED_QUERY_NOT_SUPPORTED"),
		`{"documentId":"../../etc/passwd"}`:                     refusal(200, "PERSISTED_QUERY_NOT_SUPPORTED"),
		`{"id":"` + unknown + `"}`:                              refusal(400, "BAD_USER_INPUT"),
		`{"doc_id":"` + unknown + `"}`:                          refusal(400, "BAD_USER_INPUT"),
	} {
		name := body
		if len(name) > 140 {
			name = fmt.Sprintf("%s… (%d bytes)", name[:140], len(body))
		}
		all = append(all, hostile{"persisted: " + name, a.post(strings.TrimSuffix(body, "}") + `,"variables":{"secret":"` + canary + `"}}`), w})
	}
	query := url.QueryEscape(`{"persistedQuery":{"version":1,"sha256Hash":"` + unknown + `"}}`)
	return append(all,
		hostile{"persisted: an unknown hash by GET", a.request("GET", "/graphql?extensions="+query, ""), refusal(200, "PERSISTED_QUERY_NOT_FOUND")},
		hostile{"persisted: a mutation by GET", a.request("GET", "/graphql?query=mutation{logout{sessionId}}&extensions="+
			url.QueryEscape(`{"persistedQuery":{"version":1,"sha256Hash":"`+digest("mutation{logout{sessionId}}")+`"}}`), ""), refusal(405, "BAD_USER_INPUT")},
	)
}

// crossSite is what a browser sends for a page of another origin. It carries the
// session's cookie, and nothing of it is executed.
func (a attacker) crossSite() []hostile {
	forbidden := refusal(403, "FORBIDDEN")
	const mutation = `{"query":"mutation{revokeAuthorization{revokedSessions}}"}`
	query := "/graphql?query=" + url.QueryEscape("{viewer{id email}}")
	var all []hostile
	marks := map[string][]string{
		"cross-site":                  {"Sec-Fetch-Site: cross-site", "Origin: https://" + canary + ".example"},
		"same-site":                   {"Sec-Fetch-Site: same-site", "Origin: http://" + a.host + ".example"},
		"cross-site, no origin":       {"Sec-Fetch-Site: cross-site"},
		"cross-site, origin null":     {"Sec-Fetch-Site: cross-site", "Origin: null"},
		"an older browser":            {"Origin: https://evil.example"},
		"an older browser, null":      {"Origin: null"},
		"an older browser, port":      {"Origin: http://127.0.0.1:1"},
		"an older browser, prefix":    {"Origin: http://" + a.host + ".evil.example"},
		"an older browser, userinfo":  {"Origin: http://" + a.host + "@evil.example"},
		"an unknown mark":             {"Sec-Fetch-Site: sideways", "Origin: https://evil.example"},
		"an allowed origin in part":   {"Sec-Fetch-Site: cross-site", "Origin: https://app.example.evil.example"},
		"an allowed origin, insecure": {"Sec-Fetch-Site: cross-site", "Origin: http://app.example"},
	}
	for name, mark := range marks {
		with := func(more ...string) []string { return append(append([]string{}, mark...), more...) }
		all = append(all,
			hostile{"from elsewhere: JSON, " + name, a.post(mutation, mark...), forbidden},
			hostile{"from elsewhere: text, " + name, a.post(mutation, with("Content-Type: text/plain")...), forbidden},
			hostile{"from elsewhere: a form, " + name, a.post("query=mutation{logout{sessionId}}", with("Content-Type: application/x-www-form-urlencoded")...), forbidden},
			hostile{"from elsewhere: an upload, " + name, a.post("--x--", with("Content-Type: multipart/form-data; boundary=x")...), forbidden},
			hostile{"from elsewhere: GET, " + name, a.request("GET", query, "", mark...), forbidden},
			hostile{"from elsewhere: HEAD, " + name, a.request("HEAD", query, "", mark...), status(403)},
			hostile{"from elsewhere: EventSource, " + name, a.request("GET", "/graphql?query="+url.QueryEscape("subscription{sessionEnded{at}}"), "", with("Accept: text/event-stream")...), forbidden},
			hostile{"from elsewhere: WebSocket, " + name, a.upgrade(mark...), status(403)},
			hostile{"from elsewhere: logout, " + name, a.request("POST", "/auth/logout", "", mark...), status(403)},
		)
	}
	return append(all,
		hostile{"from elsewhere: a preflight", a.request("OPTIONS", "/graphql", "", "Origin: https://"+canary+".example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type, "+canary), status(204)},
		hostile{"from elsewhere: a WebSocket without cookie", a.upgrade("Cookie: -", "Origin: https://evil.example"), status(403)},
	)
}

// upgrade writes the beginning of a WebSocket.
func (a attacker) upgrade(headers ...string) string {
	standard := []string{
		"Connection: close, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Protocol: graphql-transport-ws",
	}
	standard = slices.DeleteFunc(standard, func(h string) bool {
		name, _, _ := strings.Cut(h, ":")
		return slices.ContainsFunc(headers, func(given string) bool { return strings.HasPrefix(given, name+":") })
	})
	return a.request("GET", "/graphql", "", append(standard, headers...)...)
}

// credentials are not those of a session.
func (a attacker) credentials() []hostile {
	const query = "{viewer{id email}}"
	var all []hostile
	for _, value := range []string{
		"Bearer", "Bearer ", "Bearer  ", "bearer x", "Bearer " + canary, "Bearer " + strings.Repeat("A", 43), "Bearer " + strings.Repeat("B", 20_000),
		"Bearer a b c", "Bearer ' OR 1=1 --", "Bearer \xff\xfe", "Bearer %00", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
		"Bearer null", "Bearer undefined", "Bearer [object Object]", "Basic " + base64.StdEncoding.EncodeToString([]byte(canary+":"+canary)),
		"Digest username=" + canary, "Negotiate " + canary, canary, "Bearer,Bearer", "BearerX", "Bearer=" + canary,
	} {
		all = append(all, hostile{"credentials: " + fmt.Sprintf("%.50q", value), a.asks(query, "Cookie: -", "Authorization: "+value), nobody()})
	}
	for _, value := range []string{
		"galaxygate", "galaxygate=", "galaxygate=" + canary, "galaxygate=\"" + canary + "\"", "galaxygate=" + strings.Repeat("A", 43),
		"galaxygate=" + strings.Repeat("B", 4000), "galaxygate=a; galaxygate=b", "galaxygate=%00", "galaxygate=a,b", "GALAXYGATE=" + canary,
		"__Host-galaxygate=" + canary, "=galaxygate", ";;;", "galaxygate=\xff", "galaxygate=../../x", "galaxygate=' OR '1'='1",
	} {
		all = append(all, hostile{"cookie: " + fmt.Sprintf("%.50q", value), a.asks(query, "Cookie: "+value), nobody()})
	}
	return append(all,
		hostile{"credentials: two Authorization headers", a.asks(query, "Cookie: -", "Authorization: Bearer "+canary, "Authorization: Bearer x"), nobody()},
		hostile{"address: a hundred hops", a.asks(query, "X-Forwarded-For: "+strings.Repeat("10.0.0.1, ", 100)+canary), answered()},
		hostile{"address: nonsense", a.asks(query, "X-Forwarded-For: "+canary, "Forwarded: for="+canary, "X-Real-IP: "+canary), answered()},
		hostile{"host: another", a.asks(query, "Host: "+canary+".example"), answered()},
		hostile{"host: forwarded", a.asks(query, "X-Forwarded-Host: "+canary+".example", "X-Forwarded-Proto: "+canary), answered()},
		hostile{"trace: nonsense", a.asks(query, "Traceparent: 00-"+canary+"-x-01", "Tracestate: a="+canary, "Baggage: a="+canary), answered()},
		hostile{"trace: zeros", a.asks(query, "Traceparent: 00-00000000000000000000000000000000-0000000000000000-00"), answered()},
		hostile{"request ID: line breaks", a.asks(query, "X-Request-ID: a%0d%0a"+canary+" "+canary), answered()},
		hostile{"range: of an answer", a.asks(query, "Range: bytes=0-10,5-20,-1"), answered()},
		hostile{"condition: of an answer", a.asks(query, "If-None-Match: *", "If-Modified-Since: "+canary), answered()},
		hostile{"cost: asked for by nonsense", a.asks(query, "X-Galaxygate-Cost: "+canary), answered()},
	)
}

// signIns are requests to the endpoints of the sign-in.
func (a attacker) signIns() []hostile {
	var all []hostile
	for _, target := range []string{
		"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example", "http:/evil.example",
		"javascript:alert(1)", "data:text/html,x", "vbscript:x", "\t//evil.example", " //evil.example", "/\n/evil.example",
		"https://" + a.host + "@evil.example", "https://app.example.evil.example", "//" + a.host + ".evil.example", "http://[::1", "https://evil.example#" + a.host,
		"/x\r\nSet-Cookie: a=b", "%2f%2fevil.example", "https://evil.example/\\@" + a.host, "http://127.0.0.1:1/", "file:///etc/passwd", "ftp://" + a.host, canary,
	} {
		all = append(all, hostile{"return_to: " + fmt.Sprintf("%q", target), a.request("GET", "/auth/login?return_to="+url.QueryEscape(target), ""), status(400)})
	}
	return append(all,
		hostile{"login: two return_to", a.request("GET", "/auth/login?return_to=/&return_to=/", ""), status(400)},
		hostile{"login: a scope of line breaks", a.request("GET", "/auth/login?scope=a%0d%0ab", ""), status(303)},
		hostile{"login: 1,000 scopes", a.request("GET", "/auth/login?scope="+strings.Repeat("x+", 1000), ""), status(400)},
		hostile{"login: a broken query", a.request("GET", "/auth/login?return_to=%zz", ""), status(400)},
		hostile{"callback: nothing", a.request("GET", "/auth/callback", ""), status(400)},
		hostile{"callback: a stranger's state", a.request("GET", "/auth/callback?code="+canary+"&state="+canary, ""), status(400)},
		hostile{"callback: two states", a.request("GET", "/auth/callback?code=a&state=b&state=c", ""), status(400)},
		hostile{"callback: two codes", a.request("GET", "/auth/callback?code=a&code=b&state=c", ""), status(400)},
		hostile{"callback: an error of markup", a.request("GET", "/auth/callback?state=x&error=<script>"+canary+"</script>&error_description="+canary, ""), status(400)},
		hostile{"callback: 50 KB", a.request("GET", "/auth/callback?state="+strings.Repeat("x", 50_000), ""), status(400)},
		hostile{"start page: an error of markup", a.request("GET", "/?error="+canary+"&error_description=<img%20src=x>", ""), status(200)},
		hostile{"logout: a return_to elsewhere", a.request("POST", "/auth/logout?return_to=//evil.example", "", "Cookie: -"), status(400)},
		hostile{"logout: a form that returns elsewhere", a.request("POST", "/auth/logout", "return_to=https://evil.example", "Cookie: -", "Content-Type: application/x-www-form-urlencoded"), status(400)},
		hostile{"back-channel logout: nothing", a.request("POST", "/auth/backchannel-logout", ""), status(400)},
		hostile{"back-channel logout: no token", a.request("POST", "/auth/backchannel-logout", "logout_token="+canary, "Content-Type: application/x-www-form-urlencoded"), status(400)},
		hostile{"back-channel logout: unsigned", a.request("POST", "/auth/backchannel-logout", "logout_token=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "Content-Type: application/x-www-form-urlencoded"), status(400)},
		hostile{"back-channel logout: 5 MB", a.request("POST", "/auth/backchannel-logout", "logout_token="+strings.Repeat("x", 5<<20), "Content-Type: application/x-www-form-urlencoded"), status(400)},
	)
}
