package background

import (
	"context"
	"time"
)

// Poll calls try again and again, at that interval, until ctx ends. It tells of an
// error when it first comes, and of another one; nil is the end of the last.
func Poll(ctx context.Context, every time.Duration, try func(context.Context) error, tell func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err, why := try(ctx), ""
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			why = err.Error()
		}
		if why != told {
			told = why
			tell(err)
		}
	}
}
