package failpoint

// Point is a place in a refresh at which the process may be made to end.
type Point string

// The points, in the order in which a refresh passes them.
const (
	// Waiting: another replica holds the lease, and its end is waited for.
	Waiting Point = "waiting"
	// BeforeIntent: the refresh token is to be presented; nothing says so yet.
	BeforeIntent Point = "before-intent"
	// IntentStored: the lease stands, and the provider has not been asked.
	IntentStored Point = "intent-stored"
	// ReplyReceived: the provider's tokens are in this process and nowhere else.
	ReplyReceived Point = "reply-received"
	// PublishUncommitted: the transaction that stores them is about to commit.
	PublishUncommitted Point = "publish-uncommitted"
	// FailureUncommitted: the one that records a failure is about to commit.
	FailureUncommitted Point = "failure-uncommitted"
	// ReleaseBegun: the lease is to be given back, for nothing was presented.
	ReleaseBegun Point = "release-begun"
	// Committed: a change of a grant is stored, and nobody here woken. A refresh
	// passes it twice: with its intent, and with how that went.
	Committed Point = "committed"
	// WaitersWoken: the new tokens are stored and all who watch the grant are
	// woken; nobody has been answered.
	WaitersWoken Point = "waiters-woken"
)
