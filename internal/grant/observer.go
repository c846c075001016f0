package grant

import "time"

// Observer is told of what happens to grants, for the operator to see.
type Observer interface {
	// Refreshed says how a presentation of a refresh token ended, as "refreshed",
	// "fenced" where someone else's result counts, or the failure's Kind, and how
	// long it took.
	Refreshed(outcome string, took time.Duration)
	// Waited says how long a request waited for a refresh, its own or another's.
	Waited(took time.Duration)
	// Contended says that someone else had taken the lease, or the grant had
	// changed, in the moment between reading and acting.
	Contended()
	// Reauthenticate says that a grant can no longer be refreshed, and why.
	Reauthenticate(reason string)
}

// observer returns the one to tell.
func (s *Source) observer() Observer {
	if s.Observer == nil {
		return nobody{}
	}
	return s.Observer
}

type nobody struct{}

func (nobody) Refreshed(string, time.Duration) {}
func (nobody) Waited(time.Duration)            {}
func (nobody) Contended()                      {}
func (nobody) Reauthenticate(string)           {}
