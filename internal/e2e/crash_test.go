package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"galaxygate/internal/failpoint"
)

// killing is how a process is brought to die at a point of docs/crash-matrix.md.
type killing struct {
	arm       string      // FAILPOINT; empty: it is killed from outside
	disturbed disturbance // of the provider, until the process is dead
	lasting   bool        // the disturbance lasts until a client has heard of it
	undone    bool        // the process cannot get ready under the disturbance
	waits     bool        // the survivor has begun the refresh that it waits for
	harmless  bool        // whatever the document says, the grant is to be kept
}

// killings are those for each point.
func killings() map[string]killing {
	at := func(p failpoint.Point) string { return string(p) }
	twice := at(failpoint.Committed) + ":2" // the intent comes first
	return map[string]killing{
		"waiting":             {arm: at(failpoint.Waiting), disturbed: withholding, waits: true, harmless: true},
		"before-intent":       {arm: at(failpoint.BeforeIntent), harmless: true},
		"intent-stored":       {arm: at(failpoint.IntentStored)},
		"request-sent":        {disturbed: withholding},
		"reply-received":      {arm: at(failpoint.ReplyReceived)},
		"publish-uncommitted": {arm: at(failpoint.PublishUncommitted)},
		"tokens-stored":       {arm: twice, harmless: true},
		"waiters-woken":       {arm: at(failpoint.WaitersWoken), harmless: true},
		"failure-uncommitted": {arm: at(failpoint.FailureUncommitted), disturbed: refusing},
		"failure-stored":      {arm: twice, disturbed: refusing, lasting: true, harmless: true},
		"release-begun":       {arm: at(failpoint.ReleaseBegun), disturbed: hiding, undone: true},
		"lease-released":      {arm: twice, disturbed: hiding, undone: true, harmless: true},
	}
}

// kinds are what the gateway can know of a provider's refresh tokens.
func kinds() map[string]func(*testing.T, string) *provider {
	return map[string]func(*testing.T, string) *provider{"keeps": rollup, "rotates": strict, "unknown": strict}
}

// row is a row of docs/crash-matrix.md.
type row struct{ point, token, grant, presentations, client string }

// TestCrashMatrix kills a gateway at each point, and wants what the document
// says to become of the grant.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	kills := 1
	if value := os.Getenv("CRASH_KILLS"); value != "" {
		var err error
		if kills, err = strconv.Atoi(value); err != nil {
			t.Fatalf("CRASH_KILLS: %v", err)
		}
	}
	rows := readMatrix(t)
	armed := filepath.Join(t.TempDir(), "galaxygate")
	if err := build(armed, "-tags", "failpoints"); err != nil {
		t.Fatal(err)
	}
	began, said := time.Now(), time.Now()
	// Most of a run is waiting for a lease, so many run at once, more than the
	// cores that t.Parallel counts.
	turns := make(chan struct{}, 10)
	var all sync.WaitGroup
	for i := range kills * len(rows) {
		r, round := rows[i%len(rows)], i/len(rows)
		takeover := (round+i%len(rows))%2 == 0
		name := fmt.Sprintf("%s/%s/%s/%d", r.point, r.token, map[bool]string{true: "replica", false: "restart"}[takeover], round+1)
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			t.Run(name, func(t *testing.T) { newCrash(t, r, armed).run(t, takeover) })
		})
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			t.Logf("%d of %d kills begun, %v elapsed", i+1, kills*len(rows), time.Since(began).Round(time.Second))
		}
	}
	all.Wait()
}

// readMatrix reads the table, which must have every point once for each kind.
func readMatrix(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "crash-matrix.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| point | refresh token | the grant | presentations | the client |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []row
	seen := map[[2]string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if strings.HasPrefix(line, "| ---") {
			continue
		}
		if len(cells) != 5 {
			t.Fatalf("not a row: %q", line)
		}
		r := row{strings.Trim(cells[0], "`"), cells[1], cells[2], cells[3], cells[4]}
		if _, ok := killings()[r.point]; !ok || kinds()[r.token] == nil || seen[[2]string{r.point, r.token}] {
			t.Fatalf("an unknown row, or one that is there twice: %q", line)
		}
		seen[[2]string{r.point, r.token}] = true
		rows = append(rows, r)
	}
	if want := len(killings()) * len(kinds()); len(rows) != want {
		t.Fatalf("the table has %d rows, want %d", len(rows), want)
	}
	return rows
}

// crash is one kill and what comes of it.
type crash struct {
	row
	killing
	w       *world
	armed   string
	client  *http.Client
	db      *sql.DB
	session string

	before presentations
	lease  sql.NullTime // when the lease ends that stood at the process's death
}

// newCrash founds a world in which Alice is signed in, her access token has
// expired, and as much is known of the provider as the row says.
func newCrash(t *testing.T, r row, armed string) *crash {
	t.Helper()
	c := &crash{row: r, killing: killings()[r.point], armed: armed, client: &http.Client{Timeout: 40 * time.Second}}
	t.Cleanup(c.client.CloseIdleConnections)
	// The assumption is for a machine so busy that a token has expired when it
	// arrives.
	c.w = found(t, postgres(t), kinds()[r.token], map[string]string{"ROLLUP_ASSUMED_TOKEN_LIFE": "2s"})
	c.db = openDatabase(t, c.w.database)
	c.w.setLife(2 * time.Second)
	b := c.w.browser(t)
	b.signIn(t, c.w.url+"/auth/login")
	c.session = b.session()
	if r.token != "unknown" {
		c.expire(t)
		if got := c.ask(t.Context(), c.w.gateway); got.name == "" {
			t.Fatalf("the first refresh: %+v", got)
		}
	}
	c.expire(t)
	c.w.setLife(time.Hour)
	c.before = c.w.front.presentations()
	return c
}

// expire waits until the stored access token has expired.
func (c *crash) expire(t *testing.T) {
	t.Helper()
	var at time.Time
	c.read(t, "SELECT access_expires_at FROM grants", &at)
	eventually(t, 10*time.Second, func() bool { return time.Now().After(at) }, func() string { return "no expiry" })
}

// run kills a replica, and looks at the grant through a survivor: another
// replica, or the killed one's next process.
func (c *crash) run(t *testing.T, takeover bool) {
	victim := c.w.replica(t, nil)
	victim.binary = c.armed
	if !takeover && !c.waits {
		c.w.stop(t)
	}
	c.w.front.disturb(c.disturbed)
	c.kill(t, victim)
	if !c.lasting {
		c.w.front.disturb(none)
	}
	survivor := c.w.gateway
	if !takeover {
		survivor = victim
		victim.binary = binary
		victim.run(t)
		victim.await(t, victim.admin+"/readyz", http.StatusOK)
	}
	saw := c.outcome(t, survivor)
	if saw != c.row {
		t.Errorf("got  %+v\nwant %+v", saw, c.row)
	}
	c.verify(t, survivor, saw)
}

// kill runs the victim until it has died at the point.
func (c *crash) kill(t *testing.T, victim *gateway) {
	t.Helper()
	if c.waits {
		go func() { c.ask(context.WithoutCancel(t.Context()), c.w.gateway) }()
		c.awaitPresentation(t)
	}
	env := victim.env
	victim.env = append(env, "FAILPOINT="+c.arm)
	victim.run(t)
	victim.env = env
	if ready := victim.admin + "/readyz"; c.undone {
		victim.await(t, ready, http.StatusServiceUnavailable)
	} else {
		victim.await(t, ready, http.StatusOK)
	}
	go func() { c.ask(context.WithoutCancel(t.Context()), victim) }() // it will not be answered
	if c.arm == "" {
		c.awaitPresentation(t)
		_ = victim.cmd.Process.Kill()
	}
	victim.died(t)
	c.read(t, "SELECT lease_expires_at FROM grants", &c.lease)
	point, _, _ := strings.Cut(c.arm, ":")
	if c.arm != "" && !strings.Contains(victim.log.String(), "failpoint "+point+"\n") {
		t.Fatalf("it died elsewhere:\n%s", tail(victim.log.String(), 3000))
	}
}

// awaitPresentation waits until the provider withholds a reply.
func (c *crash) awaitPresentation(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, func() bool { return c.w.front.presentations().live == 1 }, func() string { return "no presentation" })
}

// died waits until the process has been ended by SIGKILL.
func (g *gateway) died(t *testing.T) {
	t.Helper()
	ended := make(chan error, 1)
	cmd := g.cmd
	g.cmd = nil
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("it ended with %v, want SIGKILL\n%s", err, tail(g.log.String(), 3000))
		}
	case <-time.After(60 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatalf("it does not die:\n%s", tail(g.log.String(), 3000))
	}
}

// outcome asks the survivor until it has an answer that lasts, and returns what
// the table should say.
func (c *crash) outcome(t *testing.T, survivor *gateway) row {
	t.Helper()
	got := c.ask(t.Context(), survivor)
	client, late := "", c.lease.Valid && time.Now().After(c.lease.Time)
	if got.code == "UPSTREAM_UNAVAILABLE" {
		client = got.code + ", then "
		c.w.front.disturb(none)
		eventually(t, 20*time.Second, func() bool {
			got = c.ask(t.Context(), survivor)
			return got.code != "UPSTREAM_UNAVAILABLE"
		}, func() string { return "it does not recover" })
	}
	switch {
	case got.code == "REAUTHENTICATION_REQUIRED":
		client += "sign in again"
		if late {
			client += ", after the lease"
		}
	case got.name == "":
		client += fmt.Sprintf("%+v", got)
	case client != "":
		client += "data"
	case late:
		client = "data after the lease"
	default:
		client = "data at once"
	}
	var status, reason string
	c.read(t, "SELECT status, status_reason FROM grants", &status, &reason)
	saw := row{
		point: c.point, token: c.token, grant: "kept", client: client,
		presentations: strconv.Itoa(c.w.front.presentations().total - c.before.total),
	}
	if status != "active" {
		saw.grant = reason
	}
	return saw
}

// verify looks at what holds at every point.
func (c *crash) verify(t *testing.T, survivor *gateway, saw row) {
	t.Helper()
	settled := c.w.front.presentations()
	if settled.overlapped > 0 || settled.live > 0 {
		t.Errorf("two presentations at once: %+v", settled)
	}
	if n := c.w.reuses(); n > 0 {
		t.Errorf("a spent refresh token was presented %d times", n)
	}
	var leased bool
	c.read(t, "SELECT lease_owner IS NOT NULL FROM grants", &leased)
	if leased {
		t.Error("a lease is left")
	}
	want := c.ask(t.Context(), survivor)
	for range 3 {
		if got := c.ask(t.Context(), survivor); got != want {
			t.Errorf("then it answers %+v, before %+v", got, want)
		}
	}
	if now := c.w.front.presentations(); now != settled {
		t.Errorf("the refresh token is presented again and again: %+v, before %+v", now, settled)
	}
	if saw.grant == "kept" {
		return
	}
	if c.harmless {
		t.Errorf("the grant is lost: %s", saw.grant)
	}
	// Only the user can mend it, and can.
	b := c.w.browser(t)
	back := b.callback(t, survivor.url+"/auth/login")
	back.Host = strings.TrimPrefix(survivor.url, "http://")
	resp, body := b.get(t, back.String())
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("signing in again: %d %s", resp.StatusCode, body)
	}
	if got := c.ask(t.Context(), survivor); got.name == "" {
		t.Errorf("after signing in again: %+v", got)
	}
}

// ask asks for Alice's name, under her session.
func (c *crash) ask(ctx context.Context, g *gateway) seen {
	return viewer(ctx, c.client, g.url, c.session)
}

// read reads one row of the database.
func (c *crash) read(t *testing.T, query string, dest ...any) {
	t.Helper()
	if err := c.db.QueryRowContext(t.Context(), query).Scan(dest...); err != nil {
		t.Fatal(err)
	}
}
