package e2e_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// matrix is what docs/fault-matrix.md says.
type matrix struct {
	faults   []string                    // those that are explained
	bounds   map[[2]string]time.Duration // by part and step
	outcomes map[cell]outcome

	mu    sync.Mutex
	tried map[cell]bool
}

// readFaults reads the tables: a row of seven columns holds an outcome, one of
// three a bound, and one of two a fault. A column that names several parts, steps or faults stands for
// each of them.
func readFaults(t *testing.T) *matrix {
	t.Helper()
	text, err := os.ReadFile("../../docs/fault-matrix.md")
	if err != nil {
		t.Fatal(err)
	}
	m := &matrix{bounds: map[[2]string]time.Duration{}, outcomes: map[cell]outcome{}, tried: map[cell]bool{}}
	for line := range strings.Lines(string(text)) {
		columns := columns(line)
		switch {
		case len(columns) == 0 || columns[0] == "part" || columns[0] == "fault" || columns[0] == "---":
		case len(columns) == 2:
			m.faults = append(m.faults, columns[0])
		case len(columns) == 3:
			for _, part := range list(columns[0]) {
				for _, step := range list(columns[1]) {
					m.bounds[[2]string{part, step}] = bound(t, columns[2])
				}
			}
		case len(columns) == 7:
			m.addOutcome(t, columns)
		default:
			t.Errorf("a row of %d columns: %s", len(columns), line)
		}
	}
	return m
}

func (m *matrix) addOutcome(t *testing.T, columns []string) {
	t.Helper()
	for _, part := range list(columns[0]) {
		for _, step := range list(columns[1]) {
			for _, fault := range list(columns[2]) {
				at := cell{part, step, fault}
				if _, twice := m.outcomes[at]; twice {
					t.Errorf("docs/fault-matrix.md has %+v twice", at)
				}
				m.outcomes[at] = outcome{client: columns[3], presented: columns[4], stored: columns[5], after: columns[6]}
			}
		}
	}
}

// compare wants the cell to be as it is documented.
func (m *matrix) compare(t *testing.T, at cell, got outcome, took time.Duration) {
	t.Helper()
	m.mu.Lock()
	m.tried[at] = true
	m.mu.Unlock()
	if want, ok := m.outcomes[at]; !ok {
		t.Errorf("docs/fault-matrix.md lacks %+v: %q", at, got)
	} else if got != want {
		t.Errorf("%+v\ngot  %q\nwant %q", at, got, want)
	}
	if limit, ok := m.bounds[[2]string{at.part, at.step}]; !ok || took > limit+margin {
		t.Errorf("%+v took %v, bound %v (%v)", at, took, limit, ok)
	}
}

// leavesNothing wants every documented cell to have been tried, and every fault
// to be documented.
func (m *matrix) leavesNothing(t *testing.T) {
	t.Helper()
	for i, f := range faults() {
		if i >= len(m.faults) || m.faults[i] != f.name {
			t.Errorf("docs/fault-matrix.md explains %q, and not %s", m.faults, f.name)
		}
	}
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // only some were to be tried
	}
	for at := range m.outcomes {
		if !m.tried[at] {
			t.Errorf("docs/fault-matrix.md has %+v, which nobody tries", at)
		}
	}
}

// columns are those of a table's row; none where the line is no row.
func columns(line string) []string {
	line, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return nil
	}
	all := strings.Split(strings.TrimSuffix(line, "|"), "|")
	for i := range all {
		all[i] = strings.ReplaceAll(strings.TrimSpace(all[i]), "`", "")
	}
	return all
}

func list(column string) []string { return strings.Split(column, ", ") }

var seconds = regexp.MustCompile(`\d+ s`)

// bound is the sum of what the column names.
func bound(t *testing.T, column string) time.Duration {
	t.Helper()
	var sum time.Duration
	if strings.Contains(column, "OPERATION_TIMEOUT") {
		sum = operationTimeout
	}
	for _, one := range seconds.FindAllString(column, -1) {
		d, err := time.ParseDuration(strings.ReplaceAll(one, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		sum += d
	}
	return sum
}
