package graph_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"galaxygate/graph"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"galaxygate/internal/devrollup"
)

var update = flag.Bool("update", false, "write testdata/galaxy anew, as it comes out")

// Each file in testdata/galaxy is a story of operations: what the gateway is sent,
// what it asks Galaxy for that, word for word, and what it answers. Its sections:
//
//	caller      who asks, as JSON (a caller); by default Alice, who consented to all
//	operation   a document, which also the next sections are about
//	name        which operation of the document
//	variables   JSON; {session} is the ID of the caller's session
//	switches    devrollup's switches, from here on
//	expire      devrollup's expiry, at this moment
//	upstream    golden: what was asked for the operation; ends a step
//	response    golden: the response, its errors ordered by their place
//
// -update writes the goldens; read them before they are kept.
func TestWhatGalaxyIsAskedAndWhatIsAnswered(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/galaxy/*.txtar")
	if err != nil || len(paths) < 60 {
		t.Fatalf("%d stories, %v", len(paths), err)
	}
	rollup := newLookalike(t)
	usual := func(_ *world, cfg *graph.Config) { cfg.Limits = usualLimits() }
	forgetful, mindful := rollup.world(t, 0, usual), rollup.world(t, time.Hour, usual)
	for _, path := range paths { // one after the other: a gateway for each would take long
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			rollup.reset(t)
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			newStory(t, archive, rollup, forgetful, mindful).tell(archive)
			if !*update {
				return
			}
			if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// caller is who asks.
type caller struct {
	Person   string   `json:"person"`   // alice, bob; "" is nobody
	Scopes   []string `json:"scopes"`   // that they consented to
	Sessions int      `json:"sessions"` // that they have; the newest asks
	// Remember says that the gateway remembers answers.
	Remember bool `json:"remember"`
}

// story is a file on its way.
type story struct {
	t      *testing.T
	rollup *lookalike
	world  *world
	person person
	known  *strings.Replacer // what is another in each run

	document, name string
	variables      json.RawMessage
	told           string // the response, until it is compared
}

// newStory sets the scene, before the gateway that forgets answers or the one that
// remembers them.
func newStory(t *testing.T, archive *txtar.Archive, rollup *lookalike, forgetful, mindful *world) *story {
	t.Helper()
	c := caller{Person: "alice", Scopes: allScopes(), Sessions: 1}
	for _, f := range archive.Files {
		if f.Name != "caller" {
			continue
		}
		if err := json.Unmarshal(f.Data, &c); err != nil {
			t.Fatal(err)
		}
	}
	s := &story{t: t, rollup: rollup, world: forgetful}
	if c.Remember {
		s.world = mindful
	}
	s.world.t = t
	names := []string{s.rollup.url, "http://rollup.example"}
	if c.Person != "" {
		names = append(names, s.signIn(c)...)
	}
	s.known = strings.NewReplacer(names...)
	s.rollup.forget()
	return s
}

// signIn signs the caller in, and returns what then is another in each run, with
// a name for it.
func (s *story) signIn(c caller) []string {
	s.t.Helper()
	who, err := s.rollup.Directory().Person(c.Person)
	if err != nil {
		s.t.Fatal(err)
	}
	s.person = s.rollup.signIn(s.world, who.URN, c.Scopes...)
	// The sessions of the story before.
	if _, err := s.world.manager.EndOthers(s.t.Context(), s.person.session.UserID, s.person.session.ID); err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for range c.Sessions - 1 {
		names = append(names, s.person.session.ID, "{older session}")
		s.person = s.rollup.signIn(s.world, who.URN, c.Scopes...)
	}
	names = append(names, s.person.session.ID, "{session}")
	return append(names, s.moments(who.URN)...)
}

// moments are the times at which this run's application was authorized.
func (s *story) moments(urn string) []string {
	who, err := s.rollup.Directory().Person(urn)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, app := range who.Apps {
		if app.ClientID == "app" {
			since := app.Since.UTC().Truncate(time.Millisecond)
			number, err := json.Marshal(float64(since.UnixMilli()))
			if err != nil {
				s.t.Fatal(err)
			}
			names = append(names, string(number), `"{since, in milliseconds}"`, since.Format(time.RFC3339Nano), "{since}")
		}
	}
	return names
}

func (s *story) tell(archive *txtar.Archive) {
	s.t.Helper()
	for i := range archive.Files {
		f := &archive.Files[i]
		text := strings.TrimSpace(string(f.Data))
		switch f.Name {
		case "caller":
		case "operation":
			s.document, s.name, s.variables = text, "", nil
		case "name":
			s.name = text
		case "variables":
			s.variables = json.RawMessage(strings.ReplaceAll(text, "{session}", s.person.session.ID))
		case "switches":
			s.rollup.post(s.t, "/dev/switches", "application/json", text, nil)
		case "expire":
			s.rollup.post(s.t, "/dev/expire", "application/json", text, nil)
		case "upstream":
			s.step()
			s.compare(f, s.upstream())
		case "response":
			s.compare(f, s.told)
		default:
			s.t.Fatalf("unknown section %s", f.Name)
		}
	}
}

func (s *story) step() {
	s.t.Helper()
	s.rollup.forget()
	document := strings.ReplaceAll(s.document, "{session}", s.person.session.ID)
	s.told = s.readable(s.world.execute(s.person, document, s.name, s.variables))
}

// upstream is what Rollup was asked since the last step.
func (s *story) upstream() string {
	var b strings.Builder
	for _, asked := range s.rollup.requests() {
		fmt.Fprintf(&b, "galaxy %s\n", asked.Query)
		if string(asked.Variables) != "{}" {
			fmt.Fprintf(&b, "  %s\n", asked.Variables)
		}
	}
	counts := s.rollup.Counters()
	delete(counts, string(devrollup.GalaxyAPI))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "%s %d\n", name, counts[name])
	}
	return s.known.Replace(b.String())
}

// readable is the data as it came, on lines, and the errors.
func (s *story) readable(raw []byte) string {
	s.t.Helper()
	var response struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Message    string         `json:"message"`
			Path       []any          `json:"path"`
			Extensions map[string]any `json:"extensions"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(raw, &response); err != nil {
		s.t.Fatalf("%v: %s", err, raw)
	}
	var b bytes.Buffer
	if len(response.Data) > 0 {
		if err := json.Indent(&b, response.Data, "", "  "); err != nil {
			s.t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	var lines []string
	for _, e := range response.Errors {
		path := make([]string, len(e.Path))
		for i, step := range e.Path {
			path[i] = fmt.Sprint(step)
		}
		line := fmt.Sprintf("%s: %v at %s", e.Message, e.Extensions["code"], strconv.Quote(strings.Join(path, ".")))
		if e.Extensions["code"] == "INTERNAL_SERVER_ERROR" {
			line = fmt.Sprintf("%v at %q", e.Extensions["code"], strings.Join(path, "."))
		}
		for _, name := range []string{"service", "upstreamMessage", "retryAfter", "reason", "missingScopes", "loginUrl"} {
			if value, ok := e.Extensions[name]; ok {
				line += fmt.Sprintf("\n  %s: %v", name, value)
			}
		}
		lines = append(lines, line+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(a[strings.Index(a, ` at "`):], b[strings.Index(b, ` at "`):])
	})
	b.WriteString(strings.Join(lines, ""))
	return s.known.Replace(b.String())
}

func (s *story) compare(f *txtar.File, got string) {
	s.t.Helper()
	if *update {
		f.Data = []byte(got)
		return
	}
	if diff := cmp.Diff(string(f.Data), got); diff != "" {
		s.t.Errorf("%s of %s %s (-want +got):\n%s", f.Name, s.document, s.variables, diff)
	}
}
