package store

import "testing"

// TestAReplicaTrustsItsEarsOnlyWhileTheOthersWaitForIt follows beats that are
// sent, and heard or not, in this order.
func TestAReplicaTrustsItsEarsOnlyWhileTheOthersWaitForIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		sent  int
		heard int // which of them is heard, from 1
		then  int // how many more are sent and heard, each at once
		hears bool
	}{
		{"the first is heard", 1, 1, 0, true},
		{"the last that counts is heard", maxUnheard, maxUnheard, 0, true},
		{"one is heard after the others ceased to wait", maxUnheard + 1, maxUnheard, 0, false},
		{"one that does not count is heard", maxUnheard + 1, maxUnheard + 1, 0, false},
		{"and the next one counts", maxUnheard + 1, maxUnheard + 1, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(nil, nil)
			var beats []message
			for i := range tt.sent {
				m, counted := r.nextBeat()
				if counted != (i < maxUnheard) {
					t.Errorf("beat %d: counted %v", i+1, counted)
				}
				beats = append(beats, m)
			}
			r.hear(beats[tt.heard-1])
			for range tt.then {
				m, _ := r.nextBeat()
				r.hear(m)
			}
			if hears := r.heard.Load() != nil; hears != tt.hears {
				t.Errorf("hears: %v, want %v", hears, tt.hears)
			}
		})
	}
}
