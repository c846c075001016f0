package e2e_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"
)

const firstQuery = `{
  viewer { name email connectedAccounts { nodes { type identifier } } authorization { status scopes accessTokenExpiresAt lastRefreshedAt } }
  session { id kind }
}`

// TestTheWholeWay signs in, queries, is refused, consents, lets the token
// expire, signs out, and finds no secret anywhere.
func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	for dbName, database := range databases() {
		for providerName, with := range providers() {
			t.Run(dbName+" and "+providerName, func(t *testing.T) {
				t.Parallel()
				w := found(t, database(t), with, nil)
				browsers := walk(t, w)
				w.stop(t)
				w.findNoSecret(t, browsers)
			})
		}
	}
}

func walk(t *testing.T, w *world) []*browser {
	t.Helper()
	one, two := w.browser(t), w.browser(t)

	if r := one.query(t, `{ viewer { id } session { id } node(id: "x") { id } }`); len(r.Errors) != 0 || r.at("viewer") != nil {
		t.Errorf("anonymous: got %+v", r)
	}
	w.consent("openid", "profile", "connected_accounts", "offline_access")
	if at := one.signIn(t, w.url+"/auth/login"); at != w.url+"/" {
		t.Errorf("sign-in ends at %s", at)
	}
	r := one.query(t, firstQuery)
	if name := fmt.Sprint(r.at("viewer", "name")); !strings.HasPrefix(name, "Alice") {
		t.Errorf("name is %v: %+v", name, r.Errors)
	}
	if r.at("viewer", "connectedAccounts", "nodes", 1, "identifier") == nil || r.at("session", "kind") != "BROWSER" {
		t.Errorf("got %+v", r)
	}
	code, extensions := r.code("email")
	consentURL, _ := extensions["consentUrl"].(string)
	if code != "INSUFFICIENT_SCOPE" || fmt.Sprint(extensions["missingScopes"]) != "[email]" || consentURL == "" {
		t.Fatalf("email without consent: got %+v", r.Errors)
	}

	// Consent to more, with tokens that end soon.
	w.consent()
	w.setLife(2 * time.Second)
	old := one.session()
	one.signIn(t, consentURL+"&return_to=/after")
	w.setLife(time.Hour)
	r = one.query(t, firstQuery)
	if email := fmt.Sprint(r.at("viewer", "email")); !strings.Contains(email, "alice@") {
		t.Errorf("email is %v: %+v", email, r.Errors)
	}
	stale := w.browser(t)
	stale.bearer(old)
	if r := stale.query(t, `{ viewer { id } }`); r.at("viewer") != nil {
		t.Error("the browser's old session lives on")
	}

	// Expiry and refresh, unseen.
	expires, err := time.Parse(time.RFC3339, fmt.Sprint(r.at("viewer", "authorization", "accessTokenExpiresAt")))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() bool { return time.Now().After(expires) }, func() string { return "no expiry" })
	r = one.query(t, firstQuery)
	if len(r.Errors) != 0 {
		t.Errorf("after expiry: %+v", r.Errors)
	}
	if r = one.query(t, firstQuery); r.at("viewer", "authorization", "lastRefreshedAt") == nil || w.refreshes() != 1 {
		t.Errorf("refreshed %d times: %+v", w.refreshes(), r)
	}

	// A second browser of hers, which ends the first one's session.
	two.signIn(t, w.url+"/auth/login")
	first := one.query(t, `{ session { id } }`).at("session", "id")
	r = two.query(t, `{ viewer { sessions { totalCount nodes { id current } } } }`)
	if r.at("viewer", "sessions", "totalCount") != 2.0 {
		t.Errorf("sessions: %+v", r)
	}
	r = two.query(t, fmt.Sprintf(`mutation { revokeSession(input: {sessionId: %q}) { session { id } } }`, first))
	if len(r.Errors) != 0 {
		t.Errorf("revokeSession: %+v", r.Errors)
	}
	if r := one.query(t, `{ viewer { id } }`); r.at("viewer") != nil || one.session() != "" {
		t.Errorf("the ended session's cookie: viewer %v, cookie %q", r.at("viewer"), one.session())
	}

	bearer := w.browser(t)
	bearer.bearer(two.session())
	if r := bearer.query(t, `{ session { kind } }`); r.at("session", "kind") != "BROWSER" {
		t.Errorf("by bearer: %+v", r)
	}
	resp, _ := two.post(t, w.url+"/auth/logout", "application/x-www-form-urlencoded", "")
	if resp.StatusCode != http.StatusNoContent || two.session() != "" {
		t.Errorf("logout answers %d, cookie %q", resp.StatusCode, two.session())
	}
	if r := bearer.query(t, `{ viewer { id } }`); r.at("viewer") != nil {
		t.Error("the session lives on after logout")
	}
	return []*browser{one, two, stale, bearer}
}

// findNoSecret searches the database, all responses and the log for every
// secret that occurred.
func (w *world) findNoSecret(t *testing.T, browsers []*browser) {
	t.Helper()
	secrets := append(w.issued(), clientSecret, galaxyKey, w.keyset)
	var responses string
	for _, b := range browsers {
		responses += b.seen.String()
		secrets = append(secrets, b.jar...)
	}
	places := map[string]string{"the log": w.log.String(), "the database": dump(t, w.database), "responses": responses}
	slices.Sort(secrets)
	secrets = slices.Compact(secrets)
	if len(secrets) < 12 {
		t.Fatalf("only %d secrets are known", len(secrets))
	}
	for place, text := range places {
		if len(text) < 2000 {
			t.Errorf("%s: only %d bytes: is that all?", place, len(text))
		}
		for _, secret := range secrets {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret)} {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s: a secret after …%s", place, text[max(0, i-120):i])
				}
			}
		}
	}
}

// dump is every value of every table, bytes as they are and in hexadecimal.
func dump(t *testing.T, url string) string {
	t.Helper()
	db := openDatabase(t, url)
	tables := `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	if strings.HasPrefix(url, "sqlite") {
		tables = `SELECT name FROM sqlite_master WHERE type = 'table'`
	}
	var out strings.Builder
	for _, table := range column(t, db, tables) {
		dumpTable(t, db, table, &out)
	}
	return out.String()
}

func dumpTable(t *testing.T, db *sql.DB, table string, out *strings.Builder) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values := make([]any, len(columns))
	pointers := make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			if raw, ok := value.([]byte); ok {
				value = fmt.Sprintf("%s %x", raw, raw)
			}
			fmt.Fprintf(out, "%s.%s %v\n", table, columns[i], value)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func openDatabase(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, source := "postgres", url
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// column is the one column of a query's rows.
func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
