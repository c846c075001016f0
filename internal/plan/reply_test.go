package plan_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"

	"galaxygate/graph"
	"galaxygate/internal/plan"
)

// questions are those of the viewer's operation.
func questions(t testing.TB, document string) []plan.Question {
	t.Helper()
	schema := graph.Schema()
	query, errs := gqlparser.LoadQueryWithRules(schema, document, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	planner := plan.New(schema)
	viewer := plan.Viewer{
		Subject:   "urn:rollupid:identity/0xa11ce",
		Consented: func([]string) bool { return true },
		TypeOf:    func(string) string { return "User" },
	}
	return planner.Plan(query.Operations[0], nil).Ahead("", viewer, nil)
}

// What is asked in the tests of one answer.
const (
	profile  = `{ viewer { profile { name: displayName type: __typename pfp { ... on NFTPFP { isToken image } ... on StandardPFP { image } __typename } } } }`
	nodes    = `{ viewer { galaxy { connectedAccounts { id qc fragment } } } }`
	apps     = `{ viewer { galaxy { authorizedApps { clientId timestamp } } } }`
	scopes   = `{ viewer { galaxy { scopes(clientId: "app") { scopes } } } }`
	appData  = `{ viewer { appData } }`
	identity = `{ viewer { galaxy { identityFromAlias(provider: "eth", alias: "0x1") } } }`
	decoded  = `{ viewer { authorizedApps { title } } }`
)

func TestAnAnswerIsWrittenAsTheClientIsToSeeIt(t *testing.T) {
	t.Parallel()
	const malformed = "malformed"
	standard := `{"name":"A","type":"GalaxyProfile","pfp":{"image":"i","__typename":"StandardPFP"}}`
	for name, tt := range map[string]struct{ ask, answer, want string }{
		"as it was asked": {
			profile, `{"name":"A","pfp":{"__typename":"NFTPFP","isToken":true,"image":"i"}}`,
			`{"name":"A","type":"GalaxyProfile","pfp":{"isToken":true,"image":"i","__typename":"NFTPFP"}}`,
		},
		"in another order":            {profile, `{"pfp":{"__typename":"StandardPFP","image":"i"},"name":"A"}`, standard},
		"the type after the fields":   {profile, `{"name":"A","pfp":{"image":"i","__typename":"StandardPFP"}}`, standard},
		"with more than was asked":    {profile, `{"x":{"y":[1]},"name":"A","z":null,"pfp":{"a":1,"__typename":"StandardPFP","image":"i","b":2}}`, standard},
		"with spaces":                 {profile, " {\n\"name\" : \"A\" , \"pfp\" :{\"__typename\" : \"StandardPFP\", \"image\":\t\"i\"} } ", standard},
		"with a name twice":           {profile, `{"name":"A","name":"B","pfp":{"__typename":"StandardPFP","image":"i","image":"j"}}`, standard},
		"twice within what was early": {profile, `{"pfp":{"__typename":"StandardPFP","image":"i","image":"j"},"name":"A"}`, standard},
		"a type of the answer's own":  {profile, `{"name":"A","type":"Profile","pfp":{"__typename":"StandardPFP","image":"i"}}`, standard},
		"null where null may be":      {profile, `{"name":null,"pfp":null}`, `{"name":null,"type":"GalaxyProfile","pfp":null}`},
		"null itself":                 {profile, `null`, `null`},
		"a type that is not known":    {profile, `{"name":"A","pfp":{"__typename":"HologramPFP","image":{"x":[{}]}}}`, `{"name":"A","type":"GalaxyProfile","pfp":null}`},
		"an object without its type":  {profile, `{"name":"A","pfp":{"image":"i"}}`, malformed},
		"an object of no type":        {profile, `{"name":"A","pfp":{"__typename":null}}`, malformed},
		"a type that is no name":      {profile, `{"name":"A","pfp":{"__typename":{"a":[1]},"image":"i"}}`, malformed},
		"a field is missing":          {profile, `{"name":"A"}`, malformed},
		"a field of a type missing":   {profile, `{"name":"A","pfp":{"__typename":"NFTPFP","image":"i"}}`, malformed},
		"nothing":                     {profile, `{}`, malformed},
		"text for an object":          {profile, `"A"`, malformed},
		"a list for an object":        {profile, `[{"name":"A","pfp":null}]`, malformed},
		"a number for text":           {profile, `{"name":1,"pfp":null}`, malformed},
		"an object for text":          {profile, `{"name":{"a":[{}]},"pfp":null}`, malformed},
		"a number for a truth":        {profile, `{"name":"A","pfp":{"__typename":"NFTPFP","isToken":1,"image":"i"}}`, malformed},
		"text for a type":             {profile, `{"name":"A","pfp":"i"}`, malformed},
		"wrong in what was early":     {profile, `{"pfp":{"__typename":"StandardPFP","image":[]},"name":"A"}`, malformed},
		"a list":                      {nodes, `[{"id":"1","qc":{"a":1},"fragment":null},{"fragment":"f","qc":7,"id":"2"}]`, `[{"id":"1","qc":{"a":1},"fragment":null},{"id":"2","qc":7,"fragment":"f"}]`},
		"an empty list":               {nodes, `[ ]`, `[]`},
		"null in a list of non-null":  {nodes, `[{"id":"1","qc":null,"fragment":null},null]`, malformed},
		"null for what is never null": {nodes, `[{"id":null,"qc":null,"fragment":null}]`, malformed},
		"an object for a list":        {nodes, `{"0":{"id":"1"}}`, malformed},
		"a list in a list":            {nodes, `[[{"id":"1","qc":null,"fragment":null}]]`, malformed},
		"null in a list":              {apps, `[null,{"clientId":"a","timestamp":1.7e12},null]`, `[null,{"clientId":"a","timestamp":1.7e12},null]`},
		"text for a number":           {apps, `[{"clientId":"a","timestamp":"1"}]`, malformed},
		"a list of what may be null":  {scopes, `[{"scopes":["a",null]},null]`, `[{"scopes":["a",null]},null]`},
		"null for the list":           {scopes, `null`, malformed},
		"any JSON":                    {appData, `{"b":[1.50,1e400,-0,"\u00e9<>"],"a":{},"a":1}`, `{"b":[1.50,1e400,-0,"\u00e9<>"],"a":{},"a":1}`},
		"a truth for JSON":            {appData, `false`, `false`},
		"half a surrogate pair":       {appData, `"\ud83d"`, `"\ud83d"`},
		"half a pair in text":         {profile, `{"name":"\ud83d","pfp":null}`, `{"name":"\ud83d","type":"GalaxyProfile","pfp":null}`},
		"bytes that are no text":      {appData, "\"a\xffb\"", "\"a\uFFFDb\""},
		"deep JSON":                   {appData, strings.Repeat("[", 9000) + strings.Repeat("]", 9000), strings.Repeat("[", 9000) + strings.Repeat("]", 9000)},
		"text":                        {identity, `"urn"`, `"urn"`},
		"null for text":               {identity, `null`, malformed},
		"what is decoded later":       {decoded, `[{"title": 7}]`, `[{"title": 7}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A neighbour on each side must not suffer.
			before, after := questions(t, appData)[0], questions(t, identity)[0]
			asked := []plan.Question{before, questions(t, tt.ask)[0], after}
			reply, err := plan.Read([]byte(`{"data":{"q0":{"n":1},"q1":`+tt.answer+`,"q2":"urn"}}`), asked)
			if err != nil {
				t.Fatal(err)
			}
			got := string(reply.Parts[1].JSON)
			if reply.Parts[1].Malformed {
				got += malformed
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := string(reply.Parts[0].JSON) + string(reply.Parts[2].JSON); got != `{"n":1}"urn"` {
				t.Errorf("its neighbours: got %s", got)
			}
		})
	}
}

func TestAResponseIsTakenApart(t *testing.T) {
	t.Parallel()
	asked := append(questions(t, appData), questions(t, nodes)...)
	one := plan.Part{JSON: []byte("1")}
	for name, tt := range map[string]struct {
		body string
		want plan.Reply
	}{
		"errors before the data": {
			`{"errors":[{"message":"m","path":["q1",0,"id"],"extensions":{"http":{"status":404}}}],"data":{"q0":1,"q1":null}}`,
			plan.Reply{Answered: true, Parts: []plan.Part{one, {
				JSON: []byte("null"), Errors: []plan.Error{{Message: "m", Path: []any{0, "id"}, Status: 404}},
			}}},
		},
		"errors without a place": {
			`{"data":{"q0":1},"errors":[{"message":"a"},{"message":"b","path":[]},{"message":"c","path":null},{"path":[3,"q0"]},{"message":"d","path":["q2"]},{"path":["x"]},{"path":["q-1"]}]}`,
			plan.Reply{Answered: true, Parts: []plan.Part{one, {}}, Errors: []plan.Error{
				{Message: "a"}, {Message: "b"}, {Message: "c"}, {Path: []any{"q0"}}, {Message: "d"}, {}, {},
			}},
		},
		"data that is null":        {`{"data":null,"errors":[{"message":"a","path":["q0"]}]}`, plan.Reply{Answered: true, Parts: []plan.Part{{Errors: []plan.Error{{Message: "a"}}}, {}}}},
		"no data":                  {`{"errors":[{"message":"a"}]}`, plan.Reply{Parts: []plan.Part{{}, {}}, Errors: []plan.Error{{Message: "a"}}}},
		"nothing":                  {`{}`, plan.Reply{Parts: []plan.Part{{}, {}}}},
		"no errors":                {`{"data":{"q0":1},"errors":null,"extensions":{"a":[1]}}`, plan.Reply{Answered: true, Parts: []plan.Part{one, {}}}},
		"answers in another order": {`{"data":{"q1":[],"x":{"q0":2},"q0":1}}`, plan.Reply{Answered: true, Parts: []plan.Part{one, {JSON: []byte("[]")}}}},
		"answers to nothing":       {`{"data":{"q7":1,"q":2,"":3,"q1x":4,"q99999999999999999999":5}}`, plan.Reply{Answered: true, Parts: []plan.Part{{}, {}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := plan.Read([]byte(tt.body), asked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsNoResponseIsRefused(t *testing.T) {
	t.Parallel()
	asked := append(questions(t, profile), questions(t, apps)...)
	whole := `{"data":{"q0":{"pfp":{"__typename":"NFTPFP","isToken":true,"image":"i"},"name":"A"},"q1":[{"clientId":"a","timestamp":1}]},"errors":[{"message":"m","path":["q0"]}]}`
	if _, err := plan.Read([]byte(whole), asked); err != nil {
		t.Fatal(err)
	}
	bodies := []string{
		`[]`, `null`, `"data"`, `7`, `<html>`, `{"data":[]}`, `{"data":"x"}`, `{"data":{"q0":}}`, `{"data" {}}`, `{data:{}}`,
		`{"errors":{}}`, `{"errors":[{"message":7}]}`, `{"data":{"q0":{"name":"A",}}}`, `{"data":{"q0":{"name":}}}`,
		`{"data":{"q1":[{"clientId":"a","timestamp":01}]}}`, `{"data":{"q1":[1 2]}}`, `{"data":{"q0":7,"q1":[}}`,
		`{"data":{"q0":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}`,
	}
	for end := range whole { // cut off anywhere
		bodies = append(bodies, whole[:end])
	}
	for _, body := range bodies {
		if reply, err := plan.Read([]byte(body), asked); err == nil {
			t.Errorf("%.200s: got %+v", body, reply)
		}
	}
}

func FuzzRead(f *testing.F) {
	var asked []plan.Question
	for _, document := range []string{profile, nodes, apps, scopes, appData, identity, decoded} {
		asked = append(asked, questions(f, document)...)
	}
	for i, answer := range []string{
		`{"name":"A","pfp":{"image":"i","__typename":"StandardPFP"}}`, `[{"id":"1","qc":{"a":[]},"fragment":null}]`, `[null,{"clientId":"a","timestamp":1.7e12}]`,
		`[{"scopes":["a",null]},null]`, `{"b":"\ud83d"}`, `"urn"`, `[{"title":"t"}]`,
	} {
		f.Add(fmt.Appendf(nil, `{"data":{"q%d":%s},"errors":[{"message":"m","path":["q%d",0,"id"]}]}`, i, answer, i))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reply, err := plan.Read(body, asked)
		if err != nil {
			return
		}
		for i, part := range reply.Parts {
			if part.JSON != nil && (!json.Valid(part.JSON) || !utf8.Valid(part.JSON)) {
				t.Errorf("q%d of %q: got %q", i, body, part.JSON)
			}
		}
	})
}

func TestASmallAnswerDoesNotHoldTheWholeResponse(t *testing.T) {
	asked := questions(t, `{ viewer { appData profile { displayName } } }`)
	body := []byte(`{"data":{"q0":"` + strings.Repeat("x", 1<<20) + `","q1":{"displayName":"A"}}}`)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := make([][]byte, 100)
	for i := range kept {
		reply, err := plan.Read(body, asked)
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = reply.Parts[1].JSON
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > int64(len(kept)/2*len(body)) {
		t.Errorf("%d answers of %d bytes hold %d bytes", len(kept), len(kept[0]), held)
	}
	runtime.KeepAlive(kept)
}
