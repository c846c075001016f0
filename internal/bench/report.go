package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// What is between these lines of the report belongs to this command.
const (
	beginMark = "<!-- make bench: begin -->\n"
	endMark   = "<!-- make bench: end -->\n"
)

// compare says in a line how the gateway's round was beside the proxy's.
func compare(proxy, gateway round) string {
	return fmt.Sprintf("CPU %v to %v, %.2f times; %.0f/s to %.0f/s, %.2f times; upstream %s",
		µs(cpuOf(gateway)), µs(cpuOf(proxy)), cpuOf(gateway)/cpuOf(proxy),
		gateway.throughput, proxy.throughput, gateway.throughput/proxy.throughput, gateway.upstream())
}

// upstream is what one operation asked for.
func (r round) upstream() string { return fmt.Sprintf("%s + %s", few(r.galaxy), few(r.info)) }

// few is a small number in as many digits as it needs.
func few(n float64) string {
	switch {
	case n == 0 || n >= 0.995:
		return fmt.Sprintf("%.3g", n)
	case n < 0.001:
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", n)
}

func µs(cpu float64) string { return fmt.Sprintf("%.0f µs", cpu/float64(time.Microsecond)) }

// table is the report of all that was measured.
func (b *bench) table(ctx context.Context, results []result) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s; %s. %d connections, %d rounds of %v for each, in turns.\n"+
		"Bold is the median of the rounds' ratios, with the least and the greatest of them. The proxy\n"+
		"makes one request to Galaxy for each answer.\n\n",
		time.Now().UTC().Format(time.DateOnly), machine(ctx), connections, b.rounds, b.long)
	t.WriteString(`| | operation | answer | CPU a request, gateway : proxy | | throughput, gateway : proxy | | Galaxy + userinfo | memory at most, gateway, proxy |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`)
	for _, r := range results {
		fmt.Fprintf(&t, "| %s | %s | %s | **%s** | %s : %s | **%s** | %.0f : %.0f /s | %s | %s, %s |\n",
			r.scenario.name, r.scenario.about, size(r.bytes),
			r.ratio(cpuOf), µs(typical(r.gateway, cpuOf)), µs(typical(r.proxy, cpuOf)),
			r.ratio(throughputOf), typical(r.gateway, throughputOf), typical(r.proxy, throughputOf),
			r.gateway[len(r.gateway)-1].upstream(), peak(r.gateway), peak(r.proxy))
	}
	return t.String()
}

func cpuOf(r round) float64        { return float64(r.cpu) }
func throughputOf(r round) float64 { return r.throughput }
func peak(rounds []round) string {
	m := rounds[len(rounds)-1].memory
	return fmt.Sprintf("%d MB (then %d)", m.peak>>10, m.now>>10)
}

func size(bytes int) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.3g KB", float64(bytes)/1024)
}

// typical is the median of the rounds.
func typical(rounds []round, of func(round) float64) float64 {
	all := make([]float64, len(rounds))
	for i, r := range rounds {
		all[i] = of(r)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// ratio is the median of the rounds' ratios of the gateway's to the proxy's, with
// the least and the greatest.
func (r result) ratio(of func(round) float64) string {
	all := make([]float64, len(r.gateway))
	for i := range all {
		all[i] = of(r.gateway[i]) / of(r.proxy[i])
	}
	slices.Sort(all)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", all[len(all)/2], all[0], all[len(all)-1])
}

// machine says on what, and what.
func machine(ctx context.Context) string {
	text := fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	if revision, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		text += ", galaxygate at " + strings.TrimSpace(string(revision))
	}
	return text
}

// readReport returns what is before and after the part of the report that is
// written here.
func readReport(file string) (before, after []byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	before, rest, begun := bytes.Cut(text, []byte(beginMark))
	_, after, ended := bytes.Cut(rest, []byte(endMark))
	if !begun || !ended {
		return nil, nil, fmt.Errorf("%s has no place for the table: %w", file,
			errors.New(strings.TrimSpace(beginMark)+" and "+strings.TrimSpace(endMark)+" on lines of their own"))
	}
	return before, after, nil
}

// writeReport replaces that part.
func writeReport(file, table string) error {
	before, after, err := readReport(file)
	if err != nil {
		return err
	}
	text := slices.Concat(before, []byte(beginMark), []byte(table), []byte(endMark), after)
	return os.WriteFile(file, text, 0o644)
}
