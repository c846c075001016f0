package e2e_test

import (
	"fmt"
	"strings"
)

// malformedHTTP is what is not HTTP/1.1 (RFC 9112), or hardly.
func (a attacker) malformedHTTP() []hostile {
	host := "Host: " + a.host + "\r\n"
	end := "Cookie: " + canary + "=" + canary + "\r\nConnection: close\r\n\r\n"
	refused := status(400)
	var all []hostile
	for name, line := range map[string]string{
		"no version":              "GET /graphql",
		"a version of the future": "GET /graphql HTTP/9.9",
		"a version of the past":   "GET /graphql HTTP/0.9",
		"a method in parts":       "GE T /graphql HTTP/1.1",
		"no target":               "GET  HTTP/1.1",
		"a target with a NUL":     "GET /graph\x00ql HTTP/1.1",
		"a target with a tab":     "GET /graph\tql HTTP/1.1",
		"a broken escape":         "GET /%zz HTTP/1.1",
		"a line of spaces":        "      ",
		"TLS where none is":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"only a method":           "POST",
	} {
		want := refused
		if strings.HasPrefix(name, "a version") {
			want = status(505)
		}
		all = append(all, hostile{"request line: " + name, line + "\r\n" + host + end, want})
	}
	for name, header := range map[string]string{
		"no colon":               "Nonsense\r\n",
		"a space before colon":   "X-Secret : " + canary + "\r\n",
		"a NUL":                  "X-Secret: a\x00b\r\n",
		"a bare carriage return": "X-Secret: a\rb: " + canary + "\r\n",
		"a name with a space":    "X Secret: " + canary + "\r\n",
		"a name of controls":     "\x01\x02: " + canary + "\r\n",
		"an empty name":          ": " + canary + "\r\n",
		"two hosts":              host,
		"a host with a space":    "Host: a b\r\n",
	} {
		all = append(all, hostile{"header: " + name, "GET /graphql?query={__typename} HTTP/1.1\r\n" + host + header + end, refused})
	}
	return append(all,
		hostile{"header: no host", "GET /graphql HTTP/1.1\r\n" + end, refused},
		hostile{"header: a folded line", "GET /graphql?query={__typename} HTTP/1.1\r\n" + host + "X-Secret: a\r\n " + canary + "\r\n" + end, answered()},
		hostile{"header: 100 KB", a.request("GET", "/", "", "X-Secret: "+strings.Repeat("x", 100<<10)), status(431)},
		hostile{"header: 5,000 of them", a.request("GET", "/", "", strings.Repeat("X-Secret: "+canary+"\r\n", 5000)+"X-Last: 1"), status(431)},
		hostile{"header: a cookie of 50 KB", a.request("GET", "/", "", "Cookie: galaxygate="+strings.Repeat("x", 50<<10)), status(200)},
		hostile{"header: 2,000 cookies", a.request("GET", "/", "", "Cookie: "+strings.Repeat("a=b; ", 2000)), status(200)},
		hostile{"target: of another host", a.request("GET", "http://evil.example/graphql?query={__typename}", ""), answered()},
		hostile{"target: an asterisk", a.request("OPTIONS", "*", ""), status(200)},
		hostile{"target: 60 KB", a.request("GET", "/"+strings.Repeat("x", 60<<10), ""), status(404)},
		hostile{"target: dots", a.request("GET", "/../../../../etc/passwd", ""), status(307)},
		hostile{"target: encoded dots", a.request("GET", "/assets/%2e%2e/%2e%2e/etc/passwd", ""), status(404)},
		hostile{"target: two slashes", a.request("GET", "//evil.example/auth/login", ""), status(307)},
		hostile{"target: a backslash", a.request("GET", "/\\evil.example", ""), status(404)},
		hostile{"target: a secret in the path", a.request("GET", "/"+strings.Repeat("k", 43), ""), status(404)},
		hostile{"target: line breaks in the path", a.request("GET", "/%0d%0aSet-Cookie:%20a=b", ""), status(404)},
		hostile{"expect: something", a.asks("{__typename}", "Expect: 200-"+canary), status(417)},
		hostile{"upgrade: to what nobody speaks", a.request("GET", "/graphql?query={__typename}", "", "Connection: Upgrade, close", "Upgrade: "+canary), answered()},
		hostile{"upgrade: h2c by HTTP/1.1", a.request("GET", "/graphql?query={__typename}", "", "Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), answered()},
		hostile{"HTTP/2: a preface and no more", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want{}},
		hostile{"HTTP/2: a preface and rubbish", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1000), want{}},
	)
}

// smuggling are bodies whose end is in dispute (RFC 9112, section 6.3), behind which
// another request hides.
func (a attacker) smuggling() []hostile {
	hidden := "GET /auth/login HTTP/1.1\r\nHost: " + a.host + "\r\n\r\n"
	body := `{"query":"{__typename}"}`
	chunked := "18\r\n" + body + "\r\n0\r\n\r\n"
	var all []hostile
	for name, c := range map[string]struct {
		headers []string
		body    string
		want    want
	}{
		"a length and chunks":          {[]string{"Content-Length: 6", "Transfer-Encoding: chunked"}, "0\r\n\r\n" + hidden, status(400)},
		"two lengths":                  {[]string{"Content-Length: 5", "Content-Length: 24"}, body + hidden, status(400)},
		"a list of lengths":            {[]string{"Content-Length: 24, 24"}, body, status(400)},
		"a negative length":            {[]string{"Content-Length: -1"}, body, status(400)},
		"a length with a sign":         {[]string{"Content-Length: +24"}, body, status(400)},
		"a length in hex":              {[]string{"Content-Length: 0x18"}, body, status(400)},
		"a length beyond 64 bits":      {[]string{"Content-Length: 99999999999999999999"}, body, status(400)},
		"a length of exabytes":         {[]string{"Content-Length: 999999999999999999"}, body, status(413)},
		"a length too short":           {[]string{"Content-Length: 10"}, body + hidden, status(400)},
		"an unknown coding":            {[]string{"Content-Length: -", "Transfer-Encoding: " + canary}, chunked, status(501)},
		"chunks twice":                 {[]string{"Content-Length: -", "Transfer-Encoding: chunked, chunked"}, chunked, status(501)},
		"chunks in disguise":           {[]string{"Content-Length: -", "Transfer-Encoding: xchunked"}, chunked, status(501)},
		"chunks after identity":        {[]string{"Content-Length: -", "Transfer-Encoding: identity, chunked"}, chunked, status(501)},
		"two codings":                  {[]string{"Content-Length: -", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"}, chunked, status(501)},
		"a vertical tab in the coding": {[]string{"Content-Length: -", "Transfer-Encoding: \x0bchunked"}, chunked, status(400)},
		"a chunk of no size":           {[]string{"Content-Length: -", "Transfer-Encoding: chunked"}, "\r\n" + body, status(400)},
		"a chunk of a strange size":    {[]string{"Content-Length: -", "Transfer-Encoding: chunked"}, "zz\r\n" + body, status(400)},
		"a chunk of exabytes":          {[]string{"Content-Length: -", "Transfer-Encoding: chunked"}, "fffffffffffffffff\r\n" + body, status(400)},
		"a chunk with a long comment":  {[]string{"Content-Length: -", "Transfer-Encoding: chunked"}, "18;" + strings.Repeat("x", 20_000) + "\r\n" + body + "\r\n0\r\n\r\n", status(400)},
		"a chunk that ends early":      {[]string{"Content-Length: -", "Transfer-Encoding: chunked"}, "18\r\n" + body + "0\r\n\r\n", status(400)},
		"many trailers":                {[]string{"Content-Length: -", "Transfer-Encoding: chunked"}, "18\r\n" + body + "\r\n0\r\n" + strings.Repeat("X-T: "+canary+"\r\n", 5000) + "\r\n", refusal(400, "BAD_USER_INPUT")},
		"a session in a trailer":       {[]string{"Content-Length: -", "Cookie: -", "Transfer-Encoding: chunked", "Trailer: Cookie"}, "18\r\n" + body + "\r\n0\r\nCookie: galaxygate=" + a.session + "\r\n\r\n", answered()},
		"chunks and HTTP/1.0 words":    {[]string{"Content-Length: -", "Transfer-Encoding: chunked", "Keep-Alive: 300", "Proxy-Connection: keep-alive"}, chunked, answered()},
		"a request as a body":          {nil, hidden, refusal(400, "BAD_USER_INPUT")},
	} {
		if c.body == "" {
			c.body = body
		}
		all = append(all, hostile{"smuggling: " + name, a.post(c.body, c.headers...), c.want})
	}
	return all
}

// methods are those that a path does not have.
func (a attacker) methods() []hostile {
	var all []hostile
	allowed := map[string]string{
		"/graphql": "GET HEAD POST OPTIONS", "/": "GET HEAD", "/auth/login": "GET HEAD", "/auth/callback": "GET HEAD",
		"/auth/logout": "POST", "/auth/backchannel-logout": "POST",
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "PROPFIND", "get", "QUERY"} {
			if !strings.Contains(" "+methods+" ", " "+method+" ") {
				all = append(all, hostile{fmt.Sprintf("method: %s %s", method, path), a.request(method, path, ""), status(405)})
			}
		}
	}
	return append(all,
		hostile{"method: CONNECT", a.request("CONNECT", "evil.example:443", ""), status(405)},
		hostile{"method: of 20 KB", a.request(strings.Repeat("X", 20<<10), "/graphql", ""), status(405)},
		hostile{"method: overridden by a header", a.request("GET", "/graphql?query=mutation{logout{sessionId}}", "", "X-HTTP-Method-Override: POST"), refusal(405, "BAD_USER_INPUT")},
		hostile{"method: overridden by a parameter", a.request("GET", "/graphql?_method=POST&query=mutation{logout{sessionId}}", ""), refusal(405, "BAD_USER_INPUT")},
		hostile{"method: a mutation by HEAD", a.request("HEAD", "/graphql?query=mutation{logout{sessionId}}", ""), status(405)},
		hostile{"method: a mutation among queries by GET", a.request("GET", "/graphql?operationName=M&query=query+Q{__typename}mutation+M{logout{sessionId}}", ""), refusal(405, "BAD_USER_INPUT")},
	)
}

// mediaTypes are bodies that are not said to be JSON in UTF-8.
func (a attacker) mediaTypes() []hostile {
	const body = `{"query":"mutation{logout{sessionId}}"}`
	var all []hostile
	for _, media := range []string{
		"text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "application/graphql",
		"application/json; charset=utf-16", "application/json; charset=iso-8859-1", "application/json; charset=" + canary,
		"application/jsonp", "application/json+x", "application/vnd.api+json", "text/json", "*/*", "application/*", "json",
		"application/json, text/plain", "application/json text/plain", "application/json; charset",
		"; charset=utf-8", "multipart/mixed", "multipart/form-data", "\"application/json\"", canary, "application/json; a=b; a=c",
		"application/cbor", "application/xml", "message/http",
	} {
		all = append(all, hostile{"media type: " + media, a.post(body, "Content-Type: "+media), refusal(415, "BAD_USER_INPUT")})
	}
	multipart := "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + body +
		"\r\n--x\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{}\r\n--x--\r\n"
	return append(all,
		hostile{"media type: none", a.post(body, "Content-Type: -"), refusal(415, "BAD_USER_INPUT")},
		hostile{"media type: a multipart upload", a.post(multipart, "Content-Type: multipart/form-data; boundary=x"), refusal(415, "BAD_USER_INPUT")},
		hostile{"media type: a multipart upload without boundary", a.post(multipart, "Content-Type: multipart/form-data"), refusal(415, "BAD_USER_INPUT")},
		hostile{"media type: 10 KB", a.asks("{__typename}", "Content-Type: application/json; x="+strings.Repeat("y", 10<<10)), answered()},
		hostile{"coding: gzip", a.post("\x1f\x8b\x08\x00", "Content-Encoding: gzip"), refusal(415, "BAD_USER_INPUT")},
		hostile{"coding: a bomb that says nothing", a.post(strings.Repeat("\x1f\x8b\x08\x00", 1000)), refusal(400, "BAD_USER_INPUT")},
		hostile{"coding: unknown", a.post(body, "Content-Encoding: "+canary), refusal(415, "BAD_USER_INPUT")},
		hostile{"coding: two of them", a.post(body, "Content-Encoding: identity, gzip"), refusal(415, "BAD_USER_INPUT")},
	)
}

// accepts are wishes for an answer that cannot be, or that cannot be read.
func (a attacker) accepts() []hostile {
	var all []hostile
	for accept, w := range map[string]want{
		"text/html":                                            refusal(406, "BAD_USER_INPUT"),
		"text/html;q=1, image/*":                               refusal(406, "BAD_USER_INPUT"),
		"application/json;q=0":                                 refusal(406, "BAD_USER_INPUT"),
		"application/json;q=0, application/*;q=0":              refusal(406, "BAD_USER_INPUT"),
		"application/json; charset=utf-16":                     refusal(406, "BAD_USER_INPUT"),
		"application/json;q=" + canary:                         refusal(406, "BAD_USER_INPUT"),
		"application/json;q=-1":                                refusal(406, "BAD_USER_INPUT"),
		"application/json;q=1e9":                               refusal(406, "BAD_USER_INPUT"),
		"multipart/mixed":                                      refusal(406, "BAD_USER_INPUT"),
		"multipart/mixed;deferSpec=20220824, application/json": answered(),
		canary:                        refusal(406, "BAD_USER_INPUT"),
		",,,,":                        refusal(406, "BAD_USER_INPUT"),
		";;;;":                        refusal(406, "BAD_USER_INPUT"),
		"\"":                          refusal(406, "BAD_USER_INPUT"),
		strings.Repeat("a/b,", 10000): refusal(406, "BAD_USER_INPUT"),
		strings.Repeat("*/*;q=0.1,", 5000) + "application/json":   answered(),
		"application/json;" + strings.Repeat("a=b;", 10000):       answered(),
		"application/json;q=0.0000000000000000000000000000000001": answered(),
	} {
		name := accept
		if len(name) > 60 {
			name = fmt.Sprintf("%d bytes of %s", len(accept), accept[:12])
		}
		all = append(all, hostile{"accept: " + name, a.asks("{__typename}", "Accept: "+accept), w})
	}
	return all
}
