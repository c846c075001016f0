package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOnceAsksOnceHoweverManyWait(t *testing.T) {
	t.Parallel()
	ctx := NewRequest(t.Context())
	var asked atomic.Int32
	var waiters sync.WaitGroup
	release := make(chan struct{})
	for range 50 {
		waiters.Go(func() {
			got, err := Once(ctx, "k", func(context.Context) (int, error) {
				<-release
				return int(asked.Add(1)), nil
			})
			if got != 1 || err != nil {
				t.Errorf("got %d, %v; want 1", got, err)
			}
		})
	}
	close(release)
	waiters.Wait()
}

func TestOnceRemembersErrorsAndTellsKeysApart(t *testing.T) {
	t.Parallel()
	ctx := NewRequest(t.Context())
	asked := 0
	failing := func(context.Context) (int, error) { asked++; return 0, errors.New("no") }
	for _, key := range []string{"a", "a", "b"} {
		if _, err := Once(ctx, key, failing); err == nil {
			t.Errorf("%s: got no error", key)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	forgetAll(ctx)
	_, _ = Once(ctx, "a", failing)
	if asked != 3 {
		t.Errorf("after a mutation: asked %d times, want 3", asked)
	}
}

func TestACallerWhoLeavesDoesNotAnswerForTheOthers(t *testing.T) {
	t.Parallel()
	ctx := NewRequest(t.Context())
	leaving, leave := context.WithCancel(ctx)
	asking := make(chan struct{})
	left := make(chan error)
	go func() {
		_, err := Once(leaving, "k", func(ctx context.Context) (int, error) {
			close(asking)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		left <- err
	}()
	<-asking
	stayed := make(chan error)
	go func() {
		got, err := Once(ctx, "k", func(context.Context) (int, error) { return 7, nil })
		if got != 7 {
			err = errors.Join(err, errors.New("another answer"))
		}
		stayed <- err
	}()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: got %v, want context.Canceled", err)
	}
	if err := <-stayed; err != nil {
		t.Errorf("who stayed: got %v", err)
	}
}

func TestWhenTheTimeIsUpAllHearWhatItWasSpentOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(NewRequest(t.Context()), 20*time.Millisecond)
	defer cancel()
	asking := make(chan struct{})
	errs := make(chan error)
	go func() {
		_, err := Once(ctx, "k", func(ctx context.Context) (int, error) {
			close(asking)
			<-ctx.Done()
			return 0, fmt.Errorf("the provider is slow: %w", ctx.Err())
		})
		errs <- err
	}()
	<-asking
	go func() {
		_, err := Once(ctx, "k", func(context.Context) (int, error) { return 7, nil })
		errs <- err
	}()
	for range 2 {
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "the provider is slow") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	ctx := NewRequest(t.Context())
	func() {
		defer func() { _ = recover() }()
		_, _ = Once(ctx, "k", func(context.Context) (int, error) { panic("no") })
	}()
	if got, err := Once(ctx, "k", func(context.Context) (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("got %d, %v; want 7", got, err)
	}
}
