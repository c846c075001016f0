package budget

import (
	"slices"
	"time"
)

// lately is for how long a token counts that a user was given.
const lately = time.Minute

// waiter is one request that waits for its turn. err is set before done is closed.
type waiter struct {
	user     *user
	number   int       // of those who came, the lower the earlier
	deadline time.Time // its turn must come by then
	done     chan struct{}
	err      error
}

func (w *waiter) settle(err error) {
	w.err = err
	close(w.done)
}

// user is one who waits, or was given something of late.
type user struct {
	name    string
	given   int // of late
	waiting []*waiter

	// In play: the turns that will have been had, and the requests looked at.
	ahead, seen int
}

// head is the first of the user's requests that play has not looked at.
func (u *user) head() *waiter { return u.waiting[u.seen] }

// before reports whether u's next turn is before o's: u was given fewer, or as
// many and has waited longer.
func (u *user) before(o *user) bool {
	if had, others := u.given+u.ahead, o.given+o.ahead; had != others {
		return had < others
	}
	return u.head().number < o.head().number
}

// queue is who waits, and who was given what of late.
type queue struct {
	users map[string]*user
	line  []*user // those who wait
	gifts []gift  // of late, the oldest first
	came  int
}

type gift struct {
	user *user
	at   time.Time
}

func (q *queue) isEmpty() bool { return len(q.line) == 0 }

func (q *queue) user(name string) *user {
	u, ok := q.users[name]
	if !ok {
		u = &user{name: name}
		q.users[name] = u
	}
	return u
}

// push puts w behind the user's other requests.
func (q *queue) push(name string, w *waiter) {
	u := q.user(name)
	if len(u.waiting) == 0 {
		q.line = append(q.line, u)
	}
	q.came++
	w.user, w.number = u, q.came
	u.waiting = append(u.waiting, w)
}

// remove takes w out of the queue, and reports whether it was there.
func (q *queue) remove(w *waiter) bool {
	u := w.user
	i := slices.Index(u.waiting, w)
	if i < 0 {
		return false
	}
	u.waiting = slices.Delete(u.waiting, i, i+1)
	if len(u.waiting) == 0 {
		q.line = slices.DeleteFunc(q.line, func(o *user) bool { return o == u })
		q.drop(u)
	}
	return true
}

// remember counts a token that the user is given.
func (q *queue) remember(u *user, now time.Time) {
	q.users[u.name] = u
	q.gifts = append(q.gifts, gift{u, now})
	u.given++
}

// forget drops what is not of late any more.
func (q *queue) forget(now time.Time) {
	for len(q.gifts) > 0 && now.Sub(q.gifts[0].at) >= lately {
		u := q.gifts[0].user
		q.gifts = q.gifts[1:]
		u.given--
		q.drop(u)
	}
}

// drop forgets a user of whom nothing is left to be known.
func (q *queue) drop(u *user) {
	if u.given == 0 && len(u.waiting) == 0 {
		delete(q.users, u.name)
	}
}

// next returns whose turn is next, of those who wait and whom play has not seen;
// nil: nobody's.
func (q *queue) next() *waiter {
	var first *user
	for _, u := range q.line {
		if u.seen < len(u.waiting) && (first == nil || u.before(first)) {
			first = u
		}
	}
	if first == nil {
		return nil
	}
	return first.head()
}

// play goes through the turns to come, if nobody else came. It returns those who
// do not accept theirs, with the turn that it would have been, counted from 1; the
// next has it then.
func (q *queue) play(accept func(w *waiter, turn int) bool) map[*waiter]int {
	refused := make(map[*waiter]int)
	turn := 1
	for w := q.next(); w != nil; w = q.next() {
		w.user.seen++
		if !accept(w, turn) {
			refused[w] = turn
			continue
		}
		w.user.ahead++
		turn++
	}
	for _, u := range q.line {
		u.ahead, u.seen = 0, 0
	}
	return refused
}
