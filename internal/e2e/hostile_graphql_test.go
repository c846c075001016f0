package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// bodies are not one JSON object with the parameters of a request.
func (a attacker) bodies() []hostile {
	var all []hostile
	for _, body := range []string{
		" ", "{", "}", "[]", "[{}]", `[{"query":"{__typename}"},{"query":"{__typename}"}]`, "null", "true", "0", `""`, `"{__typename}"`,
		"{__typename}", "query={__typename}", "{}", `{"query":null}`, `{"query":0}`, `{"query":true}`, `{"query":[]}`, `{"query":{}}`,
		`{"query":""}`, `{"query":" \n"}`, `{"QUERY":"{__typename}"}`, `{"qeury":"{__typename}"}`, `{"query":"{__typename}"}{}`,
		`{"query":"{__typename}"}` + canary, `{"query":"{__typename}"},`, `{"query":"{__typename}",}`, `{'query':'{__typename}'}`,
		`{"query":"{__typename}" /* ` + canary + ` */}`, `{query:"{__typename}"}`, `{"query":"{__typename}`, "\xef\xbb\xbf" + `{"query":"{__typename}"}`,
		`{"query":"{__typename}","variables":[]}`, `{"query":"{__typename}","variables":"{}"}`, `{"query":"{__typename}","variables":1}`,
		`{"query":"{__typename}","variables":{"a":NaN}}`, `{"query":"{__typename}","variables":{"a":Infinity}}`, `{"query":"{__typename}","variables":{"a":0x10}}`,
		`{"query":"{__typename}","variables":{"a":01}}`, `{"query":"{__typename}","variables":{"a":1.}}`, `{"query":"{__typename}","variables":{"a":+1}}`,
		`{"query":"{__typename}","operationName":{}}`, `{"query":"{__typename}","operationName":["` + canary + `"]}`,
		`{"query":"{__typename}","extensions":[]}`, `{"query":"{__typename}","extensions":"` + canary + `"}`,
		"{\"query\":\"{__typename}\",\"x\":\"\xff" + canary + "\"}", "{\"query\":\"{__typename}\",\"x\":\"\x00\"}", "{\"query\":\"{__typename}\xc0\x80\"}",
		"{\"query\":\"\xed\xa0\x80\"}", `{"query":"{__typename}","x":"\x"}`, `{"query":"{__typename}","x":"\u12"}`,
		"\xff\xfe{\x00}\x00", "\x00\x00\x00{", strings.Repeat("[", 50_000), strings.Repeat(`{"a":`, 20_000), `{"variables":` + strings.Repeat("[", 20_000),
		`{"query":"{__typename}","variables":` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000) + "}",
	} {
		name := body
		if len(name) > 60 {
			name = fmt.Sprintf("%d bytes of %s", len(body), body[:40])
		}
		all = append(all, hostile{"body: " + strconv.Quote(name), a.post(body), refusal(400, "BAD_USER_INPUT")})
	}
	return append(all,
		hostile{"body: none", a.post("", "Content-Length: 0", "Content-Type: application/json"), refusal(400, "BAD_USER_INPUT")},
		hostile{"body: 300 KB", a.post(`{"query":"{__typename}","x":"` + strings.Repeat("x", 300<<10) + `"}`), refusal(413, "BAD_USER_INPUT")},
		hostile{"body: 300 KB of spaces", a.post(strings.Repeat(" ", 300<<10)), refusal(413, "BAD_USER_INPUT")},
		hostile{"body: 5,000 unknown members", a.post(`{"query":"{__typename}"` + members(5_000) + "}"), answered()},
		hostile{"body: two queries", a.post(`{"query":"{__typename}","query":"mutation{logout{sessionId}}"}`), refusal(400, "BAD_USER_INPUT")},
		hostile{"body: two sets of variables", a.post(`{"query":"{__typename}","variables":{},"variables":{"a":"` + canary + `"}}`), refusal(400, "BAD_USER_INPUT")},
		hostile{"body: of a GET", a.request("GET", "/graphql", `{"query":"{__typename}"}`), refusal(400, "BAD_USER_INPUT")},
		hostile{"body: __proto__", a.post(`{"query":"{__typename}","__proto__":{"query":"x"},"constructor":1}`), answered()},
	)
}

// members are that many members of a JSON object.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":"%s"`, i, canary)
	}
	return b.String()
}

// urls are parameters in the URL that are not those of a query.
func (a attacker) urls() []hostile {
	bad := refusal(400, "BAD_USER_INPUT")
	secret := "&variables=" + url.QueryEscape(`{"secret":"`+canary+`"}`)
	var all []hostile
	for query, w := range map[string]want{
		"":                                       bad,
		"?":                                      bad,
		"?query=":                                bad,
		"?query=%":                               bad,
		"?query=%zz":                             bad,
		"?query=%ff":                             bad,
		"?query=%00":                             refusal(200, "GRAPHQL_PARSE_FAILED"),
		"?query={__typename};x=1":                bad,
		"?query={__typename}&query={__typename}": bad,
		"?query={__typename}&variables={}&variables={}":                              bad,
		"?query={__typename}&operationName=A&operationName=B":                        bad,
		"?query={__typename}&extensions={}&extensions={}":                            bad,
		"?query={__typename}&variables=" + canary:                                    bad,
		"?query={__typename}&variables=[]":                                           bad,
		"?query={__typename}&variables={}{}":                                         bad,
		"?query={__typename}&variables=%22" + canary + "%22":                         bad,
		"?query={__typename}&extensions=" + canary:                                   bad,
		"?query={__typename}&extensions=7":                                           bad,
		"?query={__typename}&variables=" + strings.Repeat("[", 20_000):               bad,
		"?Query={__typename}" + secret:                                               bad,
		"?query[]={__typename}" + secret:                                             bad,
		"?query={__typename}" + secret + "&callback=alert":                           answered(),
		"?query={__typename}" + secret + "&access_token=" + canary:                   answered(),
		"?query={__typename}" + secret + strings.Repeat("&a="+canary, 1000):          answered(),
		"?query=subscription{sessionEnded{reason}}" + secret:                         bad,
		"?query=" + url.QueryEscape("{a"+strings.Repeat("b", 50_000)+"}"):            refusal(200, "GRAPHQL_VALIDATION_FAILED"),
		"?query=" + url.QueryEscape("{"+strings.Repeat("__typename ", 4000)+"}"):     refusal(200, "QUERY_TOO_COMPLEX"),
		"?operationName=" + canary:                                                   bad,
		"?query={__typename}&operationName=" + canary[:5]:                            refusal(200, "GRAPHQL_VALIDATION_FAILED"),
		"?query=" + url.QueryEscape("{__typename}#"+strings.Repeat("\u202e", 5_000)): answered(),
	} {
		name := query
		if len(name) > 70 {
			name = fmt.Sprintf("%d bytes of %s", len(query), query[:40])
		}
		all = append(all, hostile{"URL: " + name, a.request("GET", "/graphql"+query, ""), w})
	}
	return append(all, hostile{
		"URL: a mutation beside a query in the body", a.request("POST", "/graphql?query=mutation{logout{sessionId}}", `{"query":"{__typename}"}`), answered(),
	})
}

// documents are not what a client of this schema writes.
func (a attacker) documents() []hostile {
	parse, invalid := refusal(200, "GRAPHQL_PARSE_FAILED"), refusal(200, "GRAPHQL_VALIDATION_FAILED")
	var all []hostile
	for document, w := range map[string]want{
		"{":                                  parse,
		"}":                                  parse,
		"{}":                                 parse,
		"query":                              parse,
		"query {":                            parse,
		"{viewer{id}} {":                     parse,
		"{viewer{id}}}":                      parse,
		"{viewer(":                           parse,
		"\x00":                               parse,
		"\ufeff{__typename}":                 answered(),
		"{\u2028__typename}":                 parse,
		"{__typename @}":                     parse,
		"{a:}":                               parse,
		"{...}":                              parse,
		"{... on}":                           parse,
		"fragment on on User {id} {...on}":   parse,
		`{node(id:"}`:                        parse,
		`{node(id:"""`:                       parse,
		`{node(id:"\u")}`:                    parse,
		`{node(id:"\uD800"){id}}`:            answered(),
		"{node(id:1e){id}}":                  parse,
		"{node(id:00){id}}":                  parse,
		"{node(id:.5){id}}":                  parse,
		"{node(id:$){id}}":                   parse,
		"query($a:){__typename}":             parse,
		"query($a:Int=){__typename}":         parse,
		"query($$a:Int){__typename}":         parse,
		"subscription":                       parse,
		"fragment F on User {id}":            invalid,
		"type Query {x: Int}":                parse,
		"extend type User {x: Int}":          parse,
		"schema {query: Query}":              parse,
		"{password}":                         invalid,
		"{viewer}":                           invalid,
		"{viewer{id{x}}}":                    invalid,
		"{viewer{id(x:1)}}":                  invalid,
		"{viewer{accessToken refreshToken}}": invalid,
		"{node{id}}":                         invalid,
		"{node(id:null){id}}":                invalid,
		"{node(id:{}){id}}":                  invalid,
		"{node(id:1.5){id}}":                 invalid,
		`{node(id:"x",id:"y"){id}}`:          invalid,
		`{viewer{id @include}}`:              invalid,
		`{viewer{id @include(if:"true")}}`:   invalid,
		`{viewer{id @include(if:true) @include(if:true)}}`:             invalid,
		`{viewer{id @consent(scopes:[])}}`:                             invalid,
		`query @viewerOnly {viewer{id}}`:                               invalid,
		`{viewer{id @galaxy(field:"x")}}`:                              invalid,
		"{...F}":                                                       invalid,
		"{...F} fragment F on Nope {id}":                               invalid,
		"{...F} fragment F on ID {id}":                                 invalid,
		"{...F} fragment F on Query {...F}":                            invalid,
		"{...F} fragment F on Query {...G} fragment G on Query {...F}": invalid,
		"{...F} fragment F on Query {viewer{...G}} fragment G on User {...H} fragment H on User {...G}":  invalid,
		"{viewer{...F}} fragment F on Session {id}":                                                      invalid,
		"{__typename ...F ...F} fragment F on Query{__typename} fragment F on Query{__typename}":         invalid,
		"{__typename} fragment F on Query{__typename}":                                                   invalid,
		"query A{__typename} query A{__typename}":                                                        invalid,
		"query A{__typename} {__typename}":                                                               invalid,
		"query A{__typename} query B{__typename}":                                                        invalid,
		"query($a:Nope){__typename}":                                                                     invalid,
		"query($a:Int,$a:Int){node(id:$a){id}}":                                                          invalid,
		"query($a:User){__typename}":                                                                     invalid,
		"query($a:String){node(id:$b){id}}":                                                              invalid,
		"query($a:Boolean!){node(id:$a){id}}":                                                            invalid,
		"query($a:[[[[[[[[[[Int]]]]]]]]]]){__typename @skip(if:$a)}":                                     invalid,
		"mutation{viewer{id}}":                                                                           invalid,
		"mutation{logout}":                                                                               invalid,
		"{logout{sessionId}}":                                                                            invalid,
		"subscription{viewer{id}}":                                                                       invalid,
		"subscription{__typename}":                                                                       invalid,
		"subscription{a:sessionEnded{at} b:sessionEnded{at}}":                                            invalid,
		"{a:viewer{id} a:session{id}}":                                                                   invalid,
		"{viewer{x:id x:email}}":                                                                         invalid,
		"{viewer{__typename:email}}":                                                                     invalid,
		"{__schema{types{name}}}":                                                                        invalid,
		`{__type(name:"User"){fields{name}}}`:                                                            invalid,
		"{a:__schema{queryType{name}}}":                                                                  invalid,
		"{...F} fragment F on Query{__schema{directives{name}}}":                                         invalid,
		"{viewer{galaxy{__schema{types{name}}}}}":                                                        invalid,
		`{viewer{sessions(first:-1){totalCount}}}`:                                                       refusal(200, "BAD_USER_INPUT"),
		`{viewer{sessions(first:2147483647){totalCount}}}`:                                               refusal(200, "BAD_USER_INPUT"),
		`{viewer{sessions(first:2147483648){totalCount}}}`:                                               invalid,
		`{viewer{sessions(first:99999999999999999999){totalCount}}}`:                                     invalid,
		`{viewer{sessions(first:1.0){totalCount}}}`:                                                      invalid,
		`{viewer{sessions(first:"1"){totalCount}}}`:                                                      invalid,
		`{viewer{sessions(after:"!!!"){totalCount}}}`:                                                    refusal(200, "BAD_USER_INPUT"),
		`{viewer{connectedAccounts(types:[NOPE]){totalCount}}}`:                                          invalid,
		`{viewer{connectedAccounts(types:"ETH"){totalCount}}}`:                                           invalid,
		`{viewer{authorization{consentUrl(scopes:["a b"])}}}`:                                            refusal(200, "BAD_USER_INPUT"),
		`{viewer{authorization{consentUrl(scopes:["email"],returnTo:"javascript:alert(1)")}}}`:           refusal(200, "BAD_USER_INPUT"),
		`{viewer{authorization{consentUrl(scopes:["email"],returnTo:"//evil.example")}}}`:                refusal(200, "BAD_USER_INPUT"),
		`{viewer{authorization{consentUrl(scopes:["email"],returnTo:"https://evil.example/x")}}}`:        refusal(200, "BAD_USER_INPUT"),
		`{node(id:"' OR 1=1 --"){id}}`:                                                                   answered(),
		`{node(id:""){id}}`:                                                                              answered(),
		`{node(id:"urn:rollup:identity/../../x"){id ... on User{profile{displayName}}}}`:                 answered(),
		`{node(id:"account:AAAA"){id}}`:                                                                  answered(),
		`mutation{revokeSession(input:{sessionId:"x"}){session{id}}}`:                                    refusal(200, "NOT_FOUND"),
		`mutation{revokeSession(input:{sessionId:"x",extra:1}){session{id}}}`:                            invalid,
		`mutation{revokeSession(input:[]){session{id}}}`:                                                 invalid,
		`mutation{renameAccount(input:{accountId:"x",title:""}){account{id}}}`:                           refusal(200, "BAD_USER_INPUT"),
		`mutation{disconnectAccount(input:{accountId:"urn:rollup:account/0x0"}){disconnectedAccountId}}`: refusal(200, "NOT_FOUND"),
	} {
		name := document
		if len(name) > 90 {
			name = name[:90]
		}
		all = append(all, hostile{"document: " + strconv.Quote(name), a.asks(document), w})
	}
	return all
}

// oversized are documents that would cost much more than they are worth.
func (a attacker) oversized() []hostile {
	costly, invalid := refusal(200, "QUERY_TOO_COMPLEX"), refusal(200, "GRAPHQL_VALIDATION_FAILED")
	nested := func(n int) string {
		return "{viewer{sessions{nodes{user{" + strings.Repeat("sessions{nodes{user{", n) + "id" + strings.Repeat("}}}", n) + "}}}}}"
	}
	each := func(n int, pattern string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(pattern, "#", strconv.Itoa(i)))
		}
		return b.String()
	}
	// Each fragment spreads the next one twice: 2^n fields.
	doubling := "{...F0} " + each(25, "fragment F# on Query {...N# a#:__typename ...M#} fragment N# on Query {b#:__typename} fragment M# on Query{c#:__typename} ")
	bomb := "{viewer{...F0}} "
	for i := range 30 {
		bomb += fmt.Sprintf("fragment F%d on User {a:%s b:%s} ", i, "sessions{nodes{user{...F"+strconv.Itoa(i+1)+"}}}", "sessions{nodes{user{...F"+strconv.Itoa(i+1)+"}}}")
	}
	bomb += "fragment F30 on User {id}"
	var all []hostile
	for name, c := range map[string]struct {
		document string
		want     want
	}{
		"nested 10 times":                 {nested(10), costly},
		"nested 100 times":                {nested(100), costly},
		"nested 10,000 times":             {nested(10_000), costly},
		"10,000 brackets":                 {strings.Repeat("{a", 10_000), costly},
		"3,000 aliases":                   {"{" + each(3000, "a#:__typename ") + "}", costly},
		"400 aliases of one field":        {"{" + each(400, "a#:viewer{id} ") + "}", costly},
		"400 questions to Galaxy":         {"{viewer{galaxy{" + each(400, `a#:accountProfile(accountURN:"x#"){id} `) + "}}}", costly},
		"400 mutations":                   {"mutation{" + each(400, `a#:setAppData(input:{data:#}){user{id}} `) + "}", costly},
		"lists in lists":                  {"{viewer{sessions(first:100){nodes{user{sessions(first:100){nodes{user{sessions(first:100){nodes{id}}}}}}}}}}", costly},
		"an alias of 10 KB":               {"{" + strings.Repeat("a", 10_000) + ":__typename}", costly},
		"a name of 200 KB":                {"{" + strings.Repeat("a", 200_000) + "}", invalid},
		"a string of 200 KB":              {`{node(id:"` + strings.Repeat("a", 200_000) + `"){id}}`, answered()},
		"a block string of 100,000 lines": {`{node(id:"""` + strings.Repeat("\\n\n", 50_000) + `"""){id}}`, answered()},
		"a comment of 200 KB":             {"{__typename}#" + strings.Repeat("x", 200_000), answered()},
		"commas":                          {"{__typename" + strings.Repeat(",", 200_000) + "}", answered()},
		"2,000 directives":                {"{__typename " + strings.Repeat("@skip(if:false)", 2000) + "}", costly},
		"700 directives":                  {"{__typename " + strings.Repeat("@skip(if:false)", 700) + "}", invalid},
		"1,000 unknown directives":        {"{__typename " + each(1000, "@d# ") + "}", invalid},
		"1,000 operations":                {each(1000, "query Q#{__typename} "), invalid},
		"500 fragments, none used":        {"{__typename} " + each(500, "fragment F# on Query{__typename} "), invalid},
		"1,000 spreads of one fragment":   {"{" + strings.Repeat("...F ", 1000) + "} fragment F on Query{viewer{id email name picture createdAt}}", costly},
		"a chain of 500 fragments":        {chain(500), costly},
		"fragments that double":           {bomb, costly},
		"a cycle of 400 fragments":        {cycle(400), costly},
		"a wheel of fragments":            {doubling, invalid},
		"1,200 times the same field":      {"{" + strings.Repeat("viewer{id}", 1200) + "}", costly},
		"1,000 arguments":                 {"{node(" + each(1000, `a#:1 `) + "){id}}", invalid},
		"1,000 variables":                 {"query(" + each(1000, "$v#:Int ") + "){__typename}", invalid},
		"a list of 4,000 types":           {"{viewer{connectedAccounts(types:[" + strings.Repeat("ETH ", 4000) + "]){totalCount}}}", answered()},
		"a list in lists 2,000 deep":      {"{node(id:" + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "){id}}", refusal(200, "GRAPHQL_PARSE_FAILED")},
		"objects in objects 1,000 deep":   {"mutation{setAppData(input:{data:" + strings.Repeat("{a:", 1000) + "1" + strings.Repeat("}", 1000) + "}){user{id}}}", refusal(200, "GRAPHQL_PARSE_FAILED")},
		"1,000 inline fragments in depth": {"{" + strings.Repeat("... on Query{", 1000) + "__typename" + strings.Repeat("}", 1000) + "}", costly},
		"types in lists 1,000 deep":       {"query($a:" + strings.Repeat("[", 1000) + "Int" + strings.Repeat("]", 1000) + "){__typename}", invalid},
		"introspection in depth":          {"{__schema{types{fields{type{" + strings.Repeat("ofType{", 300) + "name" + strings.Repeat("}", 300) + "}}}}}", invalid},
		"_service by the hundred":         {"{" + each(300, "s#:_service{sdl} ") + "}", costly},
	} {
		all = append(all, hostile{"oversized: " + name, a.asks(c.document), c.want})
	}
	return all
}

// chain is a document whose n fragments spread one after the other.
func chain(n int) string {
	return strings.TrimSuffix(cycle(n), fmt.Sprintf("fragment F%d on Query{...F0} ", n-1)) +
		fmt.Sprintf("fragment F%d on Query{__typename}", n-1)
}

// cycle is a document whose n fragments spread each other in a ring.
func cycle(n int) string {
	var b strings.Builder
	b.WriteString("{...F0} ")
	for i := range n {
		fmt.Fprintf(&b, "fragment F%d on Query{...F%d} ", i, (i+1)%n)
	}
	return b.String()
}

// variables are of other types than their operations declare.
func (a attacker) variables() []hostile {
	bad := refusal(200, "BAD_USER_INPUT")
	const (
		sessions = "query($n:Int){viewer{sessions(first:$n){totalCount}}}"
		node     = "query($id:ID!){node(id:$id){id}}"
		rename   = "mutation($in:RenameAccountInput!){renameAccount(input:$in){account{id}}}"
		types    = "query($t:[AccountType!]){viewer{connectedAccounts(types:$t){totalCount}}}"
		consent  = "query($s:[String!]!){viewer{authorization{consentUrl(scopes:$s)}}}"
		skip     = "query($s:Boolean!){__typename @skip(if:$s)}"
		galaxy   = "query($u:String!){viewer{galaxy{accountProfile(accountURN:$u){id}}}}"
	)
	secret := `"` + canary + `"`
	deep, err := json.Marshal(strings.Repeat("x", 100_000))
	if err != nil {
		panic(err)
	}
	var all []hostile
	for _, c := range []struct{ document, values string }{
		{sessions, `{"n":` + secret + `}`},
		{sessions, `{"n":1.5}`},
		{sessions, `{"n":2147483648}`},
		{sessions, `{"n":-2147483649}`},
		{sessions, `{"n":1e400}`},
		{sessions, `{"n":true}`},
		{sessions, `{"n":[1]}`},
		{sessions, `{"n":{"a":` + secret + `}}`},
		{sessions, `{"n":"1"}`},
		{sessions, `{"n":123456789012345678901234567890}`},
		{node, `{}`},
		{node, `{"id":null}`},
		{node, `{"id":true}`},
		{node, `{"id":1.5}`},
		{node, `{"id":[` + secret + `]}`},
		{node, `{"id":{"$gt":""}}`},
		{rename, `{"in":` + secret + `}`},
		{rename, `{"in":null}`},
		{rename, `{"in":[]}`},
		{rename, `{"in":{}}`},
		{rename, `{"in":{"accountId":` + secret + `}}`},
		{rename, `{"in":{"accountId":"x","title":7}}`},
		{rename, `{"in":{"accountId":"x","title":"y","` + canary + `":1}}`},
		{rename, `{"in":{"accountId":"x","title":null}}`},
		{rename, `{"in":{"accountId":"x","title":[` + secret + `]}}`},
		{types, `{"t":[` + secret + `]}`},
		{types, `{"t":[null]}`},
		{types, `{"t":[1]}`},
		{types, `{"t":{"0":"ETH"}}`},
		{types, `{"t":"eth"}`},
		{consent, `{"s":[null]}`},
		{consent, `{"s":[1]}`},
		{consent, `{"s":[["email"]]}`},
		{consent, `{"s":{}}`},
		{skip, `{"s":"true"}`},
		{skip, `{"s":0}`},
		{skip, `{"s":null}`},
		{skip, `{}`},
		{galaxy, `{"u":7}`},
		{galaxy, `{"u":[` + secret + `]}`},
		{galaxy, `{"u":{"x":1}}`},
		{galaxy, `{"u":` + string(deep) + `}`},
	} {
		name := c.values
		if len(name) > 60 {
			name = name[:60]
		}
		values := strings.TrimSuffix(c.values, "}") + `,"unused":` + secret + "}"
		values = strings.Replace(values, "{,", "{", 1)
		all = append(all, hostile{"variables: " + name + " for " + c.document[:14], a.asksWith(c.document, values), bad})
	}
	return append(all,
		hostile{"variables: 5,000 unknown", a.asksWith("{__typename}", "{"+members(5_000)[1:]+"}"), answered()},
		hostile{"variables: nested 5,000 deep", a.asksWith("mutation($d:JSON!){setAppData(input:{data:$d}){user{id}}}", `{"d":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+"}"), answered()},
		hostile{"variables: an empty name", a.asksWith("{__typename}", `{"":`+secret+`}`), answered()},
	)
}
