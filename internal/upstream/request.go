package upstream

import (
	"context"
	"errors"
	"sync"
)

type requestKey struct{}

// request is what one operation has asked for already, by key.
type request struct {
	mu      sync.Mutex
	answers map[string]*answer
}

// answer is one question's, complete once done is closed.
type answer struct {
	done  chan struct{}
	value any
	err   error
}

// NewRequest returns a context in which each question is asked once, however
// often and concurrently its answer is wanted, until a mutation changes what
// the answers may be. Install one for each GraphQL operation.
func NewRequest(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, &request{answers: make(map[string]*answer)})
}

// Once returns what ask returned for that key within the context's request, and
// calls ask where nobody has. An error is an answer too, unless it is that the
// asking caller's context has ended: then the next caller asks. Without a
// request in the context it calls ask.
func Once[T any](ctx context.Context, key string, ask func(context.Context) (T, error)) (T, error) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return ask(ctx)
	}
	for {
		a, first := r.answer(key)
		if first {
			return lead(ctx, r, key, a, ask)
		}
		if err := a.wait(ctx); err != nil {
			var zero T
			return zero, err
		}
		if !cancelled(a.err) || ctx.Err() != nil {
			value, _ := a.value.(T)
			return value, a.err
		}
	}
}

// wait waits for the answer, or returns ctx's error where the caller has left.
// Where the operation's time is up, so it is for the one who asks, who alone can
// say what it was spent on.
func (a *answer) wait(ctx context.Context) error {
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
	}
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	<-a.done
	return nil
}

// lead asks for everyone who waits for the answer.
func lead[T any](ctx context.Context, r *request, key string, a *answer, ask func(context.Context) (T, error)) (T, error) {
	a.err = context.Canceled // stands if ask panics
	defer func() {
		if cancelled(a.err) {
			r.forget(key, a)
		}
		close(a.done)
	}()
	value, err := ask(ctx)
	a.value, a.err = value, err
	return value, err
}

func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// answer returns the key's answer, and whether the caller is the first to want it.
func (r *request) answer(key string) (_ *answer, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.answers[key]; ok {
		return a, false
	}
	a := &answer{done: make(chan struct{})}
	r.answers[key] = a
	return a, true
}

// forget removes the answer unless another has taken its place.
func (r *request) forget(key string, a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers[key] == a {
		delete(r.answers, key)
	}
}

// forgetAll lets every question of the context's request be asked anew.
func forgetAll(ctx context.Context) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		clear(r.answers)
	}
}
