package background_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"galaxygate/internal/background"
)

func TestPollTellsWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	one, two := errors.New("one"), errors.New("two")
	synctest.Test(t, func(t *testing.T) {
		results := []error{nil, one, one, errors.New("one"), two, nil, nil, one}
		var told []error
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		background.Poll(ctx, time.Second, func(context.Context) error {
			err := results[0]
			if results = results[1:]; len(results) == 0 {
				cancel() // what ends with the context is nobody's news
			}
			return err
		}, func(err error) { told = append(told, err) })
		if want := []error{one, two, nil}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v, want 8 s", took)
		}
	})
}
