//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// hits counts how often the chosen point was passed.
var hits atomic.Int64

// Hit ends the process with SIGKILL where FAILPOINT=point chooses the point, or
// at its n-th passing with FAILPOINT=point:n. Not even deferred calls run: it is
// the end that a kernel short of memory gives. The environment is read here
// rather than in config, so that no other build knows the variable.
func Hit(p Point) {
	chosen, nth, counted := strings.Cut(os.Getenv("FAILPOINT"), ":")
	if chosen != string(p) {
		return
	}
	want := 1
	if counted {
		var err error
		if want, err = strconv.Atoi(nth); err != nil {
			panic("FAILPOINT: " + err.Error())
		}
	}
	if hits.Add(1) != int64(want) {
		return
	}
	fmt.Fprintf(os.Stderr, "failpoint %s\n", p)
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // the signal may take a moment, in which nothing more is to happen
}
