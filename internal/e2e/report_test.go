package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"
)

// soakReport is docs/soak-refresh.md.
const soakReport = `# The soak of the refresh

Written by ` + "`make soak-refresh`" + `; do not edit.

{{.Plan.Replicas}} real gateway processes on one PostgreSQL, one user's session, and a
provider that rotates refresh tokens and ends the whole grant where a used one
comes again. Whenever the access token has expired, {{.Plan.Requests}} requests are sent
at once, spread over the replicas. Each must be answered with the user's data,
and each expiry may cost one presentation of the refresh token.

| | |
| --- | --- |
| date | {{.Date}} |
| took | {{.Took}} |
| machine | {{.Machine}}; gateways, provider, PostgreSQL and clients share it |
| versions | {{.Versions}} |
| expiries | {{.Expiries}}, of which {{.Outlived}} while the requests of the one before were still being answered |
| requests | {{.Requests}} |
| errors | {{.Errors}} |
| presentations of a refresh token | {{.Presenting.Total}} |
| of one that had been presented before | {{.Presenting.Repeated}} |
| begun while another was under way | {{.Presenting.Overlapped}} |
| reuses that the provider saw | {{.Reuses}} |
| the grant at the end | {{.Status}} |

| latency | p50 | p90 | p99 | p99.9 | longest |
| --- | --- | --- | --- | --- | --- |
| of a request | {{.Requested}} |
| from the expiry's first request to its first answer | {{.Refreshed}} |

All {{.Plan.Requests}} requests of a burst compete for {{.Cores}} cores, so their latency is that of
a saturated machine; the second line is nearer to what one user would wait for.

## What was compressed

{{.Compressed}}
`

// compressed explains a plan whose tokens live for less than a second.
const compressed = `The life of an access token: %v, where the ordinary tests have 2 s. A provider
cannot tell a life below a second in expires_in, so this one tells none, and the
gateways assume it (ROLLUP_ASSUMED_TOKEN_LIFE=%v). Userinfo takes access tokens for
a minute after their end, as resources with a slow clock do, because a burst may
last longer than a token lives. No refresh token is spared anything.
Nothing else is shortened: lease, deadlines, polls and retries are those of
production, and so is every part that takes part, but for PostgreSQL's fsync and
the rate limit of a session, which are off. It is honest because nothing in the refresh protocol depends on the
life of a token: what the soak exercises is the moment of expiry, and idle time
between two of them would add nothing to it. REFRESH_EARLY is 1 µs, which makes it
harder: in production the token is refreshed while the old one is still served, and
nobody waits. The same test runs with real tokens of 2 s in ` + "`make test`" + `.`

func (s *soak) writeReport(t *testing.T) {
	t.Helper()
	var status string
	if err := s.db.QueryRowContext(t.Context(), "SELECT status FROM grants").Scan(&status); err != nil {
		t.Fatal(err)
	}
	what := "Nothing."
	if !s.plan.told {
		what = fmt.Sprintf(compressed, s.plan.life, s.plan.life)
	}
	file, err := os.Create(s.plan.report)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type plan struct{ Replicas, Requests int }
	type counts struct{ Total, Repeated, Overlapped int }
	err = template.Must(template.New("report").Parse(soakReport)).Execute(file, map[string]any{
		"Plan": plan{s.plan.replicas, s.plan.requests}, "Date": time.Now().UTC().Format(time.DateOnly),
		"Took": time.Since(s.began).Round(time.Second), "Machine": machine(), "Cores": runtime.NumCPU(),
		"Versions": versions(t, s), "Expiries": s.presenting.total, "Outlived": s.outlived,
		"Requests": len(s.latencies), "Errors": len(s.failures),
		"Presenting": counts{s.presenting.total, s.presenting.repeated, s.presenting.overlapped},
		"Reuses":     s.w.reuses(), "Status": status,
		"Requested": percentiles(s.latencies), "Refreshed": percentiles(s.refreshes), "Compressed": what,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// percentiles are the cells of the latency table.
func percentiles(all []time.Duration) string {
	sorted := slices.Sorted(slices.Values(all))
	var cells []string
	for _, p := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		at := max(int(p*float64(len(sorted)))-1, 0)
		cells = append(cells, sorted[at].Round(time.Millisecond).String())
	}
	return strings.Join(cells, " | ")
}

func machine() string {
	text := fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, err := os.ReadFile("/proc/meminfo")
	var kilobytes int
	if _, scanned := fmt.Sscanf(string(info), "MemTotal: %d kB", &kilobytes); err == nil && scanned == nil {
		text += fmt.Sprintf(", %d GiB", (kilobytes+1<<19)>>20)
	}
	return text
}

func versions(t *testing.T, s *soak) string {
	t.Helper()
	var postgres string
	if err := s.db.QueryRowContext(t.Context(), "SHOW server_version").Scan(&postgres); err != nil {
		t.Fatal(err)
	}
	text := runtime.Version() + ", PostgreSQL " + postgres
	if revision, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		text += ", galaxygate at " + strings.TrimSpace(string(revision))
	}
	if os.Getenv("E2E_RACE") != "off" {
		text += ", built with the race detector"
	}
	return text
}
